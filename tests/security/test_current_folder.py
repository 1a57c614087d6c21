"""What lies in the current folder is data: no file there is run, whatever it is called."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from tiny_table import write_table

import hpsearch
from hpsearch.core.child_processes import module_path, python_command, python_environment

pytestmark = pytest.mark.slow

SCRIPT = Path(sys.executable).with_name("hpsearch")
PYTHONS_OWN = {  # what `python -m` itself has imported before it looks for the module
    "__future__", "collections", "contextlib", "functools", "importlib", "itertools", "keyword",
    "operator", "reprlib", "runpy", "types", "warnings",
}  # fmt: skip


def write_evil(folder, *but):
    """A file for each module of the library and of installed packages; each says that it ran."""
    installed = {name for name in metadata.packages_distributions() if name.isidentifier()}
    for name in (sys.stdlib_module_names | installed) - {"hpsearch", *but}:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'a').write('{name} ')\nraise SystemExit('evil {name}')"
        )


RUN = "run study.toml --preset quick --trials 4 --workers 2"
TREE = """
name = "mine"
trainer = "sklearn:sklearn.tree.DecisionTreeClassifier"
metric = "accuracy"
direction = "maximize"
data = { path = "people.csv", target = "left" }
[space.max_depth]
type = "int"
low = 1
high = 8
default = 3
[presets.quick]
trials = 4
"""
"""For the second way a trainer without torch: three processes import it, for seconds each."""
LATER = (
    ("explain", 0),
    ("worker study.toml --workers 2 --wait 0", 2),  # it finds no run to join
    ("train study.toml --preset quick --output model", 0),
    ("predict model people.csv --output predicted.csv", 0),
)
ALL_IN_ONE = """
import sys
from hpsearch.cli.app import main
for line in sys.argv[1:]:
    sys.argv[1:] = line.split()
    try:
        main()
    except SystemExit as ended:
        print("ended:", ended.code or 0)
"""
"""What the console script does, for one line after the other: starting Python takes seconds."""


@pytest.mark.parametrize("way", ["console script", "python -m"])
def test_a_folder_of_modules_that_are_called_as_others_hijacks_nothing(tmp_path, way):
    (here := tmp_path / "here").mkdir()
    write_table(here)
    if way == "python -m":
        (here / "study.toml").write_text(TREE)
    write_evil(here, *(PYTHONS_OWN if way == "python -m" else ()))
    by_script = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-P", "-m", "hpsearch"]
    program = by_script if way == "console script" else [sys.executable, "-m", "hpsearch"]
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    variables |= {"HPSEARCH_HOME": str(tmp_path / "home"), "HPSEARCH_DEVICE": "cpu"}

    def call(*command):
        done = subprocess.run(
            command, cwd=here, env=variables, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (here / "ran").exists(), (here / "ran").read_text()
        return done.stdout

    call(*program, *RUN.split())
    if way == "console script":
        (script := tmp_path / "all_in_one.py").write_text(ALL_IN_ONE)
        out = call(sys.executable, script, *(line for line, _ in LATER))
        ended = [int(line[7:]) for line in out.splitlines() if line.startswith("ended: ")]
        assert ended == [status for _, status in LATER], out
        assert (here / "predicted.csv").exists()


def test_pip_is_run_without_the_current_folder(tmp_path, monkeypatch):
    write_evil(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        python_command("pip", "--version"), env=python_environment(), capture_output=True, text=True
    )
    assert done.stdout.startswith("pip "), done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_path_of_other_processes_has_no_current_folder(tmp_path, monkeypatch):
    own, script, here = tmp_path / "own", tmp_path / "script", tmp_path / "here"
    for folder in (own, script, here):
        folder.mkdir()
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(here)
    (script / "main.py").touch()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script / "main.py"), raising=False)
    ways_to_say_here = ["", ".", str(here), str(tmp_path / "link"), str(own / ".." / "here")]
    monkeypatch.setattr(sys, "path", [str(script), *ways_to_say_here, str(own), "/usr/lib/no.zip"])
    assert module_path() == [str(own), "/usr/lib/no.zip", str(script)]


def test_hpsearch_is_found_where_it_is_the_current_folders(tmp_path, monkeypatch):
    """A checkout that is not installed: last, so that nothing beside it hides another module."""
    checkout = str(Path(hpsearch.__file__).parents[1])
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    assert module_path() == [str(tmp_path), checkout]
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # nor is it put there
    assert module_path() == [str(tmp_path)]


def test_a_folder_that_was_deleted_is_no_current_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/usr/lib/no.zip"])
    (tmp_path / "gone").rmdir()
    assert module_path() == [str(tmp_path), "/usr/lib/no.zip"]


DRAW = """
import pandas as pd
from pathlib import Path
from hpsearch.trainers.collab.recommender.interpret import Components
from hpsearch.trainers.collab.recommender.taste_map import draw_png
from hpsearch.trainers.shared.lr_finder import LrCurve
from hpsearch.trainers.shared.lr_plot import write_png
lrs = [10 ** (n / 20 - 5) for n in range(100)]
losses = [3 - n / 50 if n < 80 else 9.0 for n in range(100)]
write_png(LrCurve(lrs, losses, losses, 100, "all"), Path("lrs.png"), title="mine")
table = pd.DataFrame({"title": ["$x^$", "b"], "1": [0.0, 1.0], "2": [1.0, 0.0]})
Path("tastes.png").write_bytes(draw_png(Components(table, [0.5, 0.5]), "between $ and $"))
"""


def test_settings_of_matplotlib_in_the_current_folder_do_not_count(tmp_path, monkeypatch):
    """`text.usetex` ran LaTeX; what stands between two dollars in a title was read as a formula."""
    (there := tmp_path / "with").mkdir()
    (there / "matplotlibrc").write_text("text.usetex: True\nsavefig.facecolor: red\n")
    done = subprocess.run(
        [sys.executable, "-c", DRAW], cwd=there, env=python_environment(),
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (without := tmp_path / "without").mkdir()
    monkeypatch.chdir(without)
    exec(DRAW, {})
    for name in ("lrs.png", "tastes.png"):
        assert (there / name).read_bytes() == (without / name).read_bytes(), name
