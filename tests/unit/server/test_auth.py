"""Tokens, sessions, forms and headers. `test_access.py` has who may use which route."""

import re
from urllib.parse import urlsplit

import pytest
from unit.server.wire import body


def test_a_wrong_token_is_a_401_with_a_challenge(server):
    answer = server.post("/api/events", json={}, scope="em_live_" + "0" * 32)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "em_live_0" not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(server, scheme):
    headers = {"Authorization": f"{scheme} {server.tokens['read']}"}

    assert server.client.get("/api/projects", headers=headers).status_code == 200


def test_a_revoked_token_is_refused_at_once(server):
    assert server.get("/api/projects", scope="read").status_code == 200
    number = next(t.id for t in server.store.credentials.tokens() if t.scope == "read")

    server.store.credentials.revoke_token(number)

    assert server.get("/api/projects", scope="read").status_code == 401


def test_a_token_of_one_project_cannot_touch_another(server):
    server.send(body("job_start", "j", project="mine"), body("job_start", "j", project="yours"))
    report = server.store.credentials.create_token("report", "mine")
    read = server.store.credentials.create_token("read", "mine")

    refused = server.post("/api/events/batch", json=[body("job_start", "k", project="yours")], scope=report)

    assert refused.status_code == 403
    assert (
        server.post("/api/events", json=body("job_start", "k", project="mine"), scope=report).status_code
        == 200
    )
    assert [p["project"] for p in server.get("/api/projects", scope=read).json()["projects"]] == ["mine"]
    assert server.get("/p/yours/leaderboard", scope=read).status_code == 403
    assert server.get("/p/nobodys/leaderboard", scope=read).status_code == 403
    assert "yours" not in server.get("/", scope=read).text


# --- browsers ---------------------------------------------------------------------------------


def form_token(page: str) -> str:
    return re.search(r'name="form_token" value="([0-9a-f]+)"', page)[1]


def sign_in(server, token, target="/"):
    page = server.get("/sign-in", scope=None, html=True).text
    fields = {"token": token, "next": target, "form_token": form_token(page)}
    return server.request("POST", "/sign-in", scope=None, html=True, data=fields)


def test_a_browser_that_is_not_signed_in_sees_the_form_at_the_same_address(server):
    answer = server.get("/p/x/leaderboard?sort=MAE", scope=None, html=True)

    assert answer.status_code == 401
    assert 'value="/p/x/leaderboard?sort=MAE"' in answer.text


def test_a_token_signs_a_browser_in_and_out(server):
    entered = sign_in(server, server.tokens["read"], "/p/x/jobs")
    assert (entered.status_code, entered.headers["location"]) == (303, "/p/x/jobs")
    page = server.get("/", scope=None, html=True)
    assert page.status_code == 200

    left = server.request("POST", "/sign-out", scope=None, data={"form_token": form_token(page.text)})

    assert left.status_code == 303
    assert server.get("/", scope=None, html=True).status_code == 401


def test_signing_out_ends_the_session_on_the_server_too(server):
    sign_in(server, server.tokens["read"])
    cookie = dict(server.client.cookies)
    page = server.get("/", scope=None, html=True).text
    server.request("POST", "/sign-out", scope=None, data={"form_token": form_token(page)})

    server.client.cookies.update(cookie)

    assert server.get("/", scope=None, html=True).status_code == 401


def test_a_page_from_an_earlier_session_is_not_taken_for_unchanged(server):
    """Its forms would be refused: they belong to the session that has ended."""
    server.send(body("job_start", "j"))
    path = "/p/p/leaderboard"
    sign_in(server, server.tokens["read"])
    tag = server.get(path, scope=None, html=True).headers["ETag"]
    again = server.get(path, scope=None, html=True, headers={"If-None-Match": tag})

    sign_in(server, server.tokens["read"])
    later = server.get(path, scope=None, html=True, headers={"If-None-Match": tag})

    assert (again.status_code, later.status_code) == (304, 200)
    left = server.request("POST", "/sign-out", scope=None, data={"form_token": form_token(later.text)})
    assert left.status_code == 303


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(server):
    cookie = sign_in(server, server.tokens["read"]).headers["set-cookie"].lower()

    assert "argus_session_8421=" in cookie
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize("token", ["", "nonsense", "em_live_" + "1" * 32])
def test_a_wrong_token_shows_the_form_again(server, token):
    answer = sign_in(server, token)

    assert answer.status_code == 401
    assert 'role="alert"' in answer.text


def test_a_token_that_may_only_report_does_not_sign_in(server):
    assert "only send events" in sign_in(server, server.tokens["report"]).text


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
@pytest.mark.parametrize("field", ["", "0" * 64, "é", "\U0001f600" * 64])
def test_a_form_from_elsewhere_is_refused(server, path, field):
    sign_in(server, server.tokens["read"])

    answer = server.request(
        "POST", path, scope=None, data={"token": server.tokens["read"], "form_token": field}
    )

    assert answer.status_code == 403
    assert server.get("/", scope=None, html=True).status_code == 200


def test_a_session_cannot_send_events(server):
    sign_in(server, server.tokens["admin"])

    assert server.request("POST", "/api/events", scope=None, json=body("job_start", "j")).status_code == 401


def test_a_one_time_link_signs_in_once(server):
    from argus_server.storage.credentials import Grant

    code = server.store.credentials.create_code(Grant("admin"))

    first = server.get(f"/sign-in?code={code}", scope=None, html=True)
    server.client.cookies.clear()
    second = server.get(f"/sign-in?code={code}", scope=None, html=True)

    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert second.status_code == 401
    assert "argus token link" in second.text


def test_looking_at_a_one_time_link_does_not_use_it_up(server):
    """Chats and mail programs ask for the head of a link before anybody follows it."""
    from argus_server.storage.credentials import Grant

    link = f"/sign-in?code={server.store.credentials.create_code(Grant('admin'))}"

    assert server.request("HEAD", link, scope=None).status_code == 200
    assert server.get(link, scope=None, html=True).status_code == 303


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "/\n/evil", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(server, target):
    location = sign_in(server, server.tokens["read"], target).headers["location"]

    assert urlsplit(location).netloc == ""
    assert location == "/"


def test_every_answer_has_the_security_headers(server):
    for path in ("/", "/sign-in", "/nope", "/api/projects", "/p/nope/leaderboard", "/healthz"):
        for scope in ("read", None):
            headers = server.get(path, scope=scope, html=True).headers

            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] in ("no-store", "private, no-cache")


def test_tokens_are_not_logged(server, caplog):
    caplog.set_level(0)

    server.get("/", scope="read", html=True)
    sign_in(server, server.tokens["read"])
    server.get("/api/projects", scope="em_live_" + "z" * 32)

    assert "em_live_" not in caplog.text
