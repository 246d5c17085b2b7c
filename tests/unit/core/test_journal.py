from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from argus_core import Reporter
from argus_core.cli import cli
from argus_core.events import Event, Source, decode_event, encode_event, new_event_id
from argus_core.journal import Journal, JournalFile, dead_journals


def line(number: int = 0, event_type: str = "job_epoch") -> bytes:
    from datetime import datetime, timezone

    return encode_event(
        Event(
            event_id=new_event_id(),
            event_type=event_type,
            timestamp=datetime.now(timezone.utc),
            batch_id="b",
            job_id="j",
            source=Source(project="p"),
            data={"epoch": number},
        )
    )


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, url="http://a", project="p")
    yield journal
    journal.close()


def test_what_is_appended_is_read_in_order_and_gone_once_acknowledged(journal):
    lines = [line(i) for i in range(1200)]
    for item in lines:
        journal.append(item)

    read = []
    while chunk := journal.read(500):
        assert len(chunk.lines) <= 500
        read += chunk.lines
        journal.acknowledge(chunk)

    assert read == lines
    assert journal.pending == 0
    path = journal.path
    journal.close()
    assert not path.exists()


def test_a_journal_with_something_left_stays_and_remembers_how_far_it_got(journal, tmp_path):
    lines = [line(i) for i in range(10)]
    for item in lines:
        journal.append(item)
    journal.acknowledge(journal.read(4))
    journal.close()

    file = JournalFile(journal.path)

    assert file.url == "http://a"
    assert file.read(100).lines == lines[4:]
    assert file.count_pending() == 6
    assert file.last_pending(2) == lines[-2:]


@pytest.mark.parametrize("cut", [1, 20, 150, 200])
def test_a_torn_last_line_is_skipped_and_counted(journal, cut):
    whole = [line(0), line(1)]
    for item in whole:
        journal.append(item)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(line(2)[:cut])

    file = JournalFile(journal.path)

    assert file.read(100).lines == whole
    with journal.path.open("ab") as after:
        after.write(b"\n" + line(3) + b"\n")
    file = JournalFile(journal.path)
    assert [decode_event(item).data["epoch"] for item in file.read(100).lines] == [0, 1, 3]
    assert file.torn_lines == 1


def test_a_line_that_was_torn_at_a_brace_spoils_no_request(journal):
    journal.append(line(0))
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"event_id":"0123456789","data":{"a":{}\n' + line(1) + b"\n")

    file = JournalFile(journal.path)

    assert len(file.read(100).lines) == 2
    assert file.torn_lines == 1


def test_events_behind_a_very_long_torn_line_are_read(journal):
    journal.append(line(0))
    journal.close()
    header, first = journal.path.read_bytes().splitlines()
    journal.path.write_bytes(header + b"\n" + b"x" * 9_000_000 + b"\n" + first + b"\n")

    file = JournalFile(journal.path)

    assert file.count_pending() == 1
    assert file.read(100).lines == [first]


def test_a_full_journal_keeps_results_and_leaves_out_curves(tmp_path, caplog):
    journal = Journal(tmp_path, url=None, project="p", max_size_bytes=20_000)
    for i in range(200):
        journal.append(line(i), makes_row=False)
    for i in range(10):
        journal.append(line(1000 + i))
    journal.close()

    epochs = [decode_event(item).data["epoch"] for item in JournalFile(journal.path).read(1000).lines]
    assert journal.path.stat().st_size < 2 * 20_000
    assert epochs[-10:] == list(range(1000, 1010))
    assert journal.left_out == 200 - (len(epochs) - 10) > 0
    assert caplog.text.count("results are kept") == 1


def test_a_long_run_with_a_server_does_not_grow_its_journal(journal):
    for i in range(40_000):
        journal.append(line(i))
        if i % 500 == 499:
            while chunk := journal.read(500):
                journal.acknowledge(chunk)

    assert journal.path.stat().st_size < 9_000_000
    assert journal.pending == 0


def test_the_journal_of_a_living_process_is_left_alone(tmp_path):
    script = (
        "import sys; from pathlib import Path; from argus_core.journal import Journal;"
        "journal = Journal(Path(sys.argv[1]), url=None, project='p');"
        "journal.append(b'{\"event_id\":\"x\"}'); print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()

    while_alive = list(dead_journals(tmp_path))
    process.kill()
    process.communicate()
    afterwards = list(dead_journals(tmp_path))

    assert while_alive == []
    assert len(afterwards) == 1


def test_the_journal_of_another_host_is_left_alone(tmp_path):
    (tmp_path / "other-host-1-1.jsonl").write_bytes(line() + b"\n")

    assert list(dead_journals(tmp_path)) == []


def test_memory_that_overflows_loses_the_oldest_and_counts_them(tmp_path, monkeypatch):
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    journal = Journal(unwritable / "journal", url=None, project="p")
    for number in range(10_000):
        journal.append(line(number))
    in_flight = journal.read(500)
    for number in range(10_000, 10_500):
        journal.append(line(number))

    journal.acknowledge(in_flight)
    read = []
    while chunk := journal.read(500):
        read += [decode_event(item).data["epoch"] for item in chunk.lines]
        journal.acknowledge(chunk)

    assert read == list(range(500, 10_500))
    assert journal.lost == 500
    assert journal.pending == 0


def test_a_journal_of_another_container_is_left_alone_while_it_is_fresh(journal, tmp_path):
    journal.append(line())
    journal.close()
    text = journal.path.read_text().replace('"pid_namespace": ', '"pid_namespace": 1')
    journal.path.write_text(text)

    fresh = list(dead_journals(tmp_path))
    os.utime(journal.path, (1, 1))
    stale = list(dead_journals(tmp_path))

    assert (len(fresh), len(stale)) == (0, 1)


def test_tail_shows_what_waits():
    with Reporter("x", batch_id="b") as reporter:
        reporter.job("j").done({"MSE": 1.0})

    result = CliRunner().invoke(cli, ["tail", "-n", "2"])

    assert [decode_event(text.encode()).event_type for text in result.stdout.splitlines()] == [
        "job_done",
        "batch_done",
    ]
    assert "4 events waiting" in result.stderr


def test_tail_of_nothing_says_so():
    result = CliRunner().invoke(cli, ["tail"])

    assert result.stdout == ""
    assert "0 events waiting" in result.stderr


def test_doctor_without_a_server_says_what_to_set():
    result = CliRunner().invoke(cli, ["doctor"])

    assert result.exit_code == 1
    assert "export ARGUS_URL" in result.output


def test_doctor_names_a_server_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("ARGUS_URL", "http://127.0.0.1:9")

    result = CliRunner().invoke(cli, ["doctor"])

    assert result.exit_code == 1
    said = "no answer from http://127.0.0.1:9: connection refused, nothing listens there\n  → start it with"
    assert said in result.output


@pytest.mark.parametrize(
    ("url", "fact", "fix"),
    [
        (
            "board.example:8421",
            "must begin with http:// or https://",
            "export ARGUS_URL=http://board.example:8421",
        ),
        ("ftp://board.example", "must begin with http:// or https://", "export ARGUS_URL=http://host:8421"),
        ("http://no-such-host.invalid", "there is no host of this name", "correct ARGUS_URL"),
    ],
)
def test_doctor_says_in_plain_words_what_is_wrong_with_the_url(monkeypatch, url, fact, fix):
    monkeypatch.setenv("ARGUS_URL", url)

    result = CliRunner().invoke(cli, ["doctor"])

    assert result.exit_code == 1
    assert fact in result.output
    assert f"→ {fix}" in result.output
    assert "urllib3" not in result.output
    assert "Error" not in result.output


def test_doctor_names_the_other_server_that_waiting_events_are_for(monkeypatch):
    script = "from argus_core import Reporter; Reporter('x', url='http://127.0.0.1:9').job('j')"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=dict(os.environ))
    monkeypatch.setenv("ARGUS_URL", "http://127.0.0.1:10")

    result = CliRunner().invoke(cli, ["doctor"])

    assert "3 events of 1 ended process for http://127.0.0.1:9, which is not ARGUS_URL" in result.output
    assert "argus sync --url http://127.0.0.1:9" in result.output
    assert "argus sync --any-url" in result.output


def test_doctor_says_what_waits_and_how_to_send_it():
    subprocess.run(
        [sys.executable, "-c", "from argus_core import Reporter; Reporter('x').job('j').done({})"],
        check=True,
        capture_output=True,
        env=dict(os.environ),
    )

    result = CliRunner().invoke(cli, ["doctor"])

    assert "4 events of 1 ended process\n" in result.output
    assert "→ argus sync" in result.output


def test_a_switch_that_makes_no_sense_is_a_usage_error(monkeypatch):
    monkeypatch.setenv("ARGUS_DRY_RUN", "maybe")

    result = CliRunner().invoke(cli, ["doctor"])

    assert result.exit_code == 64
    assert "'maybe'" in result.output
