"""Tokens that are wrong, revoked or for another project: what the trainer and `argus doctor` say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest
from real_server import ARGUS, RealServer, run_python


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path)
    yield server
    server.end()


def argus(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARGUS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_token_revoked_in_mid_run_stops_the_sending_and_loses_nothing(server):
    token = server.make_token("report", "p")
    server.start()
    script = textwrap.dedent(
        """
        import sys
        from argus_core import Reporter
        with Reporter("revoked", project="p") as reporter:
            job = reporter.job("j")
            assert reporter.flush(10)
            print("sent", flush=True)
            sys.stdin.readline()
            for epoch in range(50):
                job.epoch(epoch, train_loss=0.1)
            job.done({"MSE": 1.0})
        """
    )
    trainer = run_python(script, ARGUS_URL=server.url, ARGUS_TOKEN=token)
    assert trainer.stdout is not None
    assert trainer.stdout.readline() == "sent\n"
    listed = argus("token", "list", "--database", str(server.database)).stdout
    number = re.match(r" *(\d+)", listed)[1]
    assert argus("token", "revoke", number, "--database", str(server.database)).returncode == 0
    _, errors = trainer.communicate("\n", timeout=60)

    assert trainer.returncode == 0, errors
    assert errors.count("sending has stopped") == 1
    assert "argus token create --scope report" in errors
    assert len(server.event_ids()) == 2

    other = server.make_token("report", "p")
    assert argus("sync", ARGUS_URL=server.url, ARGUS_TOKEN=other).returncode == 0
    assert len(server.event_ids()) == 2 + 50 + 2


@pytest.mark.parametrize(
    ("scope", "project", "code", "said"),
    [
        ("report", "p", 0, "the token may send events to the project p"),
        ("report", None, 0, "the token may send events to every project"),
        ("admin", None, 0, "the token may send events to every project"),
        ("read", None, 1, "it cannot send"),
        ("report", "other", 0, "good for the project other, ARGUS_PROJECT says p"),
    ],
)
def test_doctor_knows_what_a_token_is_good_for(server, scope, project, code, said):
    token = server.make_token(scope, project)
    server.start()

    result = argus("doctor", ARGUS_URL=server.url, ARGUS_TOKEN=token, ARGUS_PROJECT="p")

    assert said in result.stdout
    assert result.returncode == code, result.stdout
    assert "the clocks agree" in result.stdout
    assert token not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("token", "said"), [("em_live_" + "x" * 32, "does not know ARGUS_TOKEN"), ("", "ARGUS_TOKEN is not set")]
)
def test_doctor_names_the_fix_for_a_bad_token(server, token, said):
    server.start()

    result = argus("doctor", ARGUS_URL=server.url, ARGUS_TOKEN=token)

    assert result.returncode == 1
    assert said in result.stdout
    assert "argus token create --scope report" in result.stdout


def test_doctor_knows_http_when_it_was_asked_for_https(server):
    server.start()

    result = argus("doctor", ARGUS_URL=server.url.replace("http:", "https:"), ARGUS_TOKEN="t")

    assert "this port speaks http, not https" in result.stdout
    assert f"→ export ARGUS_URL={server.url}\n" in result.stdout
    assert result.returncode == 1


def test_non_finite_metrics_come_back_as_what_they_were(server):
    import requests

    token, reader = server.make_token("report", "p"), server.make_token("read", "p")
    server.start()
    script = """
from argus_core import Reporter
with Reporter("x", project="p") as reporter:
    reporter.job("j", model="m").done({"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 1e-300})
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        timeout=60,
        env={**os.environ, "ARGUS_URL": server.url, "ARGUS_TOKEN": token},
    )

    answer = requests.get(
        f"{server.url}/api/projects/p/leaderboard", headers={"Authorization": f"Bearer {reader}"}, timeout=10
    )
    assert answer.json()["rows"][0]["cells"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 1e-300}


def test_what_a_plugin_knows_of_a_metric_ranks_it_on_the_board(server):
    import requests

    token, reader = server.make_token("report", "p"), server.make_token("read", "p")
    server.start()
    script = """
from argus_core import Reporter, plugins
from argus_core.conventions import Convention
from argus_core.hookspecs import hookimpl

class Energy:
    @hookimpl
    def argus_metric_conventions(self):
        return {"energy": Convention("kWh", "lower", "cost")}

plugins.register(Energy())
with Reporter("x", project="p") as reporter:
    for model, energy in (("large", 3.0), ("small", 1.0)):
        reporter.job(model=model, dataset="d").done({"energy": energy})
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        timeout=60,
        env={**os.environ, "ARGUS_URL": server.url, "ARGUS_TOKEN": token},
    )

    board = requests.get(
        f"{server.url}/api/projects/p/leaderboard", headers={"Authorization": f"Bearer {reader}"}, timeout=10
    ).json()
    assert [(row["rank"], row["model"], row["best"]) for row in board["rows"]] == [
        (1, "small", ["energy"]),
        (2, "large", []),
    ]
    column = next(column for column in board["columns"] if column["key"] == "energy")
    assert (column["unit"], column["direction"], column["role"]) == ("kWh", "lower", "cost")
