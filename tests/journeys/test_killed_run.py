"""Somebody's run is killed; the same command goes on with it."""

import os
import signal
import subprocess
import sys

from journey import QUICK, stars


def test_a_killed_run_is_continued_by_the_same_command(me):
    me.table("stars.csv", ["user", "item", "rating"], stars())
    me.types("new", "stars.csv")
    me.shortens("stars.toml")
    run = ["run", "stars.toml", *QUICK, "--trials", "40"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", *run],
        cwd=me.folder,
        env={**os.environ, "HPSEARCH_HOME": str(me.folder / "home")},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stdout:
            if "complete" in line:
                process.send_signal(signal.SIGKILL)
                break
        else:
            raise AssertionError("no trial was complete")
    said = me.types(*run)
    assert "40 trials to run" in said
    assert "left over from an earlier run" in said
    assert "finished" in said
    assert "WRONG" not in me.types("doctor", "--mend")
