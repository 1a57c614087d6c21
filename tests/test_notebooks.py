"""The notebooks run from the first cell to the last and show what they promise."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def write_made_up(folder):
    """Ratings of 30 people for 25 films in MovieLens's layout: two tastes, and noise."""
    rng = np.random.default_rng(0)
    tastes, kinds = rng.normal(size=(30, 2)), rng.normal(size=(25, 2))
    stars = np.clip(np.round(3.5 + tastes @ kinds.T + rng.normal(0, 0.3, (30, 25))), 1, 5)
    rows = [
        f"{u + 1}\t{i + 1}\t{stars[u, i]:.0f}\t88125094{u}"
        for u in range(30)
        for i in range(25)
        if rng.random() < 0.85
    ]
    films = [f"{i + 1}|Film {i} (1990)|01-Jan-1990||x|" + "|".join("0" * 19) for i in range(25)]
    (folder / "ml-100k").mkdir()
    (folder / "ml-100k/u.data").write_text("\n".join(rows) + "\n")
    (folder / "ml-100k/u.item").write_text("\n".join(films) + "\n")


BEGIN = """
%reset -f
import os
os.chdir({folder!r})
os.environ.update({env!r})
"""
"""Before a notebook: nothing is left of the one that ran before in the same kernel."""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Runs a notebook on MovieLens 100K if it is at hand, else on made-up ratings; gives the texts
    of its tagged cells' results. All run in one kernel: each would import torch for seconds."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync
    from nbclient import NotebookClient

    data = os.environ.get("HPSEARCH_DATA")
    if not data or not (Path(data) / "ml-100k.zip").is_file():
        data = tmp_path_factory.mktemp("data")
        write_made_up(data)
    patch = pytest.MonkeyPatch()
    patch.setenv("HPSEARCH_DATA", str(data))
    patch.setenv("MPLBACKEND", "agg")

    kernel = AsyncKernelManager(kernel_name="python3")

    def run(name, **env):
        notebook = nbformat.read(FOLDER / name, as_version=4)
        folder = str(tmp_path_factory.mktemp("notebook"))
        env = {key: value.format(folder=folder) for key, value in env.items()}
        begin = BEGIN.format(folder=folder, env=env)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(begin))
        client = NotebookClient(notebook, km=kernel, timeout=240)
        client.execute()
        client.kc.stop_channels()
        return {
            tag: cell.outputs[-1]["data"].get("text/plain")
            for cell in notebook.cells
            for tag in cell.metadata.get("tags", ())
        }

    yield run
    run_sync(kernel.shutdown_kernel)(now=True)
    patch.undo()


@pytest.mark.parametrize("name", NAMES)
def test_no_results_are_kept_in_the_file(name):
    import nbformat

    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_spreadsheet_reaches_the_lessons_level_and_look_ups_are_one_hot_products(executed):
    found = {tag: ast.literal_eval(text) for tag, text in executed(
        "collaborative_filtering.ipynb").items()}  # fmt: skip
    assert 0 < found["rmse"] <= 0.39
    assert found["equal"] is True
    assert len(found["gradients"]) == 2
    assert max(found["gradients"]) < 1e-13


@pytest.mark.parametrize("name", ["texts", "table", "ratings", "own_objective"])
def test_a_kind_of_study_from_data_to_an_answer(executed, name):
    found = executed(f"{name}.ipynb", TRIALS="3", HPSEARCH_HOME="{folder}/home")
    assert "3 trials" in found["explanation"]
    assert found["predicted"]
    if name == "table":
        assert found["objectives"] == "['accuracy', 'seconds']"
    if name == "own_objective":
        assert found["verification"].startswith("<Verification ")
    else:
        assert ("mse" if name == "ratings" else "accuracy") in found["metrics"]


def test_from_2_6_to_a_rule_that_is_verified_or_a_reason_why_there_is_none(executed):
    found = executed("rule_of_thumb.ipynb", TRIALS="3", HPSEARCH_HOME="{folder}/home")
    assert "too few" in found["rules"]
    assert "against 2.6" in found["verification"]
