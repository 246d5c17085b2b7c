"""The table for a paper, as text; a real LaTeX reads it in tests/fault."""

import re

import pytest
from unit.server.wire import job

from argus_server.exports.latex_text import latex_number, latex_text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("50%_a&b#c", r"50\%\_a\&b\#c"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("a--b", "a-{}-{}b"),
        ("two\nlines", "two lines"),
        ("é Å ı", r"\'{e} \r{A} \i{}"),
        ("\u202eabc", r"\argusunicode{202E}{}abc"),
        ("x" * 200, "x" * 80 + r"\ldots{}"),
    ],
)
def test_names_are_shown_and_never_obeyed(text, written):
    assert latex_text(text) == written


@pytest.mark.parametrize(
    ("display", "written"),
    [
        ("0.380", r"\num{0.380}"),
        ("−1,234.5", r"\num{-1234.5}"),
        ("2.50e-03", r"\num{2.50e-03}"),
        ("NaN", "NaN"),
        ("−∞", r"$-$$\infty$"),
        ("n/a", "n/a"),
    ],
)
def test_numbers_go_to_siunitx_and_other_values_are_text(display, written):
    assert latex_number(display) == written


def test_the_table_is_the_view_and_its_caption_says_what_a_reader_must_know(server):
    server.store.add_events(
        [*job("a", "m_1", seed=0, MSE=0.5), *job("b", "m_1", seed=1, MSE=0.7), *job("c", "m2", MSE=0.8)]
    )
    server.store.add_events([*job("d", "m3", MSE="NaN"), *job("e", "m4", MAE=1.0)])
    path = "/p/p/leaderboard.tex?group=cell&sort=MSE"

    text = server.get(path).text

    (caption,) = re.findall(r"\\caption\[Leaderboard\]\{(.*)\}\n", text)
    for said in ("ranked by MSE (lower is better)", "mean over seeds", "standard deviation", "no $\\alpha$"):
        assert said in caption.replace("{}", ""), said
    rows = re.findall(r"^(.*) \\tabularnewline$", text, re.MULTILINE)
    assert rows[0] == r"\# & Model & Dataset & MSE $\downarrow$ & MAE $\downarrow$ & Jobs"
    assert rows[1] == (
        r"1 & m\_1$^{\mathrm{b}}$ & d & \textbf{\num{0.60}} $\pm$ \num{0.14} & $\emptyset$ & 2"
    )
    assert rows[2] == r"2 & m2$^{\mathrm{a}}$ & d & \underline{\num{0.80}} (n=1) & $\emptyset$ & 1"
    assert rows[3].startswith(r"-- & m3$^{\mathrm{a}}$ & d & NaN (1 of 1 diverged)")
    (digest,) = set(re.findall(r"[0-9a-f]{12}", text))
    assert digest not in server.get("/p/p/leaderboard.tex?sort=MSE").text
    assert digest in server.get("/p/p/leaderboard.tex?sort=MSE&group=cell").text
    server.store.add_events(job("f", "m5", MSE=0.9))
    assert digest not in server.get(path).text


def test_the_n_beside_a_mean_is_that_of_its_values_where_the_jobs_are_more(server):
    for seed in range(3):
        more = {"MSE": 0.5 + seed} if seed < 2 else {}
        server.store.add_events(job(f"a{seed}", "m", seed=seed, MAE=1.0 + seed, **more))
    path = "/p/p/leaderboard.{}?group=cell&sort=MSE"

    (row,) = re.findall(r"^1 & .*$", server.get(path.format("tex")).text, re.MULTILINE)
    (line,) = re.findall(r"^\| 1 \|.*$", server.get(path.format("md")).text, re.MULTILINE)
    (cells,) = [row["display"] for row in server.get(path.format("json")).json()["rows"]]
    page = server.get("/p/p/leaderboard?group=cell&sort=MSE", html=True).text

    assert r"$\pm$ \num{0.71}, n=2 & " in row
    assert row.endswith(r"$\pm$ \num{1.0} & 3 \tabularnewline")
    assert "± 0.71, n=2 |" in line
    assert line.endswith("± 1.0 | 3 |")
    assert cells["MSE"].endswith("± 0.71, n=2")
    assert not cells["MAE"].endswith("n=3")  # as many as the row has jobs
    assert "± 0.71, n=2</i>" in page


def test_the_matrix_is_a_table_for_a_paper_too(server):
    server.store.add_events([*job("a", "m1", "d_1", MSE=0.5), *job("b", "m1", "d_1", seed=1, MSE=0.7)])
    server.store.add_events([*job("c", "m2", "d_1", MSE=0.8), *job("d", "m2", "d2", MSE=0.1)])

    text = server.get("/p/p/matrix.tex").text

    rows = re.findall(r"^(.*) \\tabularnewline$", text, re.MULTILINE)
    assert rows[0] == r"Model & d2 & d\_1 & Avg rank"
    assert rows[2].startswith(r"m1 & --- & \textbf{\num{0.60}} $\pm$ \num{0.14}")
    assert "MSE of p (lower is better)" in text
    turned = server.get("/p/p/matrix.tex?transpose=1").text
    assert "Dataset & " in turned
