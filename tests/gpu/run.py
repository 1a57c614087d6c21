"""`make gpu`: everything that only a GPU can show, part by part, in at most ten minutes.

    python tests/gpu/run.py [--only checks,speed] [--seconds 600] [--tiny] [--list]

Every part is a process of its own with its own limit: one that hangs or crashes does not take the
others. Figures are printed as they are measured, and kept as soon as their part ends: in $OUT where
that is set (a lent machine), else in tests/benchmarks. Nothing is asked of the machine but Python
3.11, torch and the usual packages; `make gpu-bundle` brings the rest. `--tiny` runs the same parts
on the processor with sizes that take seconds, and keeps nothing: the scripts are tested so.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gpu import report
from gpu.parts import HERE, PARTS, ROOT, Part, choose

BROUGHT = ROOT / ".gpu"
"""Where `make gpu-bundle` puts what another machine needs (see README.md)."""
FEWEST_SECONDS = 15
"""A part that has less left than this is not begun."""
FIND_GPU = """
import torch
if not torch.cuda.is_available():
    raise SystemExit(f"torch {torch.__version__} finds no CUDA device")
card = torch.cuda.get_device_properties(0)
print(f"{card.name} ({card.total_memory >> 30} GiB), torch {torch.__version__}")
"""


@dataclass(frozen=True)
class Outcome:
    """How a part ended: after how long, and why where it did not end well."""

    seconds: float
    failure: str | None


def unpack(brought: Path) -> None:
    """Unpack the bundle's packages where that was not done; the checkout here stays as it is."""
    bundle, site = brought / "bundle.tar.xz", brought / "site"
    if site.is_dir() or not bundle.is_file():
        return
    with tarfile.open(bundle) as archive:
        own = [one for one in archive.getmembers() if one.name.startswith(".gpu/site/")]
        with tempfile.TemporaryDirectory(dir=brought) as unfinished:
            archive.extractall(unfinished, own, filter="data")
            (Path(unfinished) / ".gpu/site").replace(site)


def environment(scratch: Path, *, tiny: bool) -> dict[str, str]:
    """What the parts run in: what was brought along, the checkout before all, one cache for all."""
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/benchmarks")]
    if (BROUGHT / "site").is_dir():
        paths.append(str(BROUGHT / "site"))
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    new = {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "HPSEARCH_HOME": str(scratch / "home"),
        "HPSEARCH_DEVICE": "cpu" if tiny else "cuda",
        "GPU_TINY": "1" if tiny else "",
    }
    for folder in (os.environ.get("HPSEARCH_DATA"), BROUGHT / "data", ROOT.parent / "shared/data"):
        if folder and Path(folder).is_dir():
            new["HPSEARCH_DATA"] = str(folder)
            break
    return {**os.environ, **new}


def find_gpu(env: Mapping[str, str]) -> str:
    """Card and torch, in words. Raises LookupError that says why there is none."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", FIND_GPU], env=dict(env), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LookupError("torch did not answer within 120 s") from None
    if asked.returncode:
        raise LookupError((asked.stderr.strip() or "torch failed").splitlines()[-1])
    return asked.stdout.strip()


def revision() -> str:
    """Of the checkout, with a + if it was changed since; else that which the bundle was made of."""
    git = ["git", "-C", str(ROOT)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        head = _output([*git, "rev-parse", "--short=12", "HEAD"])
        return head + ("+" if _output([*git, "status", "--porcelain", "-uno"]) else "")
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads((BROUGHT / "site/hpsearch-gpu.json").read_text("utf-8"))
        same = noted["digest"] == report.digest(["hpsearch"])
        return str(noted["revision"]) + ("" if same else "+")
    return "unknown"


def _output(command: Sequence[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return ran.stdout.strip()


def run_part(part: Part, env: Mapping[str, str], seconds: float, log: IO[str]) -> Outcome:
    """Run a part for at most so many seconds; its lines are shown and logged as they come."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(HERE / part.command[0]), *part.command[1:]], cwd=ROOT, env=dict(env),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    reader = threading.Thread(target=_show, args=(part.name, process.stdout, log), daemon=True)
    reader.start()
    failure = None
    try:
        process.wait(timeout=seconds)
        if process.returncode:
            failure = f"ended with status {process.returncode}"
    except subprocess.TimeoutExpired:
        failure = f"cut off after {seconds:.0f} s"
    finally:
        _end(process)
    reader.join(timeout=5)
    return Outcome(time.monotonic() - began, failure)


def _show(name: str, lines: IO[str], log: IO[str]) -> None:
    with lines:
        for line in lines:
            text = f"{name} | {line.rstrip()}"
            print(text, flush=True)
            log.write(text + "\n")
            log.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """End the part's process and all that it started."""
    for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
        if process.poll() is not None and sign == signal.SIGTERM:
            time.sleep(0.2)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What the part measured until it ended, however it did."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):  # cut off in the middle
            rows.append(json.loads(line))
    return rows


def run_parts(
    parts: Sequence[Part], env: Mapping[str, str], scratch: Path, out: Path, machine: str,
    seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Run the parts one after the other within so many seconds, and keep what each measured in
    out/GPU.json as soon as it ends. Returns the results."""
    results: dict[str, Any] = {}
    ends, at = time.monotonic() + seconds, revision()
    with (out / "gpu.log").open("w", encoding="utf-8") as log:
        for part in parts:
            left = ends - time.monotonic()
            if left < FEWEST_SECONDS:
                print(f"{part.name}: not begun, {max(0, left):.0f} s are left", flush=True)
                continue
            rows = scratch / f"{part.name}.jsonl"
            rows.unlink(missing_ok=True)
            limit = min(part.seconds, left)
            print(f"{part.name}: {part.title} (at most {limit:.0f} s)", flush=True)
            mine = {**env, "GPU_ROWS": str(rows), "GPU_SECONDS": f"{limit:.0f}"}
            outcome = run_part(part, mine, limit, log)
            results[part.name] = {
                "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
                "machine": f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}",
                "revision": at,
                "sources": report.digest(part.sources),
                "seconds": outcome.seconds,
                "failure": outcome.failure,
                "rows": read_rows(rows),
            }
            report.write_results(out / "GPU.json", results)
            ended = outcome.failure or "done"
            print(f"{part.name}: {ended} after {outcome.seconds:.0f} s", flush=True)
    return results


def failed(results: Mapping[str, Any]) -> list[str]:
    """The parts that did not end well or in which something does not hold. A goal that is missed
    is no failure: the table says it."""
    return [
        name
        for name, result in results.items()
        if result["failure"] or any(row["held"] is False for row in result["rows"])
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="parts, with commas between them")
    parser.add_argument("--seconds", type=float, default=600, help="for all parts together")
    parser.add_argument("--tiny", action="store_true", help="on the processor, in seconds")
    parser.add_argument("--list", action="store_true", help="print the parts' names")
    given = parser.parse_args(arguments)
    try:
        parts = choose(given.only)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if given.list:
        print("\n".join(f"{part.name:22} {part.seconds:4} s  {part.title}" for part in parts))
        return 0
    unpack(BROUGHT)
    scratch = Path(tempfile.gettempdir()) / f"hpsearch-gpu-{os.getuid()}"
    scratch.mkdir(exist_ok=True)  # kept: a second call goes on with what the first prepared
    env = environment(scratch, tiny=given.tiny)
    try:
        machine = "the processor, tiny" if given.tiny else find_gpu(env)
    except LookupError as error:
        print(f"make gpu needs a GPU that torch can use, and there is none: {error}.")
        return 1
    out = Path(os.environ.get("OUT") or tempfile.mkdtemp(prefix="hpsearch-gpu-out-"))
    print(f"{machine}; {os.cpu_count()} cores; results in {out}", flush=True)
    results = run_parts(parts, env, scratch, out, machine, given.seconds)
    page = report.render(report.merged(report.read_results(report.RESULTS), results))
    (out / "GPU.md").write_text(page, encoding="utf-8")
    if not given.tiny and "OUT" not in os.environ:
        whole = report.merged(report.read_results(report.RESULTS), results)
        report.write_results(report.RESULTS, whole)
        report.TABLE.write_text(page, encoding="utf-8")
    print(report.render(results, [part for part in PARTS if part.name in results]), flush=True)
    if wrong := failed(results):
        print(f"Not all is well in {', '.join(wrong)}.", flush=True)
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
