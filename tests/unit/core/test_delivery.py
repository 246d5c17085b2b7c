"""The way to the server: a real HTTP server on loopback that answers as each test says."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from argus_core import Reporter
from argus_core.cli import cli


class Server:
    """Answers with `answers` one after the other, then 200; keeps what it was sent and accepted."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], object]] = []
        self.requests: list[list[dict[str, object]]] = []
        self.accepted: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.largest_request = 10_000
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                events = json.loads(body)["events"]
                status, headers, answer = outer.answer(events, dict(self.headers))
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, events, headers):
        self.requests.append(events)
        self.headers.append(headers)
        if self.answers:
            return self.answers.pop(0)
        if len(events) > self.largest_request:
            return 413, {}, {"detail": "too large"}
        self.accepted += events
        return 200, {}, {"accepted": len(events), "rejected": 0, "results": []}

    @property
    def types(self):
        return [event["event_type"] for event in self.accepted]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def journal_directory() -> Path:
    return Path(os.environ["ARGUS_HOME"]) / "journal"


def report(url: str, *, epochs: int = 3) -> None:
    with Reporter("x", url=url, token="em_live_x", batch_id="b") as reporter:
        job = reporter.job("j", model="m", dataset="d")
        for epoch in range(epochs):
            job.epoch(epoch, train_loss=0.1)
        job.done({"MSE": 1.0})


def test_events_arrive_in_order_with_the_token_and_compressed_when_long(server):
    report(server.url, epochs=50)

    assert server.types == ["batch_start", "job_start", *["job_epoch"] * 50, "job_done", "batch_done"]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer em_live_x"}
    assert "gzip" in {headers.get("Content-Encoding") for headers in server.headers}
    assert list(journal_directory().iterdir()) == []


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_server_in_trouble_gets_everything_once_it_is_well(server, status, caplog):
    server.answers = [(status, {"Retry-After": "0.01"}, {"detail": "busy"})] * 2

    report(server.url)

    assert server.types == ["batch_start", "job_start", *["job_epoch"] * 3, "job_done", "batch_done"]
    assert "busy" in caplog.text
    assert list(journal_directory().iterdir()) == []


@pytest.mark.parametrize(("status", "fix"), [(401, "argus token create"), (403, "scope `report`")])
def test_a_refused_token_stops_sending_and_keeps_the_journal(server, status, fix, caplog):
    server.answers = [(status, {}, {"detail": "no"})]

    report(server.url)

    assert len(server.requests) == 1
    assert fix in caplog.text
    assert len(list(journal_directory().glob("*.jsonl"))) == 1


def test_a_request_that_is_too_large_is_split(server):
    server.largest_request = 3

    report(server.url, epochs=20)

    assert Counter(server.types)["job_epoch"] == 20
    assert len({event["event_id"] for event in server.accepted}) == len(server.accepted) == 24


def test_a_rejected_event_is_parked_and_the_others_go_on(server, caplog):
    results = [{"status": "accepted"}, {"status": "rejected", "error": "data.model: no"}]
    server.answers = [(200, {}, {"accepted": 1, "rejected": 1, "results": results})]

    report(server.url)

    (line,) = (journal_directory() / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "data.model: no"
    assert "data.model: no" in caplog.text
    assert list(journal_directory().glob("*.jsonl")) == [journal_directory() / "rejected.jsonl"]


def test_when_every_event_is_rejected_nothing_is_sent_again(server):
    answer = {"detail": "source.project: missing", "results": []}
    server.answers = [(422, {}, answer)]

    with Reporter("x", url=server.url, token="t") as reporter:
        reporter.job("j")
        reporter.flush()
        first = len(server.requests[0])

    assert len((journal_directory() / "rejected.jsonl").read_text().splitlines()) == first


def leave_rejected(server, names):
    """Leave jobs that the server has rejected; return what a file of the journal directory says of them."""
    with Reporter("x", url=server.url, token="t", batch_id="b") as reporter:
        reporter.flush()
        for name in names:
            reason = {"status": "rejected", "error": f"no {name}"}
            server.answers = [(200, {}, {"results": [reason]})]
            reporter.job(name)
            reporter.flush()
    server.accepted.clear()


def sync(*words):
    return CliRunner().invoke(cli, ["sync", "--token", "t", *words])


def reasons():
    shown = CliRunner().invoke(cli, ["tail", "--rejected"]).stdout.splitlines()
    return [json.loads(line)["reason"] for line in shown]


def test_what_was_rejected_can_be_sent_once_more(server):
    leave_rejected(server, ["j0", "j1", "j2"])
    assert reasons() == ["no j0", "no j1", "no j2"]
    untouched = sync("--url", server.url)
    assert reasons() == ["no j0", "no j1", "no j2"]

    results = [{"status": "accepted"}, {"status": "rejected", "error": "still no"}, {"status": "accepted"}]
    server.answers = [(200, {}, {"results": results})]
    result = sync("--url", server.url, "--rejected")

    assert "rejected" not in untouched.output
    assert "2 rejected events sent; 1 rejected again and 0 left alone" in result.output
    assert [event["job_id"] for event in server.requests[-1]] == ["j0", "j1", "j2"]
    assert reasons() == ["still no"]
    assert sync("--url", server.url, "--rejected").exit_code == 0
    assert [event["job_id"] for event in server.accepted] == ["j1"]
    assert list(journal_directory().iterdir()) == []


def test_what_was_rejected_stays_when_the_server_takes_nothing_now(server):
    leave_rejected(server, ["j0", "j1"])

    server.answers = [(401, {}, {"detail": "unknown token"})]
    result = sync("--url", server.url, "--rejected")

    assert result.exit_code == 1
    assert "unknown token" in result.output
    assert reasons() == ["no j0", "no j1"]


def test_what_one_server_has_rejected_is_not_sent_to_another(server):
    leave_rejected(server, ["j0"])
    other = Server()

    tried = sync("--url", other.url, "--rejected")
    shown = sync("--url", other.url, "--rejected", "--any-url", "--dry-run")
    sent = sync("--url", other.url, "--rejected", "--any-url")
    other.close()

    assert "0 rejected events sent; 0 rejected again and 1 left alone" in tried.output
    assert [json.loads(line)["job_id"] for line in shown.stdout.splitlines()] == ["j0"]
    assert "1 rejected event sent" in sent.output
    assert [event["job_id"] for event in other.accepted] == ["j0"]
    assert reasons() == []


def test_a_second_sending_that_was_killed_has_lost_nothing(server):
    leave_rejected(server, ["j0"])
    kept = journal_directory() / "rejected.jsonl"
    kept.rename(kept.with_name("rejected.jsonl.1"))  # as it stands while its events are sent
    kept.write_text('{"reason": "torn')
    leave_rejected(server, ["j1"])

    assert reasons() == ["no j0", "no j1"]
    sync("--url", server.url, "--rejected")

    assert [event["job_id"] for event in server.accepted] == ["j0", "j1"]
    assert list(journal_directory().iterdir()) == []


def test_a_redirect_is_not_followed(server, caplog):
    server.answers = [(302, {"Location": server.url + "/elsewhere"}, {})]

    report(server.url)

    assert "302" in caplog.text
    assert server.accepted == []


def unused_url() -> str:
    probe = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    probe.server_close()
    return f"http://127.0.0.1:{probe.server_port}"


def test_a_server_that_is_away_costs_no_time_and_loses_nothing(caplog):
    report(unused_url())

    assert "argus sync" in caplog.text
    (journal,) = journal_directory().glob("*.jsonl")
    assert len(journal.read_text().splitlines()) == 1 + 7


def test_a_killed_process_leaves_what_sync_sends_once(server):
    script = f"""
        import os, signal
        from argus_core import Reporter
        reporter = Reporter("x", url="{server.url}", token="t")
        job = reporter.job("j")
        for epoch in range(1200):
            job.epoch(epoch, train_loss=0.1)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)
    (journal,) = journal_directory().glob("*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"event_id":"torn","data":{}')

    result = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t"])

    assert result.exit_code == 0, result.output
    epochs = {e["event_id"]: e["data"]["epoch"] for e in server.accepted if e["event_type"] == "job_epoch"}
    assert sorted(epochs.values()) == list(range(1200))
    assert list(journal_directory().iterdir()) == []


def test_the_next_reporter_sends_what_a_dead_process_left(server):
    script = f"""
        import os, signal
        from argus_core import Reporter
        Reporter("x", url="{server.url}", batch_id="dead").job("j")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)
    seen = threading.Event()

    original = server.answer

    def answer(events, headers):
        result = original(events, headers)
        if any(event["batch_id"] == "dead" for event in events) and server.accepted:
            seen.set()
        return result

    server.answer = answer
    reporter = Reporter("y", url=server.url, batch_id="alive")
    reporter.job("j").done({})
    assert seen.wait(10)
    reporter.close()

    ids = [event["event_id"] for event in server.accepted if event["batch_id"] == "dead"]
    assert len(set(ids)) == 2
    assert list(journal_directory().iterdir()) == []


def test_events_meant_for_one_server_are_not_sent_to_another(server):
    script = """
        import os, signal
        from argus_core import Reporter
        Reporter("x", url="http://127.0.0.1:9").job("j")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)

    report(server.url)
    result = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t"])

    assert result.exit_code == 1
    assert "meant for http://127.0.0.1:9; --any-url sends it here" in result.output
    assert "not sent, kept: events for http://127.0.0.1:9" in result.output
    assert {event["batch_id"] for event in server.accepted} == {"b"}
    assert len(list(journal_directory().glob("*.jsonl"))) == 1


def leave_a_journal(url: str, project: str = "default") -> None:
    """Let a process report to a server that is away, and die."""
    script = f"""
        import os, signal
        from argus_core import Reporter
        Reporter("x", project="{project}", url="{url}", batch_id="{project}").job("j")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)


def test_a_journal_that_the_server_refuses_does_not_block_the_next(server):
    leave_a_journal(unused_url(), "theirs")
    leave_a_journal(unused_url(), "mine")
    server.answers = [(403, {}, {"detail": "another project's token"})]

    result = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t", "--any-url"])

    assert result.exit_code == 1
    assert "another project's token" in result.output
    assert {event["batch_id"] for event in server.accepted} == {"mine"}
    assert len(list(journal_directory().glob("*.jsonl"))) == 1


def test_a_slash_at_the_end_makes_no_other_server(server):
    leave_a_journal(unused_url().rstrip("/") + "/")
    (journal,) = journal_directory().glob("*.jsonl")
    url = json.loads(journal.read_text().splitlines()[0])["url"]

    assert not url.endswith("/")


def test_journals_of_another_host_are_named_and_sent_on_demand(server):
    leave_a_journal(server.url)
    (journal,) = journal_directory().glob("*.jsonl")
    number = journal.name.split("-")[-1]
    journal.rename(journal.with_name(f"node12-77-{number}"))

    without = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t"])
    with_option = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t", "--any-host"])

    assert "written on the host node12; --any-host sends it" in without.output
    assert "events sent from 1 journal in" in with_option.output


@pytest.mark.parametrize("wait", ["inf", "nan", "-5", "soon", "1e400"])
def test_a_senseless_retry_after_stops_nothing(server, wait):
    server.answers = [(503, {"Retry-After": wait}, {})]
    reporter = Reporter("x", url=server.url, token="t", flush_timeout_s=5)
    reporter.job("j").done({})

    reporter.close()

    assert reporter.enabled
    assert server.types[-1:] == ["batch_done"] or wait in ("inf", "1e400")


@pytest.mark.parametrize(("year", "delivered"), [(2015, True), (2999, False)])
def test_a_retry_after_may_be_a_date(server, year, delivered):
    server.answers = [(429, {"Retry-After": f"Wed, 21 Oct {year} 07:28:00 GMT"}, {})]

    report(server.url)

    assert (server.types[-1:] == ["batch_done"]) is delivered  # nobody waits for the year 2999 to end


@pytest.mark.parametrize("token", ["em_live_…", "two words", "line\nbreak", ""])
def test_a_token_that_no_header_can_carry_is_said_and_events_are_kept(server, token, caplog):
    with Reporter("x", url=server.url, token=token) as reporter:
        reporter.job("j").done({})

    if token:
        assert "ARGUS_TOKEN is no token" in caplog.text
        assert token not in caplog.text
        assert len(list(journal_directory().glob("*.jsonl"))) == 1


def test_flush_does_not_wait_for_a_server_that_is_known_to_be_away():
    reporter = Reporter("x", url=unused_url(), flush_timeout_s=60)
    job = reporter.job("j")
    reporter.flush(10)
    start = time.monotonic()

    for epoch in range(20):
        job.epoch(epoch, train_loss=1.0)
        assert not reporter.flush()

    assert time.monotonic() - start < 5
    reporter.close(timeout_s=1)


def test_a_revision_after_the_end_is_sent_too(server):
    script = f"""
        from argus_core import Reporter
        with Reporter("x", url="{server.url}", token="t") as reporter:
            job = reporter.job("j")
            job.done({{"MSE": 1.0}})
        job.done({{"MSE": 0.5}})
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=True)

    assert [e["data"]["metrics"]["MSE"] for e in server.accepted if e["event_type"] == "job_done"] == [
        1.0,
        0.5,
    ]
    assert list(journal_directory().iterdir()) == []


def test_forked_workers_send_their_last_events(server):
    script = f"""
        import multiprocessing
        from argus_core import Reporter
        reporter = Reporter("x", url="{server.url}", token="t")
        reporter.start()

        def work(name):
            reporter.job(name).done({{"MSE": 1.0}})

        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=work, args=(f"w{{i}}",)) for i in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            reporter.close()
        """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )

    assert sorted(e["job_id"] for e in server.accepted if e["event_type"] == "job_done") == [
        "w0",
        "w1",
        "w2",
        "w3",
    ]
    assert list(journal_directory().iterdir()) == [], result.stderr


def test_a_journal_deleted_under_its_writer_is_begun_anew(server):
    reporter = Reporter("x", url=server.url, token="t")
    job = reporter.job("j")
    assert reporter.flush(10)
    (journal,) = journal_directory().glob("*.jsonl")
    journal.unlink()

    job.done({"MSE": 1.0})
    reporter.close()

    assert server.types == ["batch_start", "job_start", "job_done", "batch_done"]


@pytest.mark.parametrize("status", [200, 400, 422])
def test_an_answer_that_no_argus_server_gives_loses_nothing(server, status, caplog):
    server.answers = [(status, {}, "<html>hello</html>")] * 9

    report(server.url)

    assert "not as an Argus server does" in caplog.text
    assert len(server.requests) == 1
    (journal,) = journal_directory().glob("*.jsonl")
    assert len(journal.read_text().splitlines()) == 1 + 7


def test_a_rejection_in_one_word_is_taken_apart(server):
    server.answers = [(422, {}, {"detail": "something is wrong"})]
    with Reporter("x", url=server.url, token="t") as reporter:
        job = reporter.job("j")
        for epoch in range(20):
            job.epoch(epoch, train_loss=0.1)

    assert Counter(server.types)["job_epoch"] == 20
    assert not (journal_directory() / "rejected.jsonl").exists()


def test_sync_on_trial_prints_and_keeps_everything(server):
    leave_a_journal(server.url)
    before = [path.read_bytes() for path in journal_directory().iterdir()]
    asked = len(server.requests)

    result = CliRunner().invoke(cli, ["sync", "--url", server.url, "--token", "t", "--dry-run"])

    assert result.exit_code == 0
    assert [json.loads(line)["event_type"] for line in result.stdout.splitlines()][-1] == "job_start"
    assert [path.read_bytes() for path in journal_directory().iterdir()] == before
    assert len(server.requests) == asked


def test_a_signal_handler_may_report_in_the_middle_of_a_report():
    script = """
        import signal
        from argus_core import Reporter
        reporter = Reporter("x")
        job = reporter.job("j")
        count = 0
        def handler(*_):
            global count
            count += 1
            job.log(str(count))
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for epoch in range(20_000):
            job.epoch(epoch, train_loss=0.1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(count, reporter._delivery.journal.pending)
        """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )

    count, pending = map(int, result.stdout.split())
    (journal,) = journal_directory().glob("*.jsonl")
    kinds = Counter(json.loads(line).get("event_type") for line in journal.read_text().splitlines())
    assert count > 0
    assert (kinds["log_line"], kinds["job_epoch"]) == (count, 20_000)
    assert pending == count + 20_000 + 2


def test_reporters_left_open_share_one_bound_at_the_end():
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    script = f"""
        from argus_core import Reporter
        for i in range(4):
            Reporter("x", url="{url}", token="t", flush_timeout_s=2).job("j").done({{}})
        """
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=True)
    listener.close()

    assert time.monotonic() - start < 6
    assert len(list(journal_directory().glob("*.jsonl"))) == 4


def test_a_full_disk_degrades_to_memory_with_one_warning(server, monkeypatch, caplog):
    monkeypatch.setenv("ARGUS_HOME", "/dev/full/argus")

    report(server.url)

    assert server.types[-1] == "batch_done"
    assert caplog.text.count("cannot write the journal") == 1
