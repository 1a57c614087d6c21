"""Runs of the study with the fake trainer in processes of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent
RUNNER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fake_study import FakePreset, FakeSpec
from hpsearch.errors import HpsearchError
from calls import join, run
options = json.load(sys.stdin)
calls = {"run": run, "join": join}
try:
    settings = options.pop("settings")
    calls[options.pop("call", "run")](FakeSpec(FakePreset(settings=settings)), **options)
except HpsearchError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
"""


def launch(spec, **options):
    """`run` (or `call="join"`) in a process group of its own, as a shell starts a command."""
    modules = Path(spec.preset.settings["journal"]).parent / "modules"
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(TESTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(modules)},
    )
    process.stdin.write(json.dumps({"settings": spec.preset.settings, **options}))
    process.stdin.close()
    process.stdin = None
    return process


def wait_until(condition, what, seconds=200):
    """Wait for a fact; as long as a machine with other work may take to start a Python."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def entries(spec, what="train"):
    """What the trainer wrote into its journal when it did `what`."""
    return [entry for entry in spec.journal if entry["what"] == what]


def values(study):
    return {trial.number: trial.value for trial in study.trials}
