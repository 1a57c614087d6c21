"""import and export as a person types them."""

import json

from typed import typed

from hpsearch.store import Store
from hpsearch.store.queue.fence import StudyRef


def test_somebodys_runs_are_imported_explained_and_exported(tmp_path):
    lines = ["Name,State,lr,bs,val_loss,acc"]
    lines += [f"run-{i},finished,{10 ** -(i / 6):.6f},{2 ** (4 + i % 4)},{i / 9},{(i % 7) / 10}"
              for i in range(24)]  # fmt: skip
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    status, out, err = typed(tmp_path, "import", "runs.csv", "--study", "mine", "--metric", "acc")
    assert (status, err) == (0, "")
    assert "24 complete" in out
    assert "acc (higher is better)" in out
    assert "log" in next(line for line in out.splitlines() if line.strip().startswith("lr"))
    status, out, _ = typed(tmp_path, "explain", "mine", "--format", "json")
    assert status == 0
    assert json.loads(out)["trials"]["complete"] == 24
    status, out, _ = typed(tmp_path, "export", "mine", "--output", "back.parquet")
    assert (status, out) == (0, "Wrote 24 trials to back.parquet\n")
    status, _, err = typed(tmp_path, "import", "runs.csv", "--study", "mine", "--metric", "acc")
    assert status == 2
    assert "give another --study" in err
    status, _, err = typed(tmp_path, "export", "none", "--output", "back.csv")
    assert (status, "has no study 'none'" in err) == (2, True)


def test_explaining_a_file_says_how_to_import_it(tmp_path):
    (tmp_path / "runs.csv").write_text("lr,acc\n0.1,0.5\n")
    status, _, err = typed(tmp_path, "explain", "runs.csv")
    assert status == 2
    assert "`hpsearch import runs.csv --study NAME`" in err


def test_a_whole_study_moves_to_another_store(tmp_path):
    (tmp_path / "runs.csv").write_text("lr,acc\n0.1,0.5\n0.01,0.75\n")
    typed(tmp_path, "import", "runs.csv", "--study", "mine", "--metric", "acc")
    with Store.open(f"sqlite:///{tmp_path}/hpsearch.db") as store:  # a file that it only names
        store.record_artifact(
            StudyRef(1, "mine", None),
            1,
            kind="model",
            path="/far/models/7",
            sha256="0" * 64,
            size=1,
        )
    status, out, err = typed(tmp_path, "export", "mine", "--output", "mine.zip")
    assert (status, err) == (0, "")
    assert out.startswith(
        "Wrote 2 trials to mine.zip\nNot in it: 1 of the trials' models, in /far/"
    )
    other = ("--storage", "sqlite:///other.db")
    status, out, err = typed(tmp_path, "import", "mine.zip", *other)
    assert (status, err) == (0, "")
    assert out == "Imported 2 trials into study mine of sqlite:///other.db\n"
    status, _, err = typed(tmp_path, "import", "mine.zip", *other)
    assert (status, "another name with --study" in err) == (2, True)
    status, _, err = typed(tmp_path, "import", "runs.csv", "--metric", "acc")
    assert (status, "--study" in err) == (2, True)
    (tmp_path / "bad.zip").write_text("lr,acc\n")
    status, _, err = typed(tmp_path, "import", "bad.zip")
    assert (status, "no study that `hpsearch export` wrote" in err) == (2, True)
