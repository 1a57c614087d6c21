"""How large a report is and how long it takes to be written, drawn and pushed.

    python tests/benchmarks/bench_report.py [--large]

For a study of 200 trials x 8 parameters, of 300 x 50 and (--large) of 10,000 x 8: the HTML page's
size, the seconds to write it (second opinions included), the seconds from opening it in headless
Chromium until the last plot is drawn, the JSON's size, and the characters and seconds that a push
of plots and rules into a study in SQLite takes. Exits with 1 if a page is larger than 2.5 MB or
takes longer than 10 seconds to be drawn. Needs chromium and chromedriver.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import chromium, show_as, wait_for

from hpsearch.analysis import explain
from hpsearch.analysis.report.dashboard import push

MAX_MB = 2.5
MAX_DRAWN_S = 10.0


def uniform_study(n: int, d: int) -> optuna.Study:
    """Two parameters with main effects, two that interact, and noise."""
    rng = np.random.default_rng(0)
    space = {f"parameter_{j}": FloatDistribution(0, 1) for j in range(d)}
    study = optuna.create_study(direction="maximize", study_name=f"{n} x {d}")
    points = rng.random((n, d))
    value = -4 * (points[:, 0] - 0.3) ** 2 + points[:, 1] + 2 * points[:, 2] * points[:, 3]
    value += 0.2 * rng.normal(size=n)
    study.add_trials(
        [
            create_trial(
                params=dict(zip(space, map(float, point), strict=True)),
                distributions=space,
                value=float(v),
            )
            for point, v in zip(points, value, strict=True)
        ]
    )
    return study


def measure(study: optuna.Study, folder: Path, browser) -> tuple[float, ...]:
    explanation = explain(study)
    start = time.perf_counter()
    page = explanation.to_html()
    written = time.perf_counter() - start
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    start = time.perf_counter()
    browser.get(path.as_uri())
    wait_for(lambda: browser.execute_script("return document.documentElement.dataset.drawn"))
    drawn = time.perf_counter() - start
    storage = f"sqlite:///{folder / f'{len(study.get_trials())}.db'}"
    copy = optuna.create_study(storage=storage, direction="maximize")
    start = time.perf_counter()
    push(copy, explanation)
    pushed = time.perf_counter() - start
    attrs = copy._storage.get_study_system_attrs(copy._study_id)
    characters = sum(len(str(value)) for value in attrs.values())
    size = len(page.encode()) / 1e6
    return size, written, drawn, len(explanation.to_json()) / 1e6, characters / 1e3, pushed


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    worst = [0.0, 0.0]
    large = [(10_000, 8)] if "--large" in sys.argv[1:] else []
    print("| trials x parameters | page, MB | written, s | drawn, s | JSON, MB | pushed, kB | s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        show_as(browser, 1400)
        for n, d in ((200, 8), (300, 50), *large):
            found = measure(uniform_study(n, d), Path(folder), browser)
            print(f"| {n:,} x {d} | " + " | ".join(f"{x:.2f}" for x in found) + " |", flush=True)
            worst = [max(worst[0], found[0]), max(worst[1], found[2])]
    sys.exit(worst[0] > MAX_MB or worst[1] > MAX_DRAWN_S)


if __name__ == "__main__":
    main()
