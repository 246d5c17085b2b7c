"""Too much is told to wait; whoever does nothing wrong is not."""

import re

import pytest
from unit.server.wire import body

from argus_server.limits import RateLimit
from argus_server.settings import Limits

WRONG = "em_live_" + "x" * 32


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_burst_passes_and_then_the_rate(clock):
    limit = RateLimit(2, 5, clock=clock)

    assert [limit.take("a") for _ in range(5)] == [0] * 5
    assert limit.take("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert limit.take("a") == 0
    assert limit.take("a") == pytest.approx(0.5)


def test_what_is_refused_is_not_counted(clock):
    limit = RateLimit(1, 1, clock=clock)
    limit.take("a")

    for _ in range(100):
        assert limit.take("a") == pytest.approx(1)
    clock.now += 1

    assert limit.take("a") == 0


def test_one_key_does_not_use_up_the_share_of_another(clock):
    limit = RateLimit(1, 1, clock=clock)

    assert (limit.take("a"), limit.take("b")) == (0, 0)
    assert limit.take("a") > 0


def test_memory_is_bounded_and_keeps_those_who_come_often(clock):
    limit = RateLimit(0.001, 2, keys=100, clock=clock)
    limit.take("often")
    for number in range(10_000):
        limit.take(number)
        if number == 50:
            limit.take("often")
        if number in (70, 140):
            assert limit.take("often") > 0, "forgotten too early"

    assert len(limit) == 100


@pytest.mark.parametrize("rate", [0.1, 1 / 6, 3, 7, 1000])
def test_who_waits_as_told_is_let_in(clock, rate):
    limit = RateLimit(rate, 3, clock=clock)
    for _ in range(200):
        wait = limit.take("a")
        if wait:
            clock.now += wait
            assert limit.take("a") == 0


# --- on the server ----------------------------------------------------------------------------


def sign_in(server, token):
    page = server.get("/sign-in", scope=None).text
    fields = {"token": token, "form_token": re.search(r'form_token" value="(\w+)"', page)[1]}
    return server.request("POST", "/sign-in", scope=None, data=fields)


def test_wrong_tokens_from_one_address_are_told_to_wait(server):
    answers = [server.get("/api/projects", scope=WRONG) for _ in range(12)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert "unknown or revoked" in answers[-1].json()["error"]


def test_right_tokens_from_that_address_are_let_in_all_the_while(server):
    for _ in range(12):
        server.get("/api/projects", scope=WRONG)
    assert server.get("/api/projects", scope=WRONG).status_code == 429

    assert server.post("/api/events", json=body("job_start", "j")).status_code == 200
    assert server.get("/api/projects", scope="read").status_code == 200
    assert sign_in(server, server.tokens["read"]).status_code == 303
    assert server.get("/", scope=None).status_code == 200


def test_sign_ins_that_fail_are_told_to_wait_and_show_the_form(server):
    answers = [sign_in(server, "nonsense") for _ in range(12)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert 'name="token"' in answers[-1].text
    assert "wait a little" in answers[-1].text


def test_links_and_tokens_and_sign_ins_are_counted_together(server):
    for _ in range(4):
        server.get("/sign-in?code=nonsense", scope=None)
        server.get("/api/projects", scope=WRONG)
        sign_in(server, "nonsense")

    assert server.get("/sign-in?code=nonsense", scope=None).status_code == 429


def test_a_token_that_is_missing_or_too_weak_is_no_attempt(server):
    for _ in range(15):
        assert server.get("/api/projects", scope=None).status_code == 401
        assert server.get("/api/projects", scope="report").status_code == 403


def test_an_address_that_fails_often_is_logged_once(server, caplog):
    for _ in range(20):
        server.get("/api/projects", scope=WRONG)

    warnings = [record for record in caplog.records if record.name == "argus_server.limits"]
    assert len(warnings) == 1
    assert WRONG not in caplog.text


def test_a_forwarded_address_is_not_believed(server):
    for number in range(10):
        server.get("/api/projects", scope=WRONG, headers={"X-Forwarded-For": f"10.0.0.{number}"})

    answer = server.get("/api/projects", scope=WRONG, headers={"X-Forwarded-For": "10.0.0.99"})

    assert answer.status_code == 429


def test_reads_with_one_token_have_a_limit_and_other_tokens_their_own(make_server):
    server = make_server(limits=Limits(reads_per_s=1))

    statuses = [server.get("/api/projects", scope="read").status_code for _ in range(12)]

    assert statuses == [200] * 10 + [429] * 2
    assert "Retry-After" in server.get("/api/projects", scope="read").headers
    assert server.get("/api/projects", scope="admin").status_code == 200
    assert server.post("/api/events", json=body("job_start", "j")).status_code == 200


def test_reports_have_no_limit_unless_one_is_set(make_server):
    server = make_server(limits=Limits(reads_per_s=1, reports_per_s=2))

    statuses = [server.post("/api/events", json=body("job_start", "j")).status_code for _ in range(22)]

    assert statuses[:20] == [200] * 20
    assert statuses[-1] == 429


def test_a_report_that_cannot_be_read_counts_once(make_server):
    server = make_server(limits=Limits(reports_per_s=2))

    statuses = [server.post("/api/events", content=b"{nope").status_code for _ in range(22)]

    assert statuses[:20] == [400] * 20
    assert statuses[-1] == 429


def test_asking_whether_to_stop_is_part_of_reporting(make_server):
    """Existing clients ask for every job, every few seconds, with the token that reports."""
    server = make_server(limits=Limits(reads_per_s=1))

    for _ in range(30):
        assert server.get("/api/batches/b/stop-requested", scope="report").status_code == 200
        assert server.get("/api/token", scope="report").status_code == 200


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_ipv6_is_counted_as_its_network(address, counted_as):
    from litestar.testing import RequestFactory

    from argus_server.limits import client_address

    request = RequestFactory().get("/")
    request.scope["client"] = (address, 1)

    assert client_address(request) == counted_as
