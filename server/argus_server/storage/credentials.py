"""Who may do what: tokens, one-time sign-in codes and browser sessions.

Secrets are kept as SHA-256 only. They are random and long, so a plain hash is enough; a stolen
database opens nothing. Rows are found by their hash and compared once more in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from sqlalchemy import Connection, Engine, Table, delete, select, update

from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import transaction

__all__ = ["SCOPES", "Credentials", "Grant", "Scope", "TokenInfo"]

Scope = Literal["report", "read", "admin"]
SCOPES: tuple[str, ...] = get_args(Scope)

_PREFIX = "em_live_"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SECOND_US = 1_000_000
CODE_LIFETIME_S = 24 * 3600
SESSION_LIFETIME_S = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Grant:
    """What its bearer may do.

    Attributes:
        scope: `report` sends events, `read` sees pages, `admin` does both and more.
        project: the one project it is good for; None for all.
        token_id: the token it comes from, None for a one-time link.
    """

    scope: Scope
    project: str | None = None
    token_id: int | None = None

    def allows(self, scope: Scope, project: str | None = None) -> bool:
        """Whether `scope` is granted, for this project if one is named."""
        return self.scope in (scope, "admin") and (project is None or self.covers(project))

    def covers(self, project: str) -> bool:
        """Whether the grant is good for this project."""
        return self.project is None or self.project == project


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What can be told about a token; its text is not kept."""

    id: int
    prefix: str
    scope: str
    project: str | None
    name: str | None
    created_us: int
    revoked_us: int | None


class Credentials:
    """The keys of the house. Any thread may call any method; each is one short transaction.

    Raises:
        StoreBusy: every connection for credentials is in use, and stays so.
    """

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self._reader = reader
        self._writer = writer

    def create_token(self, scope: Scope, project: str | None = None, name: str | None = None) -> str:
        """Return a new token. This is the only time that its text exists here."""
        text = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(32))
        row = {
            "digest": _digest(text),
            "prefix": text[: len(_PREFIX) + 4],
            "scope": scope,
            "project": project,
            "name": name,
            "created_us": now_us(),
        }
        with transaction(self._writer) as connection:
            connection.execute(schema.token.insert(), row)
        return text

    def tokens(self) -> list[TokenInfo]:
        """Return all tokens, oldest first, the revoked ones too."""
        table = schema.token.c
        query = select(
            table.id,
            table.prefix,
            table.scope,
            table.project,
            table.name,
            table.created_us,
            table.revoked_us,
        ).order_by(table.id)
        with transaction(self._reader) as connection:
            return [TokenInfo(*row) for row in connection.execute(query)]

    def revoke_token(self, token_id: int) -> bool:
        """Revoke a token at once, and end the sessions that came of it; False if there is none."""
        table = schema.token
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.session).where(schema.session.c.token_id == token_id))
            done = connection.execute(
                update(table)
                .where(table.c.id == token_id, table.c.revoked_us.is_(None))
                .values(revoked_us=now_us())
            )
        return done.rowcount == 1

    def check_token(self, text: str) -> Grant | None:
        """Return what the bearer of this token may do; None if it is unknown or revoked."""
        with transaction(self._reader) as connection:
            row = _find(connection, schema.token, text)
        if row is None or row["revoked_us"] is not None:
            return None
        return Grant(cast(Scope, row["scope"]), row["project"], row["id"])

    def create_code(self, grant: Grant, *, lifetime_s: int = CODE_LIFETIME_S) -> str:
        """Return a code that signs one browser in, once."""
        text = secrets.token_urlsafe(24)
        row = {
            "digest": _digest(text),
            "scope": grant.scope,
            "project": grant.project,
            "expires_us": now_us() + lifetime_s * _SECOND_US,
        }
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.sign_in_code).where(schema.sign_in_code.c.expires_us < now_us()))
            connection.execute(schema.sign_in_code.insert(), row)
        return text

    def redeem_code(self, text: str) -> Grant | None:
        """Use a code up and return what it grants; None if it is unknown, used or too old."""
        table = schema.sign_in_code
        with transaction(self._writer) as connection:
            row = _find(connection, table, text)
            if row is None:
                return None
            gone = connection.execute(delete(table).where(table.c.digest == row["digest"]))
            if gone.rowcount != 1 or row["expires_us"] < now_us():
                return None
        return Grant(cast(Scope, row["scope"]), row["project"])

    def create_session(self, grant: Grant) -> str:
        """Return the secret of a new browser session."""
        text = secrets.token_urlsafe(32)
        row = {
            "digest": _digest(text),
            "scope": grant.scope,
            "project": grant.project,
            "token_id": grant.token_id,
            "expires_us": now_us() + SESSION_LIFETIME_S * _SECOND_US,
        }
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.session).where(schema.session.c.expires_us < now_us()))
            connection.execute(schema.session.insert(), row)
        return text

    def check_session(self, text: str) -> Grant | None:
        """Return what this session may do; None if it is unknown or has expired."""
        with transaction(self._reader) as connection:
            row = _find(connection, schema.session, text)
        if row is None or row["expires_us"] < now_us():
            return None
        return Grant(cast(Scope, row["scope"]), row["project"], row["token_id"])

    def end_session(self, text: str) -> None:
        """End a session; nothing happens if it is unknown."""
        with transaction(self._writer) as connection:
            connection.execute(delete(schema.session).where(schema.session.c.digest == _digest(text)))


def _find(connection: Connection, table: Table, secret: str) -> Any:
    digest = _digest(secret)
    row = connection.execute(select(table).where(table.c.digest == digest)).mappings().first()
    return row if row is not None and hmac.compare_digest(row["digest"], digest) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
