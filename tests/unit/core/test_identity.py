from __future__ import annotations

import subprocess
import sys

import pytest

from argus_core.identity import command_line, git_commit, new_batch_id, new_job_id, source_of


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
        (["WANDB_API_KEY=s3cret", "--tokenizer", "bert"], "WANDB_API_KEY=*** --tokenizer bert"),
        (["--lr", "1e-3", "a b"], "--lr 1e-3 'a b'"),
    ],
)
def test_the_command_keeps_secrets_to_itself(monkeypatch, arguments, shown):
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", *arguments])

    assert command_line() == f"python train.py {shown}"


def test_the_source_names_project_host_user_and_command():
    source = source_of("paper")

    assert source.project == "paper"
    assert source.host
    assert source.command


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
