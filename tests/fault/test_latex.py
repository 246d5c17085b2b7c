"""The table for a paper, typeset by a real LaTeX of Debian (`.ci/run` has the packages)."""

import re
import shutil
import subprocess

import pytest
from litestar.testing import TestClient
from unit.server.test_hostile_names import BASE, PAYLOADS, Reader, kept, sent

from argus_server.app import create_app
from argus_server.settings import Settings
from argus_server.urls import path_to

pytestmark = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")

PAPER = r"""\documentclass{article}
%s
\usepackage{booktabs,siunitx}
\usepackage[paperwidth=500cm,paperheight=100cm]{geometry}
\begin{document}
\listoftables
%s
\end{document}
"""


def typeset(directory, tables, preamble=""):
    """Return the log of pdfLaTeX, which must not complain: twice, since captions travel through a file."""
    for number, table in enumerate(tables):
        (directory / f"t{number}.tex").write_text(table, encoding="utf-8")
    inputs = "\n".join(rf"\input{{t{number}}}\clearpage" for number in range(len(tables)))
    (directory / "paper.tex").write_text(PAPER % (preamble, inputs), encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):
        result = subprocess.run(command, cwd=directory, capture_output=True, timeout=300)
        said = result.stdout.decode("utf-8", "replace")
        assert result.returncode == 0, said[-3000:]
    assert (directory / "paper.pdf").stat().st_size > 1000
    return (directory / "paper.log").read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    database = str(tmp_path_factory.mktemp("latex") / "argus.sqlite3")
    with TestClient(create_app(Settings(database=database)), base_url=BASE) as client:
        client.app.state.reporter = client.app.state.store.credentials.create_token("report")
        yield client


@pytest.mark.parametrize("preamble", ["", r"\usepackage[T1]{fontenc}"], ids=["OT1", "T1"])
def test_a_real_latex_typesets_every_hostile_name(client, tmp_path, preamble):
    tables = []
    for number, (name, payload) in enumerate(PAYLOADS.items()):

        def word(field, payload=payload, number=number):
            text = sent(payload, field)
            return f"{text}{number}{preamble[:1]}" if field == "project" else text

        reader = Reader(client, word)
        pages = [("leaderboard.tex", "group", group) for group in ("job", "cell", "model")]
        pages += [
            ("matrix.tex", "transpose", ""),
            ("matrix.tex", "transpose", "1"),
            ("pairs.tex", "test", ""),
        ]
        for page, key, value in pages:
            answer = reader.get(path_to("p", kept(reader.project), page, query=[(key, value)]))
            assert answer.status_code == 200, (name, answer.text)
            tables.append(answer.text)

    log = typeset(tmp_path, tables, preamble)

    assert "Missing character" not in log
    assert not re.search(r"\(/etc/|write18.*executed", log)


def test_names_of_many_scripts_are_typeset_by_what_there_is(client, tmp_path):
    from argus_server.exports.latex_text import PREAMBLE, latex_text

    words = [
        "Größe",
        "naïve café",
        "Łódź",
        "İstanbul",
        "日本語",
        "Ρatch",
        "a--b",
        "x,,y",
        "«q»",
        "3×2±1",
        "α",
    ]

    log = typeset(tmp_path, [PREAMBLE + "\n" + "\n\n".join(map(latex_text, words))])

    assert "Missing character" not in log
    assert latex_text("日") == r"\argusunicode{65E5}{日}"
    assert latex_text("a--b") == "a-{}-{}b"
