from __future__ import annotations

import os
import subprocess
import sys

import pytest

from argus_core.identity import command_line, derive_batch_id, git_commit, new_batch_id, new_job_id


def git(directory, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path


def test_the_commit_is_read_without_starting_git(repository):
    (repository / "deep" / "er").mkdir(parents=True)

    assert git_commit(repository / "deep" / "er") == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("state", ["packed", "detached", "worktree"])
def test_the_commit_is_found_however_git_keeps_it(repository, state):
    where = repository
    if state == "packed":
        git(repository, "pack-refs", "--all")
    elif state == "detached":
        git(repository, "checkout", "-q", "--detach")
    else:
        where = repository / "other"
        git(repository, "worktree", "add", "-q", "-b", "side", str(where))

    assert git_commit(where) == git(repository, "rev-parse", "HEAD")


def test_outside_a_repository_and_before_the_first_commit_there_is_none(tmp_path):
    assert git_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_commit(tmp_path) is None


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--token", "s3cret", "--lr", "0.1"], "--token *** --lr 0.1"),
        (["--api-key=s3cret"], "--api-key=***"),
        (["--db", "postgresql://me:s3cret@db/x"], "--db 'postgresql://me:***@db/x'"),
        (["--url=https://:s3cret@host:1/x"], "'--url=https://:***@host:1/x'"),
        (["WANDB_API_KEY=s3cret", "--tokenizer", "bert"], "WANDB_API_KEY=*** --tokenizer bert"),
        (["--lr", "1e-3", "a b"], "--lr 1e-3 'a b'"),
    ],
)
def test_the_command_keeps_secrets_to_itself(monkeypatch, arguments, shown):
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", *arguments])

    assert command_line() == f"python train.py {shown}"


def test_a_derived_batch_id_is_the_same_everywhere_and_differs_in_every_part():
    one = derive_batch_id("paper", "My sweep")

    assert one == derive_batch_id("paper", "My sweep") == "My-sweep-" + one.rpartition("-")[2]
    others = [
        derive_batch_id("paper2", "My sweep"),
        derive_batch_id("paper", "My  sweep"),
        derive_batch_id("paper", "My sweep", git_sha="abc"),
        derive_batch_id("paperM", "y sweep"),
    ]
    assert len({one, *others}) == 5
    assert len(derive_batch_id("p", "n" * 1000)) <= 128


def test_a_derived_batch_id_does_not_depend_on_the_process():
    script = "from argus_core import derive_batch_id; print(derive_batch_id('p', 'ü', 'abc'))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]

    assert runs[0] == runs[1] == derive_batch_id("p", "ü", "abc") + "\n"


def test_new_ids_are_unique_readable_and_fit_for_a_url():
    ids = {
        new_batch_id("My sweep/é"),
        new_batch_id("My sweep/é"),
        new_job_id("Patch TST", "a/b", 0),
        new_job_id(),
    }

    assert len(ids) == 4
    for new in ids:
        assert new.replace("-", "").replace(".", "").replace("_", "").isalnum()
        assert new.isascii()
        assert len(new) <= 128
    assert any(new.startswith("My-sweep-") for new in ids)
