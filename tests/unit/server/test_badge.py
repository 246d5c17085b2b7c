"""The picture of where a model stands."""

from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import job


def shown(answer):
    page = LexborHTMLParser(answer.text)
    return [node.text() for node in page.css("text")], page.css_first("title").text()


def test_a_badge_says_where_a_model_stands_by_which_metric(server):
    values = {'<b>&"x': 0.1, "second": 0.2, "third": 0.3}
    server.store.add_events([e for name, v in values.items() for e in job(f"j-{v}", name, MSE=v, R2=v)])
    server.store.add_events([*job("n", "lost", MSE="NaN"), *job("o", "none", MAE=1.0)])

    def badge(path, **more):
        return server.get(f"/p/p/badge/{path}", **more)

    first = badge("%3Cb%3E%26%22x.svg")
    assert first.headers["content-type"].partition(";")[0] == "image/svg+xml"
    assert shown(first) == (["MSE", "1st of 3"], '<b>&"x: MSE 1st of 3 (p)')
    assert "<b>" not in first.text
    assert len(first.content) < 1500
    assert shown(badge("third.svg"))[0] == ["MSE", "3rd of 3"]
    assert shown(badge("third"))[0] == ["MSE", "3rd of 3"]
    assert shown(badge("third.svg?metric=R2"))[0] == ["R2", "1st of 3"]
    assert shown(badge("second.svg?model=third&q=z&sort=R2"))[0] == ["MSE", "2nd of 3"]
    assert shown(badge("lost.svg"))[0] == ["MSE", "not ranked"]
    assert shown(badge("nobody.svg"))[0] == ["MSE", "no result"]


def test_a_badge_may_be_kept_for_minutes_and_is_embedded_anywhere_if_public(server):
    server.store.add_events(job("j", "m", MSE=0.5))
    private = server.get("/p/p/badge/m.svg")
    assert private.headers["cache-control"] == "private, max-age=300"
    assert server.get("/p/p/badge/m.svg", scope=None).status_code == 401

    server.store.credentials.set_public("p", is_public=True)
    public = server.get("/p/p/badge/m.svg", scope=None)

    assert public.headers["cache-control"] == "public, max-age=300"
    assert public.headers["cross-origin-resource-policy"] == "cross-origin"
    known = {"If-None-Match": public.headers["etag"]}
    assert server.get("/p/p/badge/m.svg", scope=None, headers=known).status_code == 304
    server.store.add_events(job("k", "m2", MSE=0.4))
    assert server.get("/p/p/badge/m.svg", scope=None, headers=known).status_code == 200
