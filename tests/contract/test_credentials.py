"""Tokens, sessions and codes come to their end when they should, on every database, by a clock that moves."""

import pytest

from argus_server.errors import BadToken, TokenExpired
from argus_server.storage.clock import now_us
from argus_server.storage.credentials import SESSION_IDLE_S, SESSION_LIFETIME_S, Grant

HOUR = 3600
DAY = 24 * HOUR


class Clock:
    def __init__(self):
        self.moment_us = now_us()

    def __call__(self):
        return self.moment_us

    def forward(self, seconds):
        self.moment_us += int(seconds * 1e6)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(store, clock):
    store.credentials.clock = clock
    return store.credentials


def only(keys):
    (token,) = keys.tokens()
    return token


# --- tokens -----------------------------------------------------------------------------------


def test_a_token_is_good_until_it_expires_and_not_a_moment_longer(keys, clock):
    text = keys.create_token("read", "p", lifetime_s=30 * DAY)

    clock.forward(30 * DAY - 0.001)
    assert keys.check_token(text) == Grant("read", "p", only(keys).id)
    assert only(keys).state == "active"

    clock.forward(0.001)
    with pytest.raises(TokenExpired):
        keys.check_token(text)
    assert only(keys).state == "expired"


def test_a_token_without_an_end_has_none(keys, clock):
    text = keys.create_token("report")

    clock.forward(50 * 365 * DAY)

    assert keys.check_token(text) is not None


def test_a_token_that_is_revoked_and_expired_is_revoked(keys, clock):
    text = keys.create_token("read", lifetime_s=DAY)
    keys.revoke_token(only(keys).id)
    clock.forward(2 * DAY)

    assert keys.check_token(text) is None
    assert only(keys).state == "revoked"


def test_a_token_is_known_without_asking_for_a_second_and_no_longer_than_it_is_good(keys, clock):
    text, ends = keys.create_token("report", "p"), keys.create_token("read", lifetime_s=1)
    assert keys.recall_token(text) is None
    grant = keys.check_token(text)

    assert keys.recall_token(text) == grant
    assert keys.recall_token(text[:-1] + "_") is None
    clock.forward(0.5)
    keys.check_token(ends)
    assert keys.recall_token(ends) is not None
    clock.forward(0.5)
    assert keys.recall_token(ends) is None
    assert keys.recall_token(text) is None


def test_a_token_that_is_revoked_here_is_forgotten_at_once_and_elsewhere_in_a_second(
    new_store, new_database, clock
):
    database = new_database()
    here, elsewhere = (new_store(database).credentials for _ in range(2))
    here.clock = elsewhere.clock = clock
    first, second = here.create_token("report"), here.create_token("report")
    for text in (first, second):
        here.check_token(text)
        elsewhere.check_token(text)

    here.revoke_token(1)

    assert here.recall_token(first) is None
    clock.forward(1)
    assert elsewhere.recall_token(first) is None
    assert elsewhere.check_token(first) is None
    assert elsewhere.check_token(second) is not None


@pytest.mark.parametrize(
    ("project", "name"), [("", None), ("p" * 257, None), ("a\0b", None), ("\ud800", None), (None, "n" * 201)]
)
def test_a_token_that_no_database_can_keep_is_refused_with_its_reason(keys, project, name):
    with pytest.raises(BadToken):
        keys.create_token("read", project, name)

    assert keys.tokens() == []


def test_the_last_use_of_a_token_is_written_when_asked_and_exact_to_the_hour(keys, clock):
    text = keys.create_token("read")
    keys.check_token("em_live_" + "x" * 32)
    assert (only(keys).last_used_us, keys.write_uses()) == (None, 0)

    keys.check_token(text)
    first = clock.moment_us
    assert only(keys).last_used_us is None  # checking writes nothing
    assert keys.write_uses() == 1
    clock.forward(HOUR - 1)
    keys.check_token(text)
    assert keys.write_uses() == 0
    assert only(keys).last_used_us == first

    clock.forward(1)
    keys.check_token(text)
    assert keys.write_uses() == 1
    assert only(keys).last_used_us == first + HOUR * 1_000_000


# --- sessions ---------------------------------------------------------------------------------


def use_every(keys, clock, secret, seconds, *, until):
    """Use a session again and again, with a server that writes uses down; return whether it lasted."""
    for _ in range(int(until // seconds)):
        clock.forward(seconds)
        if keys.check_session(secret) is None:
            return False
        keys.write_uses()
    return True


def test_a_session_that_is_used_lasts_two_weeks_and_no_longer(keys, clock):
    secret = keys.create_session(Grant("read"))

    assert use_every(keys, clock, secret, DAY, until=SESSION_LIFETIME_S - DAY)
    clock.forward(DAY - 1)
    assert keys.check_session(secret) is not None

    clock.forward(1)
    assert keys.check_session(secret) is None


def test_a_session_that_idles_ends(keys, clock):
    secret = keys.create_session(Grant("read"))

    clock.forward(SESSION_IDLE_S - 1)
    assert keys.check_session(secret) is not None
    keys.write_uses()
    clock.forward(SESSION_IDLE_S - 1)
    assert keys.check_session(secret) is not None
    keys.write_uses()

    clock.forward(SESSION_IDLE_S)
    assert keys.check_session(secret) is None


def test_a_use_that_is_not_written_yet_keeps_a_session_too(keys, clock):
    secret = keys.create_session(Grant("read"))

    for _ in range(3):
        clock.forward(SESSION_IDLE_S - 1)
        assert keys.check_session(secret) is not None


def test_a_session_ends_with_its_token(keys, clock):
    texts = [keys.create_token("read", lifetime_s=DAY), keys.create_token("read"), keys.create_token("read")]
    expiring, revoked, kept = (keys.create_session(keys.check_token(text)) for text in texts)

    clock.forward(DAY)
    assert keys.check_session(expiring) is None
    assert keys.check_session(revoked) is not None

    keys.revoke_token(keys.check_token(texts[1]).token_id)
    assert keys.check_session(revoked) is None
    assert keys.check_session(kept) is not None


def test_a_session_made_while_its_token_is_revoked_is_not_good(keys):
    """The token is checked, then revoked by another process, then the session is made."""
    grant = keys.check_token(keys.create_token("read"))
    keys.revoke_token(grant.token_id)

    secret = keys.create_session(grant)

    assert keys.check_session(secret) is None


def test_signing_out_ends_one_session_and_no_other(keys):
    one, other = keys.create_session(Grant("read")), keys.create_session(Grant("read"))

    keys.end_session(one)
    keys.end_session("never existed")

    assert keys.check_session(one) is None
    assert keys.check_session(other) == Grant("read")


# --- codes and projects -----------------------------------------------------------------------


def test_a_code_is_good_once_and_for_a_day(keys, clock):
    used, late = keys.create_code(Grant("admin")), keys.create_code(Grant("read", "p"))

    assert keys.redeem_code(used) == Grant("admin")
    assert keys.redeem_code(used) is None
    clock.forward(DAY + 1)
    assert keys.redeem_code(late) is None
    assert keys.redeem_code("never existed") is None


def test_a_code_that_nobody_made_does_not_wait_for_a_writer(store, keys):
    with store._writer.begin():  # as long as events are written
        assert keys.redeem_code("never existed") is None


def test_a_project_is_public_from_one_call_to_the_other(store, keys):
    from unit.server.wire import start

    store.add_events([start("j")])

    assert keys.set_public("p", is_public=True)
    assert (keys.public_projects(), keys.projects()) == ({"p"}, {"p": True})
    assert keys.set_public("p", is_public=False)
    assert (keys.public_projects(), keys.projects()) == (frozenset(), {"p": False})
    assert not keys.set_public("nobody's", is_public=True)


def test_what_another_process_opens_and_closes_is_known_within_a_second(
    backend, new_database, new_store, clock
):
    from unit.server.wire import start

    place = new_database()
    serving, commanding = new_store(place), new_store(place)
    serving.credentials.clock = clock
    serving.add_events([start("j")])
    assert serving.credentials.public_projects() == frozenset()

    for is_public in (True, False):
        commanding.credentials.set_public("p", is_public=is_public)
        clock.forward(1)
        assert serving.credentials.public_projects() == ({"p"} if is_public else frozenset())


def test_events_that_come_later_leave_a_project_public(store, keys):
    from unit.server.wire import start

    store.add_events([start("j")])
    keys.set_public("p", is_public=True)

    store.add_events([start("k")])

    assert keys.public_projects() == {"p"}
