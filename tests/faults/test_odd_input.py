"""Names of 100,000 letters, targets beyond a float32, cells that a spreadsheet would calculate."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile

import numpy as np
import optuna
import pandas as pd
import pytest
from calls import join
from optuna.distributions import CategoricalDistribution, FloatDistribution
from rich.console import Console
from tiny_table import write_table

from hpsearch import run
from hpsearch.core.terminal import one_line
from hpsearch.data.corpus import read_corpus
from hpsearch.data.own.csv_header import read_header
from hpsearch.errors import InputError
from hpsearch.exchange import ColumnChoice, export_study, import_trials
from hpsearch.exchange.export_trials import holds_formulas
from hpsearch.search.plan.plan_run import enqueue_trial
from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.sources import find_one, open_file
from hpsearch.store.tables.damage import UnreadableError
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.tabular import trainer
from hpsearch.verification.run import which

LONG = "n" * 100_000


def hpsearch(cwd, *args):
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", *args], cwd=cwd, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("explain", "--storage", LONG),
        ("predict", LONG, LONG),
        ("new", "study.toml", "--table", f"{LONG}.csv", "--target", "y"),
    ],
    ids=lambda args: args[0],
)
def test_a_file_of_a_hundred_thousand_letters_is_a_sentence(tmp_path, args):
    status, printed = hpsearch(tmp_path, *args)
    assert status == 2
    assert "unexpectedly" not in printed
    assert len(printed) < 5000
    assert len(printed.splitlines()) == 1


def test_a_long_name_stays_on_the_screen():
    assert len(one_line(LONG)) < 5000
    assert "(100,000 letters)" in one_line(LONG)


def test_names_that_no_server_takes_are_not_imported(tmp_path):
    """SQLite took a study whose name, or whose parameter's, no other database has room for."""
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n2,3\n")
    (tmp_path / "long.csv").write_text(f"{LONG},y\n1,2\n2,3\n")
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        for file, name in (("rows.csv", LONG), ("long.csv", "s"), ("rows.csv", "n" * 513)):
            with pytest.raises(InputError, match=r"letters, and 512 is the most"):
                import_trials(store, tmp_path / file, name, ColumnChoice(["y"]))
        assert store.studies() == []
        import_trials(store, tmp_path / "rows.csv", "n" * 512, ColumnChoice(["y"]))


def test_a_header_is_read_whole(tmp_path):
    (tmp_path / "t.csv").write_text(f"{LONG};b;c\n1;2;3\n")
    assert read_header(tmp_path / "t.csv") == ([LONG, "b", "c"], ";", 0)


@pytest.mark.parametrize(
    ("cell", "said"), [("1e300", "1e"), ("-1e39", "-1e"), ("inf", "inf"), ("-inf", "-inf")]
)
def test_a_target_that_is_too_large_is_not_called_missing(tmp_path, monkeypatch, cell, said):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=50), "y": rng.normal(size=50).astype(str)})
    table.loc[3, "y"] = cell
    table.to_csv(tmp_path / "t.csv", index=False)
    data = {"path": str(tmp_path / "t.csv"), "target": "y", "task": "regression"}
    with pytest.raises(InputError, match=rf"The target 'y' is {said}.*beyond 3.4e\+38") as caught:
        trainer.prepare(data, {}, PrepareSetup(data_path=None, device="cpu"))
    assert "missing" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "is_formula"),
    [
        ("=1+1", True), ("@SUM(A1)", True), ("+cmd|' /C calc'!A0", True), ("-1+cmd|' '!A0", True),
        ("a=b", False), ("-1", False), ("-1.5e-05", False), ("e@mail", False), ("x, =y", False),
    ],
)  # fmt: skip
def test_cells_that_a_spreadsheet_calculates_are_told_and_kept(tmp_path, cell, is_formula):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    study = optuna.create_study(storage=storage, study_name="mine")
    choices = {"kind": CategoricalDistribution([cell, "plain"])}
    for value, choice in ((1.0, cell), (-1.0, "plain")):
        trial = optuna.trial.create_trial(
            value=value, params={"kind": choice}, distributions=choices
        )
        study.add_trial(trial)
    export_study(study, tmp_path / "t.csv")
    assert holds_formulas(tmp_path / "t.csv") is is_formula
    storage.engine.dispose()
    with Store.open(f"sqlite:///{tmp_path}/other.db") as store:
        again = import_trials(store, tmp_path / "t.csv", "again").study
        assert [trial.params["kind"] for trial in again.trials] == [cell, "plain"]


def test_export_says_so(tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    study = optuna.create_study(storage=storage, study_name="mine")
    trial = optuna.trial.create_trial(value=1.0, user_attrs={"note": "=HYPERLINK(1)"})
    study.add_trial(trial)
    storage.engine.dispose()
    store = ("--storage", "sqlite:///s.db")
    status, printed = hpsearch(tmp_path, "export", "mine", "--output", "t.csv", *store)
    assert status == 0
    assert "which a spreadsheet calculates" in printed


@pytest.mark.parametrize("kind", ["unknown method", "encrypted", "damaged", "newer format"])
def test_an_archive_of_texts_that_cannot_be_unpacked_is_a_sentence(tmp_path, kind):
    archive = tmp_path / "texts.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.txt", "a good film " * 500)
    content = bytearray(archive.read_bytes())
    local, central = content.find(b"PK\3\4"), content.find(b"PK\1\2")
    if kind == "unknown method":
        content[local + 8] = content[central + 10] = 97
    elif kind == "encrypted":
        content[local + 6] = content[central + 8] = 1
    elif kind == "newer format":
        content[central + 6] = 90
    else:
        content[local + 36] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be (unpacked|read)"):
        read_corpus(str(archive))


def test_a_study_that_only_calls_itself_ours_is_a_sentence(tmp_path):
    """Any Optuna client of the store may set hps_study: KeyError ended worker and verify."""
    write_table(tmp_path)
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        study = optuna.create_study(study_name="theirs", storage=store.optuna)
        study.set_user_attr("hps_study", "mine")
        url = store.secret_url
    spec = load_spec(tmp_path / "study.toml")
    with pytest.raises(InputError, match=r"theirs lacks what its trials stand on \(hps_uid"):
        join(spec, storage=url, wait=0)
    with pytest.raises(InputError, match="'theirs' was not made by hpsearch"):
        which("theirs", storage=url, preset="auto")
    assert which(tmp_path / "study.toml", storage=url, preset="auto").preset == "auto"


@pytest.mark.parametrize(
    "line", ['{"op_code": 99, "worker_id": "w"}', '{"op_code": 2}', "[]", "[" * 100_000, '"text"']
)
def test_a_journal_with_a_line_of_no_kind_is_a_sentence(tmp_path, line):
    (tmp_path / "log").write_text(
        '{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}\n' + f"{line}\n"
    )
    with pytest.raises(InputError, match=r"The journal .* is damaged: "):
        open_file(tmp_path / "log")


@pytest.mark.parametrize("one", [None, "x", [], {}, {"name": "os.system", "attributes": {}}])
def test_a_space_of_no_distributions_is_a_sentence(tmp_path, one):
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        study = optuna.create_study(study_name="theirs", storage=store.optuna)
        study.set_user_attr("hps_space", {"lr": one})
        with pytest.raises(InputError, match="was not made by"):
            enqueue_trial(store, find_one(store, "theirs"), {"lr": 1})
        study.set_user_attr("hps_seed", 1)
        with pytest.raises(UnreadableError, match="The space of the study"):
            enqueue_trial(store, find_one(store, "theirs"), {"lr": 1})


@pytest.mark.parametrize(
    "job", [[1], {}, {"search": 5}, {"search": {"sampler": "evil"}}, {"search": {}, "more": 1}]
)
def test_a_run_whose_job_is_none_is_a_sentence(tmp_path, monkeypatch, job):
    """Whoever may write to a shared store may write what its workers are told."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    write_table(tmp_path)
    file, url = tmp_path / "study.toml", f"sqlite:///{tmp_path}/s.db"
    study = run(file, storage=url, preset="quick", trials=1, console=Console(file=io.StringIO()))
    if isinstance(job, dict):
        job = {**job, "trainer": "tabular"}
    with Store.open(url) as store:
        ref = StudyRef.of(study)
        key = store.start_run(
            ref, trials=1, workers=1, engine="local", machine="m", host="h", pid=1, job=job
        )
        planned = [queue.Planned("design", 7, {"lr": 0.01}, None)]
        space = {"lr": FloatDistribution(1e-3, 0.1, log=True)}
        queue.enqueue(store.engine, ref, key, space, lambda first: planned)
    with pytest.raises(UnreadableError, match="The job of run 2"):
        join(load_spec(file), storage=url, wait=0, workers=1)


@pytest.mark.parametrize("torn", [b'{"op_code": 8, "work', b"\0" * 50])
def test_a_torn_line_in_a_journal_is_named(tmp_path, torn):
    """As a full disk, a killed writer or a file system of several machines leaves it."""
    first = b'{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}\n'
    (tmp_path / "log").write_bytes(first + torn + b"\n" + first.replace(b'"s"', b'"t"'))
    with pytest.raises(InputError, match=r"line 2 is no entry.*sed 2d"):
        open_file(tmp_path / "log")
