"""`hpsearch delete` and `rename`, as they are typed."""

import pytest
from typed import typed

import hpsearch


@pytest.fixture
def folder(tmp_path):
    """A folder whose hpsearch.db has the study "mine" of ten trials."""
    rows = [f"{i / 10},{(i / 10 - 0.3) ** 2}" for i in range(10)]
    (tmp_path / "runs.csv").write_text("\n".join(["dropout,loss", *rows]))
    hpsearch.import_study(
        tmp_path / "runs.csv", "mine", metric=["loss"], storage=f"sqlite:///{tmp_path}/hpsearch.db"
    )
    return tmp_path


def test_a_study_is_deleted_only_where_that_is_said(folder):
    status, _, says = typed(folder, "delete", "mine")
    assert status == 2
    assert "Nothing was deleted: add --yes to delete mine with 10 trials" in says
    assert "mine" in typed(folder, "studies")[1]
    status, says, _ = typed(folder, "delete", "mine", "--yes")
    assert (status, says.startswith("Deleted mine with 10 trials")) == (0, True)
    assert typed(folder, "delete", "mine", "--yes")[0] == 2


def test_a_study_is_renamed(folder):
    assert typed(folder, "rename", "mine", "earlier") == (0, "mine is called earlier now\n", "")
    assert "earlier" in typed(folder, "studies")[1]
    status, _, says = typed(folder, "rename", "earler", "x")
    assert (status, "did you mean earlier?" in says) == (2, True)
