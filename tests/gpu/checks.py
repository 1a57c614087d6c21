"""A file of tests/gpu, test by test: what was found so far stays, whatever a later test does."""

import importlib.util
import sys
from pathlib import Path

import pytest
from gpu.measure import keep

SECONDS_A_TEST = 60


class Told:
    """Keeps the outcome of each test as soon as it is known."""

    skipped = 0

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::", 1)[-1]
        if report.skipped:
            self.skipped += 1
        elif report.when == "call" or report.failed:
            last = "" if report.passed else (report.longreprtext.strip().splitlines() or [""])[-1]
            keep(name, held=report.passed, note=last[:200])


def main():
    file = Path(__file__).parent / sys.argv[1]
    options = ["-q", "--no-header", "-o", "addopts=", "--import-mode=importlib"]
    options += ["-p", "no:cacheprovider"]
    if importlib.util.find_spec("pytest_timeout"):
        options += ["--timeout", str(SECONDS_A_TEST)]
    told = Told()
    status = pytest.main([str(file), *options], plugins=[told])
    if told.skipped:
        keep("tests that were skipped", told.skipped)
    sys.exit(status)


if __name__ == "__main__":
    main()
