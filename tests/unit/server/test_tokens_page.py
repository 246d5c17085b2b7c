"""The page where admins make, list and revoke tokens, as a browser uses it."""

import re

import pytest
from unit.server.wire import body

from argus_server.storage.credentials import Grant


class Browser:
    """A browser that is signed in with this grant, on a server it shares with others."""

    def __init__(self, server, grant):
        self.server = server
        secret = server.store.credentials.create_session(grant)
        server.client.cookies.clear()
        server.client.cookies.set("argus_session_8421", secret)

    def page(self, path="/tokens"):
        return self.server.get(path, scope=None, html=True)

    def form_token(self):
        return re.search(r'form_token" value="(\w+)"', self.page().text)[1]

    def make(self, **fields):
        form = {"scope": "read", "project": "", "name": "", "expires": "", **fields}
        data = {"form_token": self.form_token(), **form}
        return self.server.request("POST", "/tokens", scope=None, html=True, data=data)

    def revoke(self, number):
        data = {"form_token": self.form_token()}
        return self.server.request("POST", f"/tokens/{number}/revoke", scope=None, html=True, data=data)


@pytest.fixture
def admin(server):
    return Browser(server, Grant("admin"))


def made_token(answer):
    assert answer.status_code == 200, answer.text
    return re.search(r"em_live_\w{32}", answer.text)[0]


def test_a_token_is_made_shown_once_and_works(server, admin):
    server.send(body("job_start", "j"))

    answer = admin.make(scope="report", project="p", name="cluster <1>", expires="30d")

    text = made_token(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert text not in admin.page().text
    assert "cluster &lt;1&gt;" in admin.page().text
    assert server.post("/api/events", json=body("job_start", "k"), scope=text).status_code == 200
    token = server.store.credentials.tokens()[-1]
    assert (token.scope, token.project, token.name) == ("report", "p", "cluster <1>")
    assert token.expires_us - token.created_us == 30 * 86400 * 1_000_000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scope": "root"}, "is not a scope"),
        ({"scope": ""}, "is not a scope"),
        ({"expires": "soon"}, "no length of time"),
        ({"expires": "0d"}, "no length of time"),
        ({"expires": "999999999y"}, "no length of time"),
        ({"name": "n" * 500}, "500 characters"),
        ({"project": "p" * 500}, "500 characters"),
        ({"project": "a\0b"}, "no name has"),
    ],
)
def test_a_form_that_makes_no_sense_says_why_and_makes_nothing(server, admin, fields, said):
    before = len(server.store.credentials.tokens())

    answer = admin.make(**fields)

    assert answer.status_code == 422
    assert said in re.search(r'role="alert">([^<]*)<', answer.text)[1]
    assert len(server.store.credentials.tokens()) == before


def test_a_refused_form_keeps_what_was_typed(admin):
    page = admin.make(project="my-project", name="laptop", expires="soon").text

    assert 'value="my-project"' in page
    assert 'value="laptop"' in page


def test_a_revoked_token_is_refused_and_stays_in_the_list(server, admin):
    text = made_token(admin.make())
    number = server.store.credentials.tokens()[-1].id
    assert server.get("/api/projects", scope=text).status_code == 200

    answer = admin.revoke(number)

    assert (answer.status_code, answer.headers["location"]) == (303, "/tokens")
    assert server.get("/api/projects", scope=text).status_code == 401
    row = re.search(rf"<tr[^>]*>\s*<td[^>]*>{number}</td>.*?</tr>", admin.page().text, re.DOTALL)[0]
    assert "revoked" in row
    assert "<form" not in row


def test_who_revokes_the_token_of_this_session_is_signed_out(server):
    grant = server.store.credentials.check_token(server.tokens["admin"])
    browser = Browser(server, grant)
    assert "signed in with it" in browser.page().text

    browser.revoke(grant.token_id)

    assert browser.page().status_code == 401


def test_an_admin_of_one_project_sees_and_makes_its_tokens_only(server):
    credentials = server.store.credentials
    server.send(body("job_start", "j", project="mine"), body("job_start", "j", project="yours"))
    credentials.create_token("read", "yours", "not for you")
    yours = credentials.tokens()[-1].id
    credentials.create_token("read", "mine", "for me")
    browser = Browser(server, Grant("admin", "mine"))

    page = browser.page().text
    refused = browser.make(project="yours")
    made = browser.make(project="", scope="admin")

    assert "for me" in page
    assert "yours" not in page
    assert "not for you" not in page
    assert refused.status_code == 422
    assert credentials.check_token(made_token(made)) == Grant("admin", "mine", credentials.tokens()[-1].id)
    assert browser.revoke(yours).status_code == 404
    assert browser.revoke(10**30).status_code == 404


@pytest.mark.parametrize("path", ["/tokens", "/tokens/1/revoke"])
@pytest.mark.parametrize("field", ["", "0" * 64, "\U0001f600"])
def test_a_form_from_elsewhere_changes_nothing(server, admin, path, field):
    before = server.store.credentials.tokens()

    answer = server.request("POST", path, scope=None, data={"scope": "admin", "form_token": field})

    assert answer.status_code == 403
    assert server.store.credentials.tokens() == before


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403)])
def test_a_form_that_the_browser_says_comes_from_elsewhere_is_refused(server, admin, site, status):
    data = {"scope": "read", "form_token": admin.form_token()}

    answer = server.request("POST", "/tokens", scope=None, data=data, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == status


def test_the_form_token_of_one_session_is_not_good_in_another(server, admin):
    """A neighbour on the same domain can set cookies; what it knows from its own session is no use."""
    stolen = admin.form_token()
    cookies = dict(server.client.cookies)
    other = Browser(server, Grant("admin"))
    server.client.cookies.set("argus_form", cookies["argus_form"])

    data = {"scope": "read", "form_token": stolen}
    assert server.request("POST", "/tokens", scope=None, data=data).status_code == 403
    assert other.make().status_code == 200


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_only_admins_are_led_to_the_page(server, scope):
    browser = Browser(server, Grant(scope))

    assert ('href="/tokens"' in browser.page("/").text) == (scope == "admin")


def test_hostile_words_stay_words(server, admin):
    words = '"><script>alert(1)</script>'
    text = made_token(admin.make(name=words, project=words))

    for page in (admin.page().text, admin.make(name=words, project=words, expires="x").text):
        assert "<script" not in page
    assert server.store.credentials.check_token(text).project == words
