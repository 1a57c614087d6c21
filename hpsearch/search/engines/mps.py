"""CUDA's Multi-Process Service for the workers of one run: their kernels run at the same time.

Without it the processes on a GPU take turns. The run starts the service in a folder of its own and
stops it at its end. `python -m hpsearch.search.engines.mps FOLDER CHECK` is the process that does
both. Its standard input closes whenever the run ends, even by `kill -9`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpsearch.core.child_processes import python_command, python_environment
from hpsearch.core.home import remove

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
LEAVE_S = 30
"""How long workers may take to leave before the service is stopped under them."""
START_S = 30
CHECK = (
    sys.executable, "-c",
    "import ctypes, sys; sys.exit(ctypes.CDLL('libcuda.so.1').cuInit(0))",
)  # fmt: skip
"""What a worker does first: it fails where the service does not answer."""


def is_there() -> bool:
    """Whether this machine has the service and nobody has started one for us already."""
    return shutil.which(CONTROL) is not None and PIPES not in os.environ


@contextlib.contextmanager
def served(wanted: bool) -> Iterator[dict[str, str]]:
    """Run the service for the block, and yield the environment variables that its workers need.

    Yields no variables if the service is not `wanted`, is not there, or does not work.
    """
    if not wanted or not is_there():
        yield {}
        return
    folder = tempfile.mkdtemp(prefix="hpsearch-mps-")  # only this user may look into it
    watcher = subprocess.Popen(  # noqa: S603
        python_command("hpsearch.search.engines.mps", folder, json.dumps(CHECK)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=python_environment(),
        start_new_session=True,  # Ctrl-C is for the run, whose end it waits for
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    try:
        ready = watcher.stdout.readline().strip() == b"ready"
        yield _environment(Path(folder)) if ready else {}
    finally:
        watcher.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            watcher.wait(LEAVE_S + START_S)
        watcher.stdout.close()


def _environment(folder: Path) -> dict[str, str]:
    return {PIPES: str(folder / "pipe"), LOGS: str(folder / "log")}


def watch(folder: Path, check: list[str]) -> int:
    """Start the service in `folder`, say "ready", stop it once standard input ends."""
    environment = {**os.environ, **_environment(folder)}
    try:
        for name in _environment(folder).values():
            Path(name).mkdir(parents=True, exist_ok=True)
        ready = _starts(environment) and _succeeds(check, environment)
        sys.stdout.write("ready\n" if ready else "no\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        _stop(environment)
        remove(folder, within=folder.parent)
    return 0


def _starts(environment: Mapping[str, str]) -> bool:
    # Its output would keep our pipe open for as long as the service lives.
    return _succeeds([CONTROL, "-d"], environment)


def _succeeds(command: list[str], environment: Mapping[str, str], text: str = "") -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            command, env=dict(environment), input=text.encode(), timeout=START_S,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _stop(environment: Mapping[str, str]) -> None:
    """Stop the service. Its workers have LEAVE_S seconds to finish first."""
    _succeeds([CONTROL], environment, f"quit -t {LEAVE_S}\n")


if __name__ == "__main__":
    sys.exit(watch(Path(sys.argv[1]), json.loads(sys.argv[2])))
