"""Somebody made a mistake in a study, corrects it, and tidies up."""

from journey import QUICK, stars


def test_a_study_is_corrected_renamed_and_deleted(me):
    me.table("stars.csv", ["user", "item", "rating"], stars())
    me.types("new", "stars.csv")
    me.shortens("stars.toml")
    study, run = (
        me.folder / "stars.toml",
        ("run", "stars.toml", *QUICK, "--trials", "1"),
    )
    right = study.read_text()
    study.write_text(right.replace("# metric = ...", 'metric = "rsme" #'))
    assert "direction: the name of 'rsme' does not tell" in me.is_told(*run)
    study.write_text(right.replace("# metric = ...", 'metric = "rsme"\ndirection = "minimize" #'))
    assert "did you mean rmse?" in me.is_told(*run)
    assert not (me.folder / "hpsearch.db").exists()
    study.write_text(right.replace("# metric = ...", 'metric = "rmse" #'))
    assert "best rmse" in me.types(*run)
    study.write_text(right)
    assert "changed since its first trials" in me.is_told(*run)
    me.types("rename", "stars-quick", "by-rmse")
    assert "best mse" in me.types(*run)
    assert "add --yes" in me.is_told("delete", "by-rmse")
    me.types("delete", "by-rmse", "--yes")
    assert "by-rmse" not in me.types("studies")
