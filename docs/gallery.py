"""The pictures of the gallery: what commands wrote about made-up data, taken out of their files.

`make pictures` calls it, which takes some minutes and needs Chromium.
"""

from __future__ import annotations

import base64
import io
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import chromium, show_as, wait_for  # noqa: E402

FOLDER = DOCS / "pictures/gallery"
WIDTH, HEIGHT = 620, 340  # of a picture, in pixels
COLUMNS = 90  # of the terminal
STORE = "sqlite:///hpsearch.db"

# Each command as the page names it, and the text that it prints, if the page shows that.
COMMANDS = (
    ("hpsearch run film.toml --trials 12 --workers 1 --storage sqlite:///few.db", None),
    ("hpsearch explain film --storage sqlite:///few.db", "few.txt"),
    ("hpsearch run film.toml --trials 150 --workers 1", None),
    ("hpsearch explain film", "explain.txt"),
    ("hpsearch explain film --output report.html", None),
    ("hpsearch explain film --trial 5", "trial.txt"),
    (
        "hpsearch verify film.toml --param lr_decay --value 2.6 --against 5 --pairs 12 --workers 1",
        "verify.txt",
    ),
    (
        "hpsearch run film:accuracy_and_seconds --space lr=1e-5..0.1,log --space width=8..512,log "
        "--space depth=1..6 --metric accuracy --direction maximize --also seconds --trials 60 "
        "--workers 1",
        None,
    ),
    ("hpsearch explain film.accuracy_and_seconds --output two.html", None),
    ("hpsearch run north.toml --trials 60 --workers 1", None),
    ("hpsearch run south.toml --trials 60 --workers 1", None),
    ("hpsearch run west.toml --trials 60 --workers 1", None),
    ("hpsearch explain north south west --pool --output pooled.html", None),
    ("hpsearch new ratings.csv", None),
    ("hpsearch train ratings.toml --preset quick --output tastes", None),
    ("hpsearch interpret tastes", None),
    ("hpsearch new flowers.csv --target kind", None),
    ("hpsearch lr-find flowers.toml --preset quick", "lr-find.txt"),
    ("hpsearch train flowers.toml --preset quick --output model --set epochs=5", None),
    ("hpsearch card model", "card.txt"),
)

# (picture, page, the title of the plot in it)
PLOTS = (
    ("shares", "report.html", "Shares of the variance"),
    ("effect", "report.html", "lr"),
    ("categories", "report.html", "pool"),
    ("pair", "report.html", "lr x dropout"),
    ("failures", "report.html", "Failures along lr"),
    ("predictions", "report.html", "Forest against trials"),
    ("noise", "report.html", "Noise floor"),
    ("history", "report.html", "History"),
    ("trials", "report.html", "All trials at once"),
    ("front", "two.html", "Pareto front of accuracy and seconds"),
    ("forest", "pooled.html", "lr: the best value of each study"),
    ("cost", "pooled.html", "lr: what a value costs in a new study"),
    ("lr-find", "lr-find.html", ""),
)
# Looks for the plot with the title, or the page's only one, and gives it as SVG.
TAKE = """
const [title, width, height, done] = arguments;
const plot = title
  ? [...document.querySelectorAll("figure")].find((f) => f.querySelector("h3").innerText === title)
      .querySelector(".plot")
  : document.querySelector(".plotly-graph-div");
Plotly.toImage(plot, { format: "svg", width, height })
  .then((url) => done(decodeURIComponent(url.slice(url.indexOf(",") + 1))), (e) => done(`${e}`));
"""
TASTES = """
text { font: 11px sans-serif; fill: #767f8b; }
circle { fill: #8a9099; opacity: .5; } circle.named { fill: #3d84c6; opacity: 1; }
"""


def main() -> None:
    """Write docs/pictures/gallery/ anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder)
        for command, text in COMMANDS:
            printed = typed(command, folder)
            if text == "card.txt":
                (FOLDER / text).write_text(card(printed), "utf-8")
            elif text:
                (FOLDER / text).write_text(f"$ {command}\n{printed}", "utf-8")
        with chromium() as browser:
            show_as(browser, 900)
            for picture, page, title in PLOTS:
                svg = plot_of(browser, folder / page, title)
                (FOLDER / f"{picture}.svg").write_text(rounded(svg), "utf-8")
            (FOLDER / "tastes.svg").write_text(taste_map(browser, folder), "utf-8")
            show_dashboard(browser, folder)


def write_data(folder: Path) -> None:
    """The made-up training, three studies of it that differ, ratings, and a table of classes."""
    rng = random.Random(0)
    for name in ("film.py", "film.toml"):
        shutil.copy(DOCS / "examples" / name, folder)
    study = (folder / "film.toml").read_text("utf-8")
    for name, shift in (("north", 0.0), ("south", 0.3), ("west", -0.2)):
        text = study.replace('"film"', f'"{name}"') + f"\n[settings]\nshift = {shift}\n"
        (folder / f"{name}.toml").write_text(text, "utf-8")
    kinds = ("comedy", "drama", "horror")
    lines = ["user,film,stars"]
    for user in range(60):
        for film in rng.sample(range(60), 30):
            liked = kinds[film % 3] == kinds[user % 3]
            stars = min(5, max(1, round(2.5 + 1.6 * liked + rng.gauss(0, 0.6))))
            lines.append(f"{user},{kinds[film % 3]} {film // 3 + 1},{stars}")
    (folder / "ratings.csv").write_text("\n".join(lines), "utf-8")
    lines = ["petal,leaf,colour,kind"]
    for row in range(300):
        kind = row % 3
        petal, leaf = rng.gauss(2 + 0.7 * kind, 0.5), rng.gauss(5 - kind, 1)
        colour = rng.choice(("white", "yellow", "red")[: kind + 1])
        lines.append(f"{petal:.2f},{leaf:.2f},{colour},{('daisy', 'poppy', 'rose')[kind]}")
    (folder / "flowers.csv").write_text("\n".join(lines), "utf-8")


def typed(command: str, folder: Path) -> str:
    """What the command prints, as a terminal shows it."""
    environment = {
        **os.environ, "COLUMNS": f"{COLUMNS}", "HPSEARCH_STORAGE": STORE, "HPSEARCH_DEVICE": "cpu",
        "HPSEARCH_HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout}\n{done.stderr}")
    print(command, flush=True)
    return "".join(f"{line}\n" for line in shown(done.stdout.replace(str(folder), ".")))


def shown(printed: str) -> Iterator[str]:
    """Lines as wide as a terminal has them; of many trials the first and the last."""
    lines = printed.splitlines()
    trials = [place for place, line in enumerate(lines) if line.startswith("trial ")]
    for place, line in enumerate(lines):
        if line.startswith(("|", "- ")) or line in ("```", ""):
            yield line  # Markdown
        elif place in trials[2:-1]:
            if place == trials[2]:
                yield "..."
        elif len(line) > COLUMNS:
            yield from textwrap.wrap(line, COLUMNS)
        else:
            yield line.rstrip()


def card(printed: str) -> str:
    """Some sections of a model card, without headings that would be the page's own."""
    parts = printed.split("\n## ")
    chosen = [part for part in parts if part.startswith(("Metrics", "Classes", "Confusion"))]
    return "\n\n".join(f"**{part.replace(chr(10), '**' + chr(10), 1)}" for part in chosen)


def plot_of(browser: Any, page: Path, title: str) -> str:
    """One plot of a page, as SVG."""
    if browser.current_url != page.as_uri():
        browser.get(page.as_uri())
        wait_for(lambda: browser.execute_script("return window.Plotly && true"))
        wait_for(lambda: browser.find_elements("css selector", "svg.main-svg"))
    browser.set_script_timeout(60)
    svg: str = browser.execute_async_script(TAKE, title, WIDTH, HEIGHT)
    if not svg.startswith("<svg"):
        sys.exit(f"{page.name}, {title}: {svg[:200]}")
    return svg


def rounded(svg: str) -> str:
    """Its places with one digit after the point; its words stay as they are."""
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d)\d+", r"\1", tag[0]), svg)


def taste_map(browser: Any, folder: Path) -> str:
    """The map as the page draws it, in colours that are seen on white and on black."""
    show_as(browser, WIDTH)
    browser.get((folder / "taste-map.html").as_uri())
    wait_for(lambda: browser.find_elements("css selector", "circle"))
    svg: str = browser.execute_script("return document.querySelector('svg').outerHTML")
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return rounded(svg.replace(">", f"><style>{TASTES}</style>", 1))


def show_dashboard(browser: Any, folder: Path) -> None:
    """Plots and learning curves in the Optuna dashboard."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "hpsearch",
        "dashboard",
        "--storage",
        STORE,
        "--port",
        str(port),
    ]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(lambda: answers(port))
            show_as(browser, 1300)
            browser.get(f"http://127.0.0.1:{port}/dashboard/studies/1")
            wait_for(lambda: len(browser.find_elements("css selector", "svg.main-svg")) > 8)
            for name, place in (("dashboard", "user-defined-plot:hpsearch-effects"),
                                ("learning-curves", "graph-intermediate-values")):  # fmt: skip
                card = browser.find_element("id", place)
                browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
                picture = Image.open(io.BytesIO(base64.b64decode(card.screenshot_as_base64)))
                small = picture.convert("RGB").quantize(64)
                small.save(FOLDER / f"{name}.png", optimize=True)
        finally:
            server.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
