"""The doors of a real server: what its answers carry, whom it believes, and what it keeps to itself."""

from __future__ import annotations

import re
import socket

import pytest
import requests
from real_server import RealServer

from argus_server.storage.store import open_store

WRONG = "em_live_" + "w" * 32
HEADERS = {
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "cache-control",
}


@pytest.fixture
def make_server(tmp_path):
    servers: list[RealServer] = []

    def make(*options: str) -> RealServer:
        servers.append(RealServer(tmp_path, options=options))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def job_done(number: int = 0) -> dict:
    return {
        "event_id": f"0123456789-{number}",
        "schema_version": "1.1",
        "event_type": "job_done",
        "timestamp": "2026-01-01T00:00:00Z",
        "batch_id": "b",
        "job_id": f"j{number}",
        "source": {"project": "p"},
        "data": {"metrics": {"MSE": 0.5}},
    }


def sign_in(browser: requests.Session, server: RealServer, token: str) -> requests.Response:
    page = browser.get(f"{server.url}/sign-in", timeout=10).text
    fields = {"token": token, "form_token": re.search(r'form_token" value="(\w+)"', page)[1]}
    return browser.post(f"{server.url}/sign-in", data=fields, timeout=10, allow_redirects=False)


def test_no_secret_is_in_the_log_or_in_the_database(make_server):
    server = make_server("--log-level", "debug", "--log-format", "json")
    tokens = {scope: server.make_token(scope) for scope in ("report", "read", "admin")}
    server.start()
    url = server.url
    with requests.Session() as browser:
        # Everything that can be done with a token, and what people do with one by mistake.
        assert sign_in(browser, server, tokens["admin"]).status_code == 303
        page = browser.get(f"{url}/tokens", timeout=10).text
        form = {"scope": "read", "form_token": re.search(r'form_token" value="(\w+)"', page)[1]}
        made = browser.post(f"{url}/tokens", data=form, timeout=10).text
        tokens["made"] = re.search(r"em_live_\w{32}", made)[0]
        assert sign_in(browser, server, WRONG).status_code == 401
        secrets = [*tokens.values(), WRONG, *browser.cookies.get_dict().values()]
    code = server.sign_in_url.rpartition("=")[2]
    requests.get(f"{server.sign_in_url}", timeout=10)
    requests.get(f"{server.sign_in_url}", timeout=10)
    for token in [*tokens.values(), WRONG]:
        requests.post(f"{url}/api/events", json=job_done(), headers=bearer(token), timeout=10)
        requests.post(f"{url}/api/events", data=b"{", headers=bearer(token), timeout=10)
        requests.get(f"{url}/p/p/leaderboard?token={token}", headers=bearer(token), timeout=10)
        requests.get(f"{url}/p/{token}", headers=bearer(WRONG), timeout=10)
        requests.get(f"{url}/api/projects", headers={"Authorization": f"Basic {token}"}, timeout=10)
    server.end()

    log = server.log.read_text()
    assert '"/api/events"' in log, "the log says nothing, so it proves nothing"
    kept = b"".join(path.read_bytes() for path in server.database.parent.glob("argus.sqlite3*"))
    for secret in [*secrets, code]:
        assert secret.encode() not in kept
    for secret in [*secrets, code]:
        lines = [line for line in log.splitlines() if secret in line]
        assert lines == []


def test_every_answer_has_the_headers_that_keep_browsers_honest(make_server):
    server = make_server()
    report, read = server.make_token("report"), server.make_token("read")
    server.start()
    requests.post(f"{server.url}/api/events", json=job_done(), headers=bearer(report), timeout=10)
    page = requests.get(f"{server.url}/sign-in", timeout=10).text
    style = re.search(r'href="(/static/argus[^"]*)"', page)[1]
    asked = [
        ("GET", "/", read, 200),
        ("GET", "/", None, 401),
        ("GET", "/p/p/leaderboard", read, 200),
        ("HEAD", "/p/p/leaderboard", read, 200),
        ("GET", "/p/p/leaderboard.csv", read, 200),
        ("GET", "/p/p/leaderboard.md", read, 200),
        ("GET", "/api/projects/p/leaderboard", read, 200),
        ("GET", "/p/nobody/leaderboard", read, 404),
        ("GET", "/p/p/leaderboard?page=x", read, 400),
        ("GET", "/nope", None, 404),
        ("PUT", "/api/events", report, 405),
        ("OPTIONS", "/api/events", None, 204),
        ("GET", "/tokens", read, 403),
        ("GET", "/tokens", WRONG, 401),
        ("GET", style, None, 200),
        ("GET", "/static/nope.css", None, 404),
        ("GET", "/healthz", None, 200),
        ("GET", "/schema/openapi.json", None, 200),
        ("POST", "/sign-in", None, 403),
        ("POST", "/api/events", report, 400),
        ("POST", "/api/jobs/j/artifacts", report, 501),
    ]
    for method, path, token, status in asked:
        for accept in ("text/html", "application/json"):
            headers = {"Accept": accept, **(bearer(token) if token else {})}

            answer = requests.request(method, server.url + path, headers=headers, timeout=10)

            assert answer.status_code == status, f"{method} {path}"
            missing = HEADERS - {name.lower() for name in answer.headers}
            assert missing == set(), f"{method} {path}"
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            if status != 200 or "immutable" not in answer.headers["Cache-Control"]:
                assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache"), path
    path = f"{server.url}/p/p/leaderboard"
    seen = requests.get(path, headers=bearer(read), timeout=10).headers["ETag"]
    answer = requests.get(path, headers={**bearer(read), "If-None-Match": seen}, timeout=10)
    assert answer.status_code == 304
    assert {name.lower() for name in answer.headers} >= HEADERS
    while (answer := requests.get(server.url, headers=bearer(WRONG), timeout=10)).status_code == 401:
        pass
    assert answer.status_code == 429
    assert {name.lower() for name in answer.headers} >= {*HEADERS, "retry-after"}


FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


def wrong_tokens(server: RealServer, address: str, count: int) -> list[int]:
    headers = {**bearer(WRONG), "X-Forwarded-For": address}
    return [
        requests.get(f"{server.url}/api/projects", headers=headers, timeout=10).status_code
        for _ in range(count)
    ]


def test_a_forwarded_address_and_scheme_are_believed_from_the_named_proxy_only(make_server):
    server = make_server("--trust-proxy", "127.0.0.1").start()
    assert wrong_tokens(server, "192.0.2.7", 11)[-1] == 429
    assert wrong_tokens(server, "192.0.2.8", 1) == [401]
    behind = requests.get(f"{server.url}/sign-in", headers=FORWARDED, timeout=10)
    plain = requests.get(f"{server.url}/sign-in", timeout=10)
    assert "secure" in behind.headers["Set-Cookie"].lower()
    assert "secure" not in plain.headers["Set-Cookie"].lower()
    server.end()

    server = make_server().start()
    assert wrong_tokens(server, "192.0.2.7", 11)[-1] == 429
    assert wrong_tokens(server, "192.0.2.8", 1) == [429]
    direct = requests.get(f"{server.url}/sign-in", headers=FORWARDED, timeout=10)
    assert "secure" not in direct.headers["Set-Cookie"].lower()


def test_a_session_cookie_under_https_is_secure_and_out_of_reach_of_scripts(make_server):
    server = make_server("--trust-proxy", "127.0.0.0/8")
    token = server.make_token("read")
    server.start()
    with requests.Session() as browser:
        browser.headers.update(FORWARDED)
        page = browser.get(f"{server.url}/sign-in", timeout=10)
        # a client that keeps Secure cookies to itself on plain HTTP, as this one does, sends none back
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        form_token = re.search(r'form_token" value="(\w+)"', page.text)[1]
        entered = browser.post(
            f"{server.url}/sign-in",
            data={"token": token, "form_token": form_token},
            headers={"Cookie": cookie},
            timeout=10,
            allow_redirects=False,
        )

    session = next(part for part in entered.headers["Set-Cookie"].split(", ") if "argus_session" in part)
    flags = {part.strip().lower() for part in session.split(";")[1:]}
    assert entered.status_code == 303
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= flags


def test_a_request_that_is_no_http_is_refused_and_the_server_goes_on(make_server):
    server = make_server().start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GARBAGE em_live_\xff\xff\r\n\r\n")
        assert b"400" in connection.recv(1000).splitlines()[0]

    assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200


def test_an_expired_token_is_told_so_and_an_unknown_one_is_not(make_server):
    server = make_server()
    server.make_token("read")
    with_end = server.make_token("read")
    store = open_store(str(server.database))
    long_ago = store.credentials.clock() - 3600 * 1_000_000
    store.credentials.clock = lambda: long_ago
    with_end = store.credentials.create_token("read", lifetime_s=60)
    store.close()
    server.start()

    expired = requests.get(f"{server.url}/api/projects", headers=bearer(with_end), timeout=10)
    almost = requests.get(f"{server.url}/api/projects", headers=bearer(with_end[:-1] + "_"), timeout=10)

    assert (expired.status_code, almost.status_code) == (401, 401)
    assert "expired" in expired.json()["error"]
    assert "expired" not in almost.json()["error"]
    assert expired.headers["WWW-Authenticate"].startswith("Bearer")
