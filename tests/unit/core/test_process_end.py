from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import multiprocessing, os, sys
    from argus_core.process_end import at_process_end

    def last():
        print(os.getpid() == main, "last", flush=True)

    def first():
        print(os.getpid() == main, "first", flush=True)

    def register():
        at_process_end(last, closes=True)
        at_process_end(first)
        at_process_end(first)

    main = int(os.environ.setdefault("MAIN", str(os.getpid())))
    if __name__ == "__main__":
        register()
        how = sys.argv[1]
        if how in ("fork", "spawn"):
            child = multiprocessing.get_context(how).Process(target=register)
            child.start()
            child.join()
            assert child.exitcode == 0
    """


@pytest.mark.parametrize(("how", "children"), [("none", 0), ("fork", 1), ("spawn", 1)])
def test_functions_are_called_once_in_every_process_the_closing_ones_last(tmp_path, how, children):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))

    result = subprocess.run(
        [sys.executable, str(script), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )

    expected = ["False first", "False last"] * children + ["True first", "True last"]
    assert result.stdout.splitlines() == expected, result.stderr
