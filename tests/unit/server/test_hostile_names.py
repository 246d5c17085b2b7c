"""Every string of an event is hostile input: what pages and exports make of it.

The same stream is sent twice, once with plain words and once with hostile text in their place. The two
projects are then read side by side, following every link: each page and export of the second must be
that of the first with the words replaced, and nothing else. A page that links or routes lead to is
covered without being named here.
"""

import csv
import io
import itertools
import json
import re
from collections import deque
from functools import partial
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit

import pytest
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser
from thorough import some
from unit.server.wire import body

from argus_server.ranking.view import column_id

ADDRESSES = ("href", "action", "datetime", "data-row", "data-live-url", "data-epochs")
BASE = "http://127.0.0.1:8421"
PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "title": "</title></textarea></pre><img src=x onerror=alert(1)>",
    "comment": "<!--><svg/onload=alert(1)>]]>",
    "attribute": "\"' onmouseover=alert(1) autofocus x='\"",
    "entity": "&lt;b&gt; &amp;amp; &#x3c;",
    "template": "{{ 7*7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "sql": "'; DROP TABLE job; --\" OR 1=1 /*",
    "formula": "=cmd|'/C calc'!A0",
    "hyperlink": '=HYPERLINK("http://x","y")',
    "plus": "+1+1",
    "minus": "-2+3",
    "at": "@SUM(A1)",
    "tab": "\t=1+1",
    "cr": "\r=1+1",
    "lf": "\n=1+1",
    "spaces": "  =1+1",
    "fullwidth": "\uff1d1+1",
    "nbsp": "\u00a0=1+1",
    "quotes": 'a,b;"c"\'d\'\n"e',
    "latex": "\\input{/etc/passwd}$x$%_&#~^{}\\write18{ls}",
    "markdown": "a|b`c`*d*_e_[f](javascript:alert(1))<u>![i](x) \\",
    "fence": "``` ~~~ | --- |\n# h\n> q",
    "header": "x\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "path": "../../../etc/passwd",
    "encoded": "%2e%2e%2f%00%0d%0a%252e",
    "dots": "..",
    "dot": ".",
    "slashes": "//evil.example/\\\\x",
    "url": "javascript:alert(1)//http://evil.example",
    "query": "a?b#c&d=e+f;g",
    "nul": "a\x00b",
    "controls": "".join(map(chr, [*range(1, 9), 11, 12, *range(14, 32), 127, 0x80, 0x85, 0x9F])) + "x",
    "bidi": "\u202egnp.exe\u2066\u200f",
    "invisible": "\u200b\u200d\ufeff\u2060x",
    "lines": "a\u2028b\u2029c\vd",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469 \ue000\U0010fffe",
    "surrogate": "a\ud800b\udfff",
    "combining": "a" + "\u0301" * 60,
    "lookalike": "Ρatсh\u0422S\u0422 ﬀ İ ß",
    "blank": " ",
    "long": "é<" * 4000,
    "proto": "__proto__",
    "constructor": "constructor",
    "json": '{"a": ["]", null], "b": 1}',
    "keywords": "null",
}
FIELDS = {  # what each may hold at most, and whether it names something
    "project": (60, True),
    "batch": (128, True),
    "job": (200, True),
    "metrickey": (200, True),
    "model": (8000, False),
    "dataset": (8000, False),
    "seed": (300, False),
    "host": (8000, False),
    "user": (8000, False),
    "commit": (8000, False),
    "command": (8000, False),
    "batchname": (8000, False),
    "experiment": (8000, False),
    "configkey": (8000, False),
    "configvalue": (8000, False),
    "tag": (8000, False),
    "metrictext": (8000, False),
    "unit": (16, True),
    "reason": (8000, False),
    "traceback": (8000, False),
    "logline": (8000, False),
    "level": (8000, False),
    "other": (8000, False),
}
TOKEN = re.compile("qz(" + "|".join(FIELDS) + ")zq")
_numbers = itertools.count()


def plain(field: str) -> str:
    """Return the word that stands for a field in the first of the two projects."""
    return f"qz{field}zq"


def sent(payload: str, field: str) -> str:
    """Return what is sent in this field: identifiers may be neither long nor broken text."""
    length, is_name = FIELDS[field]
    text = payload[:length]
    return text.replace("\x00", "").encode("utf-8", "replace").decode() if is_name else text


def kept(text: str) -> str:
    """Return what is to come back of a text."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def stream(word) -> list[dict]:
    """Return events of which every string is a word."""
    source = {"project": word("project")} | {
        name: word(name) for name in ("host", "user", "commit", "command")
    }
    config = {word("configkey"): [word("configvalue"), {word("configkey"): 1}]}
    labels = {"model": word("model"), "dataset": word("dataset"), "seed": word("seed")}
    metrics = {"MSE": -0.5, word("metrickey"): word("metrictext")}
    meanings = {
        word("metrickey"): {"unit": word("unit"), "direction": "lower"},
        word("other") + "?": word("other"),
    }
    traceback = {"traceback": word("traceback"), "type": word("other")}
    names = {
        "name": "of " + word("batchname"),
        "experiment_type": word("experiment"),
        "command": word("command"),
    }
    job, lost, batch = word("job"), "l" + word("job"), word("batch")
    more = {word("other"): word("other"), "tags": [word("tag")], "config": config}
    events = [
        body("batch_start", batch=batch, **names),
        body("job_start", job, at=1, batch=batch, **labels, **more),
        body("job_epoch", job, at=2, batch=batch, epoch=0, train_loss=1.5, val_loss=0.5, note=word("other")),
        body("job_done", job, at=3, batch=batch, metrics=metrics, metric_conventions=meanings, elapsed_s=1),
        body("job_start", lost, at=4, batch=batch, **labels, **more),
        body("job_failed", lost, at=5, batch=batch, reason=word("reason"), error=traceback),
        body("log_line", lost, at=6, batch=batch, line=word("logline"), level=word("level")),
        body("batch_done", at=7, batch=batch, status=word("other"), untested=[word("job")]),
    ]
    return [{**event, "source": source} for event in events]


class Reader:
    """Reads as somebody who may see one project."""

    def __init__(self, client: TestClient, word) -> None:
        self.client = client
        self.word = word
        self._answers = {}
        self.project = word("project")
        answer = client.post(
            "/api/events/batch",
            content=json.dumps(stream(word)),
            headers={"Authorization": f"Bearer {client.app.state.reporter}"},
        )
        assert answer.json()["rejected"] == 0, answer.text
        credentials = client.app.state.store.credentials
        self.token = credentials.create_token("read", kept(self.project))

    def get(self, url: str):
        """Return the answer, the same one each time: nobody sends events meanwhile."""
        if url not in self._answers:
            self._answers[url] = self._get(url)
        return self._answers[url]

    def _get(self, url: str):
        accept = "application/json" if url.startswith("/api/") else "text/html"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        return self.client.get(url, headers=headers, follow_redirects=True)


@pytest.fixture(scope="module")
def client(make_board):
    server = make_board()
    server.client.app.state.reporter = server.tokens["report"]
    return server.client


@pytest.fixture(scope="module")
def model(client) -> Reader:
    return Reader(client, plain)


@pytest.mark.parametrize("name", some(list(PAYLOADS)))
def test_hostile_text_changes_nothing_but_itself_on_any_page_or_export(client, model, name):
    payload = PAYLOADS[name]
    number = next(_numbers)

    def word(field: str) -> str:
        text = sent(payload, field)
        return f"{text}{number}" if field == "project" and not text.startswith(".") else text

    reader = Reader(client, word)
    texts = {field: kept(word(field)) for field in FIELDS}
    seen, patterns = set(), patterns_of(client.app)

    for here, there in walk(model, reader):
        path = urlsplit(here).path
        ours, theirs = model.get(here), reader.get(there)
        assert ours.status_code == 200, f"{here}: {ours.text[:300]}"
        assert theirs.status_code == 200, f"{there[:300]}: {theirs.text[:300]}"
        compare(ours, theirs, texts, here)
        seen.add(route_of(patterns, path))

    missed = {path for path, _ in readable(client.app)} - seen
    assert not missed, f"no page leads to {missed}"


def walk(model: Reader, reader: Reader):
    """Yield the addresses of both projects in pairs: every route, and whatever any page links to."""
    starts = [fill(path, model) for path, _ in readable(model.client.app)]
    mirrored = [fill(path, reader) for path, _ in readable(reader.client.app)]
    waiting = deque(zip(starts, mirrored, strict=True))
    known = set(starts)
    while waiting:
        here, there = waiting.popleft()
        yield here, there
        ours, theirs = model.get(here), reader.get(there)
        if "text/html" not in ours.headers["content-type"]:
            continue
        pairs = zip(links(ours.text, here), links(theirs.text, there), strict=True)
        for pair in pairs:
            if pair[0] not in known and len(parse_qsl(urlsplit(pair[0]).query)) <= 1:  # not every combination
                known.add(pair[0])
                waiting.append(pair)


def readable(app):
    """Return path and parameters of every route that shows a project, or all of them, to readers.

    The stream of live changes has no end and is not among them.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute) and "GET" in route.methods:
            scopes = {
                s for h in route.route_handlers for g in h.resolve_guards() for s in getattr(g, "scopes", ())
            }
            if "read" in scopes and not {"stop-requested", "token", "live", "metrics", "check"} & set(
                route.path.split("/")
            ):
                yield route.path, re.findall(r"\{(\w+):str\}", route.path)


def fill(path: str, reader: Reader) -> str:
    from argus_server.urls import segment

    names = {"project": "project", "batch_id": "batch", "job_id": "job", "model": "model"}

    def value(match):
        assert match[1] in names, f"this test has no {match[1]} for {path}"
        return segment(kept(reader.word(names[match[1]])))

    filled = re.sub(r"\{(\w+):str\}", value, path)
    if "/compare" not in path:
        return filled
    batch, job = reader.word("batch"), reader.word("job")
    pair = [f"{segment(batch)}/{segment(name)}" for name in (job, "l" + job)]
    return filled + "?" + urlencode({"job": pair}, doseq=True)


def route_of(patterns, path: str) -> str:
    return next((route for route, pattern in patterns if pattern.fullmatch(path)), path)


def patterns_of(app) -> list:
    """Return every readable route and what its addresses look like, those with the fewest names first."""
    paths = sorted((path for path, _ in readable(app)), key=lambda path: path.count("{"))
    return [(path, re.compile(re.sub(r"\\\{\w+:str\\\}", "[^/]+", re.escape(path)))) for path in paths]


def links(text: str, base: str) -> list[str]:
    """Return what a page links to on this server; nothing may lead elsewhere."""
    found = []
    for node in LexborHTMLParser(text).css("a[href], link[href], img[src], script[src], iframe[src]"):
        target = node.attributes.get("href") or node.attributes.get("src") or ""
        url = urljoin(BASE + base, target)
        assert url.startswith(BASE + "/"), f"{base} leads to {url}"
        place = urlsplit(url)
        found.append(place.path + (f"?{place.query}" if place.query else ""))
    return [url for url in found if not url.startswith("/static/")]


# --- comparing ---------------------------------------------------------------------------------


def compare(ours, theirs, texts: dict[str, str], where: str) -> None:
    ignored = {"content-encoding", "content-length"}  # long answers are packed
    assert set(ours.headers) - ignored == set(theirs.headers) - ignored, where
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    kind = ours.headers["content-type"].partition(";")[0]
    checks = {
        "text/html": same_page,
        "image/svg+xml": same_page,
        "application/json": same_json,
        "text/csv": same_csv,
        "text/markdown": same_markdown,
        "application/x-tex": same_latex,
    }
    assert kind in checks, f"this test cannot read {kind} of {where}"
    checks[kind](ours.text, theirs.text, texts, where)


def replaced(text: str, texts: dict[str, str], write=lambda value: value) -> str:
    return TOKEN.sub(lambda match: write(texts[match[1]]), text)


def html_text(text: str) -> str:
    """Return text as a browser has it after parsing: line ends are one character."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def nodes(text: str) -> list:
    """Return every element in order: its name, its attributes but addresses, and its own text."""
    found = []
    for node in LexborHTMLParser(text).root.traverse(include_text=False):
        if node.tag in ("wbr", "time"):
            continue
        attributes = {k: v for k, v in node.attributes.items() if k not in ADDRESSES}
        if attributes.get("name") in ("form_token", "next", "job"):
            attributes.pop("value", None)
        parts = (part.text_content or "" for part in node.iter(include_text=True) if part.tag == "-text")
        found.append((node.tag, attributes, "".join(parts)))
    return found


def same_page(ours: str, theirs: str, texts: dict[str, str], where: str) -> None:
    left, right = nodes(ours), nodes(theirs)
    assert [item[0] for item in left] == [item[0] for item in right], f"{where}: other elements"
    assert not {"iframe", "object", "base", "img"} & {item[0] for item in right}
    assert all(known["src"].startswith("/static/") for tag, known, _ in right if tag == "script")
    for (tag, known, text), (_, attributes, other) in zip(left, right, strict=True):
        assert known.keys() == attributes.keys(), f"{where}: other attributes of {tag}"
        for name, value in known.items():
            if name == "sizes" or value is None:
                continue
            wanted = html_text(replaced(value, texts))
            if attributes[name] != wanted:
                ids = (column_id(wanted), f"metric:{wanted}")  # the last where a - may stand before
                assert attributes[name] in ids, f"{where}: {tag} {name}"
        if other == html_text(replaced(text, texts)):
            continue
        wanted = {html_text(replaced(text, texts)), *(replaced(text, texts, write) for write in WRITTEN)}
        other = other.replace("\\u0000", "\ufffd")  # a configuration is kept as it was sent
        if tag == "pre":  # drops the line end that it begins with
            wanted |= {item.removeprefix("\n") for item in wanted}
        is_cut = other.endswith("…") and any(item.startswith(other[:-1]) for item in wanted)
        assert other in wanted or is_cut, f"{where}: text of {tag}: {other[:300]!r}"


def in_script(text: str, *, ascii_only: bool) -> str:
    """Return a text as JSON in a page writes it inside quotes."""
    written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    return re.sub("[<>&']", lambda match: f"\\u{ord(match[0]):04x}", written)


def in_json(text: str) -> str:
    """Return a text as JSON that is shown writes it inside quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


WRITTEN = [*(partial(in_script, ascii_only=choice) for choice in (True, False)), in_json]


def same_json(ours: str, theirs: str, texts: dict[str, str], where: str) -> None:
    def walk(value, key=""):
        if isinstance(value, dict):
            return {walk(name): walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, str) and value.startswith("/p/"):
            return [replaced(part, texts) for part in address(value)]
        return replaced(value, texts) if isinstance(value, str) else value

    def plain_addresses(value):
        if isinstance(value, dict):
            return {name: plain_addresses(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain_addresses(item) for item in value]
        return address(value) if isinstance(value, str) and value.startswith("/p/") else value

    assert plain_addresses(json.loads(theirs.replace("\\u0000", "\ufffd"))) == walk(json.loads(ours)), where


def address(link: str) -> list[str]:
    """Return the names that a link goes through, and those in its query."""
    place = urlsplit(link)
    names = [unquote(re.sub(r"^~(?=~*\.{1,2}$)", "", part)) for part in place.path.split("/")]
    return names + [value for pair in parse_qsl(place.query) for value in pair]


def same_csv(ours: str, theirs: str, texts: dict[str, str], where: str) -> None:
    left = list(csv.reader(io.StringIO(ours, newline=""), strict=True))
    right = list(csv.reader(io.StringIO(theirs, newline=""), strict=True))
    assert [len(row) for row in left] == [len(row) for row in right], where
    for known, cell in zip(itertools.chain(*left), itertools.chain(*right), strict=True):
        wanted = replaced(known, texts)
        assert cell in (wanted, "'" + wanted), where
        if cell != known:
            first = cell.lstrip()[:1]
            assert first not in tuple("=+-@|\uff1d\uff0b\uff0d\uff20"), f"{where}: {cell!r}"
            assert cell[:1] not in ("\t", "\r", "\n"), f"{where}: {cell!r}"


MARKDOWN = MarkdownIt("commonmark").enable("table")


def same_markdown(ours: str, theirs: str, texts: dict[str, str], where: str) -> None:
    """A reader of Markdown sees the same table, with the words replaced and nothing made of them."""
    left, right = (LexborHTMLParser(MARKDOWN.render(text)) for text in (ours, theirs))
    tags = [[node.tag for node in page.root.traverse()] for page in (left, right)]
    assert tags[0] == tags[1], where
    cells = [[node.text() for node in page.css("th, td, p")] for page in (left, right)]
    for known, cell in zip(*cells, strict=True):
        assert squeezed(cell) in (wanted := squeezed(replaced(known, texts)), wanted or "–"), where


HARMLESS = {
    *("num", "textbf", "underline", "texttt", "argusunicode", "providecommand", "string", "ldots"),
    *("textbackslash", "textasciicircum", "textasciitilde", "textasciigrave", "textless", "textgreater"),
    *("textbar", "ss", "ae", "AE", "oe", "OE", "o", "O", "l", "L", "i", "j", "u", "r", "H", "v", "c"),
    *("pm", "times", "cdot", "circ", "mu", "infty", "emptyset", "dagger", "ddagger", "leq", "geq", "alpha"),
    *(
        "chi",
        "S",
        "Vert",
        "oslash",
        "downarrow",
        "uparrow",
        "tabularnewline",
        "toprule",
        "midrule",
        "bottomrule",
    ),
    *("begin", "end", "table", "tabular", "centering", "caption", "label", "footnotesize", "smallskip"),
    *("par", "mathrm", "S"),
}
"""The commands of LaTeX that a table may have; none of them reads a file or runs a program."""


def same_latex(ours: str, theirs: str, texts: dict[str, str], where: str) -> None:
    """The same rows and columns, no command but ours, no comment, and every brace closed."""
    tables = []
    for text in (ours, theirs):
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("% "))
        bare = re.sub(r"\\[^A-Za-z]", "", body)  # quoted signs, and accents
        assert set(re.findall(r"\\([A-Za-z]+)", body)) <= HARMLESS, where
        assert "%" not in bare
        assert bare.count("{") == bare.count("}"), where
        assert body.splitlines() == body.split("\n")[:-1], f"{where}: another line end"
        tables.append([line.count("&") for line in bare.splitlines()])
    assert tables[0] == tables[1], where


def squeezed(text: str) -> str:
    """Return text without the white space and control characters that one line of a table cannot have."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]+", "", text)


def test_every_filter_keeps_what_it_names(client):
    for name, payload in PAYLOADS.items():
        if len(payload) > 1000:
            continue
        reader = Reader(
            client, lambda field, p=payload, n=name: f"f{n}" if field == "project" else sent(p, field)
        )
        for field in ("model", "dataset", "batch"):
            wanted = kept(payload[: FIELDS[field][0]] if field != "batch" else sent(payload, field))
            listed = client.get(
                f"/api/projects/f{name}/jobs",
                params={field: wanted},
                headers={"Authorization": f"Bearer {reader.token}"},
            ).json()
            assert listed["total"] == 2, (name, field)
            assert dict(parse_qsl(urlsplit(f"?{field}=x").query)) == {field: "x"}
