"""Who may do what: tokens, one-time sign-in codes, browser sessions, and projects open to all.

Secrets are kept as SHA-256 only. They are random and long, so a plain hash is enough; a stolen
database opens nothing. Rows are found by their hash and compared once more in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from sqlalchemy import Column, Connection, Engine, Select, Table, bindparam, delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from argus_server.errors import BadToken, StoreError, TokenExpired
from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import transaction

__all__ = [
    "SCOPES",
    "SESSION_IDLE_S",
    "SESSION_LIFETIME_S",
    "Credentials",
    "Grant",
    "Scope",
    "TokenInfo",
]

Scope = Literal["report", "read", "admin"]
SCOPES: tuple[str, ...] = get_args(Scope)

_PREFIX = "em_live_"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SECOND_US = 1_000_000
_NAME_LENGTH = 200
_PROJECT_LENGTH = 256
CODE_LIFETIME_S = 24 * 3600
SESSION_LIFETIME_S = 14 * 24 * 3600
"""How long a browser stays signed in at most."""
SESSION_IDLE_S = 3 * 24 * 3600
"""How long a browser stays signed in that asks for nothing: a weekend passes."""
_USE_GRAIN_US = 3600 * _SECOND_US
"""How exactly the last use of a key is known; it is written down no more often than that."""

_REMEMBERED = 1000
"""Tokens that are good without asking, for a second."""
_NEVER_READ: tuple[int, frozenset[str]] = (-_SECOND_US, frozenset())


@dataclass(frozen=True, slots=True)
class Grant:
    """What its bearer may do.

    Attributes:
        scope: `report` sends events, `read` sees pages, `admin` does both and more; a `visitor` has no
            token and sees what is public.
        project: the one project it is good for; None for all.
        token_id: the token it comes from, None for a one-time link.
        public: the projects that it may look at as a visitor does, beside its own.
    """

    scope: Scope | Literal["visitor"]
    project: str | None = None
    token_id: int | None = None
    public: frozenset[str] = frozenset()

    def allows(self, scope: Scope, project: str | None = None) -> bool:
        """Whether `scope` is granted, for this project if one is named."""
        return self.scope in (scope, "admin") and (project is None or self.covers(project))

    def covers(self, project: str) -> bool:
        """Whether the grant is good for this project."""
        return self.scope != "visitor" and (self.project is None or self.project == project)

    def sees(self, project: str) -> bool:
        """Whether the pages of this project are shown, if only as to a visitor."""
        return self.allows("read", project) or project in self.public


@dataclass(frozen=True, slots=True)
class _Good:
    """A token that was good when it was read."""

    grant: Grant
    read_us: int
    expires_us: int | None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What can be told about a token; its text is not kept. `last_used_us` is exact to an hour."""

    id: int
    prefix: str
    scope: str
    project: str | None
    name: str | None
    created_us: int
    expires_us: int | None
    last_used_us: int | None
    revoked_us: int | None
    state: Literal["active", "expired", "revoked"]


class Credentials:
    """The keys of the house. Any thread may call any method; each is one short transaction.

    Attributes:
        clock: returns the microseconds since 1970.

    Raises:
        StoreBusy: every connection for credentials is in use, and stays so.
        StoreError: the database does not answer.
    """

    def __init__(self, reader: Engine, writer: Engine, clock: Callable[[], int] = now_us) -> None:
        self._reader = reader
        self._writer = writer
        self.clock = clock
        self._uses: dict[tuple[str, Any], int] = {}
        self._uses_lock = threading.Lock()
        self._public = _NEVER_READ
        self._good: OrderedDict[str, _Good] = OrderedDict()
        self._revocations = 0

    # --- tokens -------------------------------------------------------------------------------

    def create_token(
        self,
        scope: Scope,
        project: str | None = None,
        name: str | None = None,
        *,
        lifetime_s: int | None = None,
    ) -> str:
        """Return a new token, for ever or for this long. This is the only time that its text exists here.

        Raises:
            BadToken: there can be no token for such a project or by such a name.
        """
        _check_words(project, name)
        text = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(32))
        now = self.clock()
        row = {
            "digest": _digest(text),
            "prefix": text[: len(_PREFIX) + 4],
            "scope": scope,
            "project": project,
            "name": name,
            "created_us": now,
            "expires_us": None if lifetime_s is None else now + lifetime_s * _SECOND_US,
        }
        with transaction(self._writer) as connection:
            connection.execute(schema.token.insert(), row)
        return text

    def tokens(self) -> list[TokenInfo]:
        """Return all tokens, oldest first, the revoked and the expired ones too."""
        table = schema.token
        now = self.clock()
        with transaction(self._reader) as connection:
            rows = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        return [_info(row, now) for row in rows]

    def revoke_token(self, token_id: int) -> bool:
        """Revoke a token at once, and end the sessions that came of it; False if there is none."""
        table = schema.token
        with transaction(self._writer) as connection:
            done = connection.execute(
                update(table)
                .where(table.c.id == token_id, table.c.revoked_us.is_(None))
                .values(revoked_us=self.clock())
            )
            connection.execute(delete(schema.session).where(schema.session.c.token_id == token_id))
        with self._uses_lock:
            self._revocations += 1  # who has read the token before this remembers nothing of it after this
            self._good.clear()
        return done.rowcount == 1

    def check_token(self, text: str) -> Grant | None:
        """Return what the bearer of this token may do; None if it is unknown or revoked.

        Raises:
            TokenExpired: it was good once.
        """
        read_us, revocations = self.clock(), self._revocations
        with transaction(self._reader) as connection:
            row = _find(connection, _TOKEN, text)
        if row is None or row["revoked_us"] is not None:
            return None
        now = self.clock()
        if row["expires_us"] is not None and row["expires_us"] <= now:
            raise TokenExpired("the token has expired")
        self._note_use(schema.token, row["id"], row["last_used_us"], now)
        grant = Grant(cast(Scope, row["scope"]), row["project"], row["id"])
        with self._uses_lock:
            if revocations == self._revocations:
                self._good[row["digest"]] = _Good(grant, read_us, row["expires_us"])
                if len(self._good) > _REMEMBERED:
                    self._good.popitem(last=False)
        return grant

    def recall_token(self, text: str) -> Grant | None:
        """Return what the bearer of this token may do, if it was checked within this second; else None.

        Asks no database. A token that this process revokes is forgotten at once, one that another process
        revokes is refused after a second.
        """
        good = self._good.get(_digest(text))
        if good is None:
            return None
        now = self.clock()
        is_fresh = 0 <= now - good.read_us < _SECOND_US
        return good.grant if is_fresh and (good.expires_us is None or now < good.expires_us) else None

    # --- one-time codes -----------------------------------------------------------------------

    def create_code(self, grant: Grant, *, lifetime_s: int = CODE_LIFETIME_S) -> str:
        """Return a code that signs one browser in, once."""
        text = secrets.token_urlsafe(24)
        now = self.clock()
        row = {
            "digest": _digest(text),
            "scope": grant.scope,
            "project": grant.project,
            "expires_us": now + lifetime_s * _SECOND_US,
        }
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.sign_in_code).where(schema.sign_in_code.c.expires_us < now))
            connection.execute(schema.sign_in_code.insert(), row)
        return text

    def redeem_code(self, text: str) -> Grant | None:
        """Use a code up and return what it grants; None if it is unknown, used or too old."""
        table = schema.sign_in_code
        with transaction(self._reader) as connection:  # strangers who guess never hold up a writer
            row = _find(connection, _CODE, text)
        if row is None:
            return None
        with transaction(self._writer) as connection:
            gone = connection.execute(delete(table).where(table.c.digest == row["digest"]))
        if gone.rowcount != 1 or row["expires_us"] < self.clock():
            return None
        return Grant(cast(Scope, row["scope"]), row["project"])

    # --- sessions -----------------------------------------------------------------------------

    def create_session(self, grant: Grant) -> str:
        """Return the secret of a new browser session."""
        text = secrets.token_urlsafe(32)
        now = self.clock()
        row = {
            "digest": _digest(text),
            "scope": grant.scope,
            "project": grant.project,
            "token_id": grant.token_id,
            "expires_us": now + SESSION_LIFETIME_S * _SECOND_US,
            "last_used_us": now,
        }
        table = schema.session.c
        is_over = or_(table.expires_us <= now, table.last_used_us <= now - SESSION_IDLE_S * _SECOND_US)
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.session).where(is_over))
            connection.execute(schema.session.insert(), row)
        return text

    def check_session(self, text: str) -> Grant | None:
        """Return what this session may do.

        None if it is unknown, has lasted too long, was idle too long, or its token is no longer good.
        """
        with transaction(self._reader) as connection:
            row = _find(connection, _SESSION, text)
        now = self.clock()
        if row is None or row["revoked_us"] is not None or row["expires_us"] <= now:
            return None
        if row["token_expires_us"] is not None and row["token_expires_us"] <= now:
            return None
        used = max(row["last_used_us"], self._uses.get(("session", row["digest"]), 0))
        if used <= now - SESSION_IDLE_S * _SECOND_US:
            return None
        self._note_use(schema.session, row["digest"], row["last_used_us"], now)
        return Grant(cast(Scope, row["scope"]), row["project"], row["token_id"])

    def end_session(self, text: str) -> None:
        """End a session; nothing happens if it is unknown."""
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.session).where(schema.session.c.digest == _digest(text)))

    # --- when keys were used ------------------------------------------------------------------

    def _note_use(self, table: Table, key: Any, known_us: int | None, now: int) -> None:
        """Remember a use until `write_uses`: who checks a key does not wait for a write."""
        if known_us is None or now - known_us >= _USE_GRAIN_US:
            with self._uses_lock:
                self._uses[table.name, key] = now

    def write_uses(self) -> int:
        """Write down when keys were used since the last call; return how many there were.

        Raises:
            StoreError: these are forgotten.
        """
        with self._uses_lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return 0
        try:
            with transaction(self._writer) as connection:
                _write_uses(connection, schema.token.c.id, uses)
                _write_uses(connection, schema.session.c.digest, uses)
        except SQLAlchemyError as error:
            raise StoreError(f"{len(uses)} uses not stored: {error}") from error
        return len(uses)

    # --- projects open to all -----------------------------------------------------------------

    def public_projects(self) -> frozenset[str]:
        """Return the names of the projects that anybody may read.

        What another process has changed is known after a second: strangers who ask in a loop do not keep
        the database from those with a token.
        """
        now = self.clock()
        read_us, names = self._public
        if 0 <= now - read_us < _SECOND_US:
            return names
        table = schema.project.c
        with transaction(self._reader) as connection:
            names = frozenset(connection.scalars(select(table.name).where(table.is_public)))
        self._public = now, names
        return names

    def projects(self) -> dict[str, bool]:
        """Return the names of all projects, in order, and whether each is public."""
        table = schema.project.c
        with transaction(self._reader) as connection:
            rows = connection.execute(select(table.name, table.is_public)).all()
        return {row.name: row.is_public for row in sorted(rows)}

    def set_public(self, project: str, *, is_public: bool) -> bool:
        """Open a project to readers without a token, or close it; False if no event has named it."""
        table = schema.project
        statement = update(table).where(table.c.name == project).values(is_public=is_public)
        with transaction(self._writer) as connection:
            done = connection.execute(statement)
        self._public = _NEVER_READ
        return done.rowcount == 1


def _by_digest(table: Table) -> Select[Any]:
    return select(table).where(table.c.digest == bindparam("digest"))


def _session_query() -> Select[Any]:
    """Return the session with what its token has become, if it came of one."""
    session, token = schema.session, schema.token
    columns = (*session.c, token.c.revoked_us, token.c.expires_us.label("token_expires_us"))
    joined = session.outerjoin(token, token.c.id == session.c.token_id)
    return select(*columns).select_from(joined).where(session.c.digest == bindparam("digest"))


_TOKEN, _CODE, _SESSION = _by_digest(schema.token), _by_digest(schema.sign_in_code), _session_query()


def _find(connection: Connection, query: Select[Any], secret: str) -> Any:
    digest = _digest(secret)
    row = connection.execute(query, {"digest": digest}).mappings().first()
    return row if row is not None and hmac.compare_digest(row["digest"], digest) else None


def _write_uses(connection: Connection, key: Column[Any], uses: Mapping[tuple[str, Any], int]) -> None:
    rows = [{"used": moment, "this": of} for (table, of), moment in uses.items() if table == key.table.name]
    if rows:
        statement = update(key.table).where(key == bindparam("this")).values(last_used_us=bindparam("used"))
        connection.execute(statement, rows)


def _info(row: Any, now: int) -> TokenInfo:
    fields = {name: row[name] for name in TokenInfo.__dataclass_fields__ if name != "state"}
    is_over = row["expires_us"] is not None and row["expires_us"] <= now
    return TokenInfo(**fields, state="revoked" if row["revoked_us"] else "expired" if is_over else "active")


def _check_words(project: str | None, name: str | None) -> None:
    for what, text, limit in (("project", project, _PROJECT_LENGTH), ("name", name, _NAME_LENGTH)):
        if text is None:
            continue
        if not 0 < len(text) <= limit:
            raise BadToken(f"the {what} has {len(text)} characters; 1 to {limit} are possible")
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadToken(f"the {what} {text!r} has a character that no name has")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
