"""What the documents say is what the code does."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from argus_core import hookspecs
from argus_core.conventions import CONVENTIONS
from argus_core.settings import VARIABLES

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_screen_has_exactly_two_commands():
    first_screen = README.partition("## Use it")[0]

    blocks = re.findall(r"<!-- command (\d) -->\n```sh\n(.+)\n```", first_screen)

    assert [number for number, _ in blocks] == ["1", "2"]
    assert first_screen.count("```") == 4
    assert blocks[0][1].endswith("argus demo")
    assert blocks[1][1].endswith("pytest")


def test_the_conventions_table_is_the_one_of_the_code():
    table = README.partition("## Conventions")[2].partition("##")[0]
    units = {"seconds": "s", "per second": "/s", "MB": "MB", "count": "count", "percent": "%", "": ""}
    listed = {}
    for row in re.findall(r"^\| (`.+) \|(.*)\|(.*)\|$", table, re.MULTILINE):
        names, unit, better = row
        direction = better.strip() if better.strip() in ("lower", "higher") else "unknown"
        for name in re.findall(r"`([^`]+)`", names):
            listed[name] = (units[unit.strip()], direction)

    in_code = {name: (known.unit, known.direction) for name, known in CONVENTIONS.items()}
    counts = {name for name, known in CONVENTIONS.items() if known.unit == "count" and known.role == "info"}
    for name in counts:
        in_code[name] = ("", "unknown")
    assert listed == in_code


@pytest.mark.parametrize("name", [name for name in vars(hookspecs) if name.startswith("argus_")])
def test_every_hook_says_when_it_is_called(name):
    paragraphs = inspect.getdoc(getattr(hookspecs, name)).split("\n\n")

    assert paragraphs[1].startswith("Called")


def test_the_readme_of_the_core_explains_every_hook_and_no_other():
    text = (ROOT / "argus_core" / "README.md").read_text(encoding="utf-8")

    explained = re.findall(r"^\| `(argus_\w+)\((.*?)\)` \|", text, re.MULTILINE)

    specified = {
        name: ", ".join(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if name.startswith("argus_")
    }
    assert dict(explained) == specified


def test_every_example_of_the_core_readme_runs(tmp_path):
    text = (ROOT / "argus_core" / "README.md").read_text(encoding="utf-8")

    examples = re.findall(r"^```python\n(.+?)^```", text, re.MULTILINE | re.DOTALL)

    assert len(examples) >= 4
    for example in examples:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "ARGUS_DRY_RUN": "1"},
        )
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr


def test_every_variable_of_the_readme_exists():
    assert set(re.findall(r"(?<!secrets\.)ARGUS_[A-Z_]+", README)) <= set(VARIABLES)


def argus(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "argus_core", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_argus_schema_prints_a_json_schema():
    assert json.loads(argus("schema").stdout)["$defs"]["Event"]["required"]


def test_argus_env_lists_every_variable():
    assert [line.split()[0] for line in argus("env").stdout.splitlines()] == list(VARIABLES)


def test_argus_sync_without_a_server_says_what_to_give():
    result = argus("sync")

    assert result.returncode == 64
    assert "ARGUS_URL" in result.stderr


def test_the_full_demo_prints_its_events_and_contacts_nothing():
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "leaderboard_full_demo.py"), "--dry-run", "--seeds", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "ARGUS_URL": "http://127.0.0.1:9"},
    )

    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [event["event_type"] for event in events]
    assert kinds == ["batch_start", *(["job_start"] + ["job_epoch"] * 8 + ["job_done"]) * 4, "batch_done"]
    assert {event["source"]["project"] for event in events} == {"leaderboard-demo"}
    metrics = next(event["data"]["metrics"] for event in events if event["event_type"] == "job_done")
    categories = {(CONVENTIONS[name].role, CONVENTIONS[name].unit) for name in metrics}
    assert {
        ("quality", ""),
        ("cost", "s"),
        ("cost", "/s"),
        ("cost", "MB"),
        ("cost", "count"),
        ("info", "count"),
    } <= (categories)
    assert not Path(os.environ["ARGUS_HOME"], "journal").exists()
