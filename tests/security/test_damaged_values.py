"""One damaged value costs itself: other studies work, and `doctor` finds and sets it aside."""

import json

import optuna
import pytest
import sqlalchemy as sa
from store_databases import any_database
from typed import typed

from hpsearch.store import Store
from hpsearch.store.damaged_rows import find_damage
from hpsearch.store.doctor import examine
from hpsearch.store.tables.damage import UnreadableError

optuna.logging.set_verbosity(optuna.logging.ERROR)
DEEP = "[" * 30_000 + "]" * 30_000  # Optuna's texts hold 64 KB on MariaDB


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"], scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def shared_url(kind, tmp_path_factory):
    with any_database(kind, tmp_path_factory.mktemp("damage")) as url:
        yield url


@pytest.fixture(scope="module")
def opened(shared_url):
    """A store with the study that must go on working."""
    with Store.open(shared_url) as opened:
        add_study(opened, "good", 12)
        yield opened


@pytest.fixture
def store(opened, tmp_path, monkeypatch):
    """The same with a study to be damaged."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    add_study(opened, "bad", 4)
    yield opened
    optuna.delete_study(study_name="bad", storage=opened.optuna)


def add_study(store, name, n_trials):
    study = optuna.create_study(storage=store.optuna, study_name=name, direction="maximize")
    study.set_user_attr("hps_uid", name)
    store.optuna.set_study_system_attr(study._study_id, "other", {"a": 1})
    for number in range(n_trials):
        x, y = number / 12, (number * 5 % 12) / 12
        space = {one: optuna.distributions.FloatDistribution(0, 1) for one in "xy"}
        trial = optuna.create_trial(
            params={"x": x, "y": y}, distributions=space, value=x - y / 10,
            user_attrs={"hps_seed": number}, intermediate_values={1: 0.5},
            system_attrs={"s": 1},
        )  # fmt: skip
        study.add_trial(trial)


def damage(store, statement, text=None):
    with store.engine.begin() as connection:
        if connection.dialect.name == "mysql":
            connection.exec_driver_sql("SET SESSION sql_mode = ''")
        done = connection.execute(sa.text(statement), {} if text is None else {"text": text})
        assert done.rowcount == 1


BAD = "(SELECT study_id FROM studies WHERE study_name = 'bad')"
FIRST = f"(SELECT MIN(trial_id) FROM trials WHERE study_id = {BAD})"
COLUMNS = {
    "study_user_attributes": f"SET value_json = :text WHERE study_id = {BAD} AND {{0}} = 'hps_uid'",
    "study_system_attributes": f"SET value_json = :text WHERE study_id = {BAD} AND {{0}} = 'other'",
    "trial_user_attributes": f"SET value_json = :text WHERE trial_id = {FIRST}",
    "trial_system_attributes": f"SET value_json = :text WHERE trial_id = {FIRST}",
    "trial_params": f"SET distribution_json = :text WHERE trial_id = {FIRST} AND param_name = 'x'",
}
TEXTS = {
    "no JSON": "{not json", "deep": DEEP, "empty": "", "half": '{"a": [1, 2',
    "huge number": "9" * 5000,
}  # fmt: skip


def lines(store, *arguments, folder):
    status, out, err = typed(folder, *arguments, "--storage", store.secret_url)
    assert "Traceback" not in err
    return status, out, err


def good_works(store, folder, *more):
    """What a person does with the other study and with the store as a whole."""
    names = [one.name for one in store.studies()]
    assert sorted(names) == ["bad", "good"]
    for arguments in (("studies",), *more):
        status, out, err = lines(store, *arguments, folder=folder)
        assert status == 0, (arguments, out, err)


CASES = [
    *((table, text) for table in COLUMNS for text in ("no JSON", "deep")),
    *(("study_user_attributes", text) for text in TEXTS if text not in ("no JSON", "deep")),
]


@pytest.mark.parametrize(("table", "text"), CASES)
def test_a_damaged_text_costs_itself_only(store, tmp_path, table, text):
    key = "`key`" if store.engine.dialect.name == "mysql" else '"key"'
    damage(store, f"UPDATE {table} {COLUMNS[table].format(key)}", TEXTS[text])
    good_works(store, tmp_path, *([("explain", "good"), ("rules",)] if text == "deep" else ()))
    (found,) = find_damage(store.engine)
    assert found.table.name == table
    findings = [one for one in examine(store) if one.what == "rows"]
    assert [one.fine for one in findings] == [False]
    assert f"{table}." in findings[0].text
    (bad,) = [one for one in store.studies() if one.name == "bad"]
    assert bool(bad.damage) == (table == "study_user_attributes")
    if table in ("study_user_attributes", "trial_params"):
        status, out, err = lines(store, "explain", "bad", folder=tmp_path)
        assert (status, out) == (1, "")
        assert "cannot be read" in err
        assert "hpsearch doctor" in err
    examine(store, mend=True)
    assert list(find_damage(store.engine)) == []
    (path,) = (tmp_path / "home" / "set-aside").iterdir()
    (kept,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert kept["table"] == table
    assert kept["row"][found.column] == TEXTS[text]  # never lost
    study = optuna.load_study(study_name="bad", storage=store.optuna)
    assert len(study.get_trials()) == 4
    if table == "trial_params":  # the other trials say what it was
        assert set(study.trials[0].params) == {"x", "y"}


LOOSE = {
    "study_directions": f"direction = 'UPWARDS' WHERE study_id = {BAD}",
    "trials": f"state = 'LOST' WHERE study_id = {BAD} AND number = 3",
    "trial_values": f"value = 'much' WHERE trial_id = {FIRST}",
    "trial_params": f"param_value = 'x' WHERE trial_id = {FIRST} AND param_name = 'y'",
    "trial_intermediate_values": f"intermediate_value = x'ff00' WHERE trial_id = {FIRST}",
    "study_user_attributes": f"value_json = CAST(x'ff' AS TEXT) WHERE study_id = {BAD}",
    "trial_user_attributes": f"value_json = CAST(x'2200ff22' AS TEXT) WHERE trial_id = {FIRST}",
}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True, scope="module")
@pytest.mark.parametrize("table", LOOSE)
def test_what_only_sqlite_keeps(store, tmp_path, table):
    """Words outside an enum, texts among the numbers, bytes that are no text: servers refuse."""
    damage(store, f"UPDATE {table} SET {LOOSE[table]}")
    good_works(store, tmp_path)
    _, out, err = lines(store, "explain", "bad", folder=tmp_path)
    assert "Traceback" not in out + err
    assert len(list(find_damage(store.engine))) == 1
    examine(store, mend=True)
    if table == "study_directions":
        assert [one.fine for one in examine(store) if one.what == "rows"] == [False]
        damage(store, f"UPDATE study_directions SET direction = 'MINIMIZE' WHERE study_id = {BAD}")
    assert list(find_damage(store.engine)) == []
    assert len(optuna.load_study(study_name="bad", storage=store.optuna).get_trials()) == 4


@pytest.mark.parametrize("text", ["7", "null"])
def test_an_attribute_of_ours_of_another_kind_is_damaged(store, tmp_path, text):
    study = optuna.load_study(study_name="bad", storage=store.optuna)
    study.set_user_attr("hps_study", "bad")
    study.set_user_attr("hps_space", json.loads(text))
    good_works(store, tmp_path)
    (bad,) = [one for one in store.studies() if one.name == "bad"]
    assert bad.damage == ("its attribute hps_space: it is not a dict",)
    with pytest.raises(UnreadableError, match="The study bad cannot be read, its attribute hps_sp"):
        bad.check()
    status, out, _ = lines(store, "studies", folder=tmp_path)
    assert (status, "unreadable" in out) == (0, True)
    for arguments in (("enqueue", "bad", "x=0.5"), ("explain", "bad")):
        status, _, err = lines(store, *arguments, folder=tmp_path)
        assert status == 1
        assert "cannot be read" in err


def test_rows_of_ours_that_are_damaged(store, tmp_path):
    """A run's job, a trial's versions, an epoch's metrics."""
    from hpsearch.store.queue import queue, runs
    from hpsearch.store.queue.fence import StudyRef
    from hpsearch.store.queue.processes import this_worker
    from hpsearch.trainers.contract import EpochRecord

    ref = next(one.ref for one in store.studies() if one.name == "bad")
    assert isinstance(ref, StudyRef)
    run_id = store.start_run(
        ref, trials=1, workers=1, engine="local", machine="m", host="h", pid=1, job={"a": 1}
    )
    queue.enqueue(store.engine, ref, run_id, {}, lambda _: [queue.Planned("design", 7, {})])
    claim = queue.claim(store.engine, ref, this_worker(), run_id)
    store.record_epoch(claim, EpochRecord("m", 1, 1, 0.5, 0.5, {"a": 1.0}, (0.1,), 1.0))
    damage(store, "UPDATE hps_run SET job = :text", DEEP)
    damage(store, "UPDATE hps_trial SET versions = :text", "{")
    damage(store, "UPDATE hps_epoch SET metrics = :text", "nothing")
    assert runs.oldest_open(store.engine, ref.study_id) is None
    assert store.epochs("bad")[0]["metrics"] is None
    good_works(store, tmp_path)
    assert len(list(find_damage(store.engine))) == 3
    examine(store, mend=True)
    assert list(find_damage(store.engine)) == []
    assert store.epochs("bad")[0]["metrics"] == {}
    (path,) = (tmp_path / "home" / "set-aside").iterdir()
    assert len(path.read_text().splitlines()) == 3
