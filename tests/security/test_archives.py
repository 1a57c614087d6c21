"""A forged archive is refused as a whole, naming the row; an honest one is taken in."""

import hashlib
import json
import zipfile

import optuna
import pytest
from full_study import fill
from store_databases import database
from typed import typed

from hpsearch.core.home import is_uid
from hpsearch.errors import InputError
from hpsearch.store import Store

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """The members of an archive of a study with something in every table."""
    folder = tmp_path_factory.mktemp("honest")
    with Store.open(f"sqlite:///{folder}/a.db") as store:
        fill(store)
        study = optuna.load_study(study_name="full", storage=store.optuna)
        study.set_user_attr("hps_uid", "../../home")
        study.set_user_attr("hps_space", {})
        store.export_study("full", folder / "full.zip")
    with zipfile.ZipFile(folder / "full.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('target')}/b.db") as store:
        yield store


def pack(path, members):
    """With checksums that are right: whoever forges a row forges those, too."""
    about = json.loads(members["manifest.json"])
    for name, text in members.items():
        if (table := name.removesuffix(".jsonl")) in about["tables"]:
            digest = hashlib.sha256(text).hexdigest()
            about["tables"][table] = {"rows": len(text.splitlines()), "sha256": digest}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**members, "manifest.json": json.dumps(about)}.items():
            archive.writestr(name, text)


def forged(members, table, change):
    rows = [json.loads(line) for line in members[f"{table}.jsonl"].splitlines()]
    changed = change(rows)
    rows = rows if changed is None else changed
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return {**members, f"{table}.jsonl": text}


def put(**cells):
    """Other cells in the first row."""

    def change(rows):
        rows[0].update(cells)

    return change


def twice(rows):
    return [*rows, rows[0]]


def of_key(key, text):
    def change(rows):
        next(row for row in rows if row["key"] == key)["value_json"] = text

    return change


FORGERIES = {
    "a trial's number twice": ("trials", lambda rows: [*rows[:-1], {**rows[-1], "number": 0}]),
    "a number that is missing": ("trials", lambda rows: [*rows[:-1], {**rows[-1], "number": 9}]),
    "a negative number": ("trials", put(number=-1)),
    "a state that is none": ("trials", put(state="LOST")),
    "a number as a text": ("trials", put(number="0")),
    "a number that is a truth value": ("trials", put(number=True)),
    "a moment that is none": ("trials", put(datetime_start="yesterday")),
    "a moment with a zone": ("trials", put(datetime_start="2020-01-01T00:00:00+02:00")),
    "another study's trial": ("trials", put(study_id=77)),
    "a column that is none": ("trials", put(extra=1)),
    "a row that is a list": ("trials", lambda rows: [[1, 2], *rows]),
    "a direction that is none": ("study_directions", put(direction="NOT_SET")),
    "a direction that is no word": ("study_directions", put(direction=7)),
    "an objective too many": ("study_directions", put(objective=5)),
    "no directions": ("study_directions", lambda rows: []),
    "a value of no objective": ("trial_values", put(objective=7)),
    "a value that is a text": ("trial_values", put(value="much")),
    "a value that is infinite": ("trial_values", put(value=float("inf"))),
    "a value that is missing": ("trial_values", put(value=None)),
    "a complete trial without values": ("trial_values", lambda rows: [rows[0]]),
    "a value twice": ("trial_values", twice),
    "a parameter outside its range": ("trial_params", put(param_value=1e9)),
    "a parameter that is nan": ("trial_params", put(param_value=float("nan"))),
    "a distribution that is none": ("trial_params", put(distribution_json='{"name": "X"}')),
    "a distribution of no object": ("trial_params", put(distribution_json="7")),
    "a distribution nested deeply": ("trial_params", put(distribution_json="[" * 50_000)),
    "a parameter twice": ("trial_params", twice),
    "a parameter of no trial": ("trial_params", put(trial_id=4711)),
    "a name of 10,000 letters": ("trial_params", put(param_name="x" * 10_000)),
    "a name with a NUL": ("trial_params", put(param_name="a\0b")),
    "a name with half a sign": ("trial_params", put(param_name="a\ud800")),
    "a report at no step": ("trial_intermediate_values", put(step=-1)),
    "a report twice": ("trial_intermediate_values", twice),
    "a report of no kind": ("trial_intermediate_values", put(intermediate_value_type="MORE")),
    "an attribute that is no JSON": ("trial_user_attributes", put(value_json="{")),
    "a seed that is a text": ("trial_user_attributes", of_key("hps_seed", '"seven"')),
    "a cohort that is a number": ("trial_user_attributes", of_key("hps_cohort", "7")),
    "a copy of no trial": ("trial_user_attributes", of_key("hps_replicate_of", "99")),
    "a space that is a number": ("study_user_attributes", of_key("hps_space", "7")),
    "names of metrics that are a number": (
        "study_system_attributes", of_key("study:metric_names", "7"),
    ),
    "too few names of metrics": (
        "study_system_attributes", of_key("study:metric_names", '["one"]'),
    ),
    "an epoch beyond the last": ("hps_epoch", put(epoch=9)),
    "epoch 0": ("hps_epoch", put(epoch=0)),
    "an epoch twice": ("hps_epoch", twice),
    "metrics that are a list": ("hps_epoch", put(metrics=[1])),
    "a metric that is a text": ("hps_epoch", put(metrics={"accuracy": "high"})),
    "rates that are words": ("hps_epoch", put(lrs=["fast"])),
    "attempts below zero": ("hps_trial", put(attempts=-1)),
    "a repeat of no trial": ("hps_trial", put(replicate_of=99)),
    "two rows of ours for a trial": ("hps_trial", twice),
    "a job that is a list": ("hps_run", put(job=[1])),
    "a payload that is a text": ("hps_rule", put(payload="text")),
    "a size below zero": ("hps_artifact", put(bytes=-5)),
    "a second study": ("studies", lambda rows: [*rows, {**rows[0], "study_id": 99}]),
    "no study": ("studies", lambda rows: []),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_row_refuses_the_archive(honest, target, tmp_path, what):
    table, change = FORGERIES[what]
    pack(tmp_path / "forged.zip", forged(honest, table, change))
    before = target.table_counts()
    with pytest.raises(InputError) as caught:
        target.import_study(tmp_path / "forged.zip")
    said = str(caught.value)
    assert "forged.zip is damaged or forged, so nothing of it was taken in" in said
    assert f"in its table {table}" in said
    assert said.count("\n") == 0
    assert len(said) < 600
    assert target.table_counts() == before


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_an_honest_archive_is_taken_in_and_gets_an_id_of_its_own(honest, tmp_path, kind):
    pack(tmp_path / "honest.zip", honest)
    if kind == "sqlite":
        take_in(f"sqlite:///{tmp_path}/b.db", tmp_path)
        return
    with database(kind) as url:
        take_in(url, tmp_path)


def take_in(url, folder):
    with Store.open(url) as store:
        for name in ("one", "two"):
            store.import_study(folder / "honest.zip", name)
        pack(folder / "bad.zip", forged(members_of(folder / "honest.zip"), "hps_epoch", twice))
        with pytest.raises(InputError, match="forged"):
            store.import_study(folder / "bad.zip", "three")
        studies = {one.name: one for one in store.studies()}
        assert set(studies) == {"one", "two"}
        uids = {one.attrs["hps_uid"] for one in studies.values()}
        assert len(uids) == 2
        assert all(is_uid(uid) for uid in uids)


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_archive_that_would_fill_the_disk_is_asked_about(honest, tmp_path):
    """Half a megabyte of zeros and ones that becomes hundreds."""
    row = json.loads(honest["study_user_attributes.jsonl"].splitlines()[0])
    rows = [{**row, "key": f"k{i}", "value_json": json.dumps("x" * 1_000_000)} for i in range(100)]
    text = "".join(json.dumps(one) + "\n" for one in rows).encode()
    pack(tmp_path / "bomb.zip", {**honest, "study_user_attributes.jsonl": text})
    assert (tmp_path / "bomb.zip").stat().st_size < 500_000
    url = f"sqlite:///{tmp_path}/b.db"
    status, out, err = typed(tmp_path, "import", "bomb.zip", "--storage", url)
    assert (status, out) == (2, "")
    assert "would grow to 100 MB" in err
    assert "--allow-large" in err
    assert len(err.splitlines()) <= 3
    with Store.open(url) as store:
        assert store.studies() == []
    status, out, _ = typed(tmp_path, "import", "bomb.zip", "--storage", url, "--allow-large")
    assert (status, out.startswith("Imported 4 trials")) == (0, True)


def test_a_row_that_is_longer_than_any_is_refused(honest, target, tmp_path):
    row = json.loads(honest["study_user_attributes.jsonl"].splitlines()[0])
    text = json.dumps({**row, "value_json": json.dumps("x" * (1 << 24))}).encode() + b"\n"
    pack(tmp_path / "long.zip", {**honest, "study_user_attributes.jsonl": text})
    with pytest.raises(InputError, match="row 1 cannot be"):
        target.import_study(tmp_path / "long.zip")
    assert target.studies() == []
