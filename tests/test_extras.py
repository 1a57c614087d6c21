"""`pip install hpsearch` brings what explains; a command that needs more says what to install."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hpsearch import extras
from hpsearch.core.child_processes import python_environment

TESTS = Path(__file__).parent
PROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))["project"]
ABSENT = sorted(module for modules in extras.EXTRAS.values() for module in modules)
BARE = """
import json, sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name in ABSENT else self.finder.find_spec(name, *more)
ABSENT = json.loads(sys.argv[1])
sys.meta_path[:] = map(Hiding, sys.meta_path)
sys.path.insert(0, sys.argv[3])
from typed import typed
print(json.dumps([typed(".", *one) for one in json.loads(sys.argv[2])]))
import hpsearch
from hpsearch.search.engines.ray import connect
for function in (hpsearch.load_tabular, connect):
    try:
        function("model")
    except hpsearch.InputError as error:
        print(error)
"""
WORKS = (
    ("import", "runs.csv", "--study", "mine", "--metric", "acc"),
    ("explain", "--format", "html", "--output", "report.html"),
    ("export", "mine", "--output", "trials.parquet"),
    ("studies",),
    ("show", "imdb-clas"),
    ("doctor",),
    ("run", "shop:cost", "--space", "price=1.0..9.0", "--metric", "cost", "--trials", "2",
     "--workers", "1"),
    ("verify", "shop:cost", "--param", "price", "--value", "2", "--against", "8", "--pairs", "2",
     "--workers", "1"),
    ("train", "shop:cost", "--best", "--output", "model"),
)  # fmt: skip
NEEDS = {
    ("run", "imdb-clas", "--storage", "sqlite:///new.db"): "train",
    ("train", "adult", "--output", "model"): "train",
    ("generate", "imdb-unsup", "This film"): "train",
    ("interpret", "model"): "train",
    ("run", "shop:cost", "--space", "price=1.0..9.0", "--trials", "1", "--log", "mlflow"): "mlflow",
    ("dashboard",): "dashboard",
    ("explain", "--push"): "dashboard",
    ("studies", "--storage", "postgresql://me@127.0.0.1/none"): "postgres",
    ("studies", "--storage", "mysql://me@127.0.0.1/none"): "mysql",
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """(folder, what each command gave, what two functions say) where no extra's module is there."""
    folder = tmp_path_factory.mktemp("bare")
    rows = (f"{10 ** (-i / 10)},{i * 7 % 30},{-((i - 12) ** 2)}" for i in range(30))
    (folder / "runs.csv").write_text("\n".join(["lr,depth,acc", *rows]))
    (folder / "shop.py").write_text("def cost(price, seed=0): return price + seed % 3")
    arguments = (json.dumps(ABSENT), json.dumps([*WORKS, *NEEDS]), str(TESTS))
    done = subprocess.run(
        [sys.executable, "-c", BARE, *arguments], cwd=folder, capture_output=True, text=True,
        check=True, env=python_environment(),
    )  # fmt: skip
    outcomes, *said = done.stdout.splitlines()
    return folder, dict(zip((*WORKS, *NEEDS), json.loads(outcomes), strict=True)), said


def test_what_explains_needs_no_extra(bare):
    folder, outcomes, _ = bare
    assert {command: outcomes[command][2] for command in WORKS if outcomes[command][0]} == {}
    assert (folder / "report.html").stat().st_size > 1_000_000
    assert (folder / "trials.parquet").exists()


@pytest.mark.parametrize(("command", "extra"), NEEDS.items(), ids=lambda one: one[0])
def test_a_command_names_the_extra_that_it_needs(bare, command, extra):
    status, _, said = bare[1][command]
    assert status == 2
    assert re.fullmatch(
        rf"Error: This needs .*, which is not installed: pip install 'hpsearch\[{extra}\]', "
        r"then try again\.\n",
        said,
    )


def test_what_cannot_be_run_makes_no_store(bare):
    assert not (bare[0] / "new.db").exists()


def test_functions_name_their_extras_too(bare):
    assert [re.search(r"hpsearch\[\w+\]", one)[0] for one in bare[2]] == [
        "hpsearch[train]",
        "hpsearch[ray]",
    ]


MODULE_OF = {"mlflow-skinny": "mlflow"}  # its module is not called as it is


def name_of(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def test_each_extra_names_all_that_it_brings():
    declared = {
        extra: sorted(
            MODULE_OF.get(name, name.replace("-", "_")) for name in map(name_of, packages)
        )
        for extra, packages in PROJECT["optional-dependencies"].items()
        if extra not in ("all", "notebooks", "test")  # notebooks are opened by Jupyter, not by us
    }
    assert {extra: sorted(modules) for extra, modules in extras.EXTRAS.items()} == declared


def test_an_error_of_another_module_stays_what_it_is():
    assert extras.missing_extra(ModuleNotFoundError("No module named 'mine'", name="mine")) is None
    assert extras.missing_extra(ImportError("libtorch.so: no such file", name="torch")) is None
