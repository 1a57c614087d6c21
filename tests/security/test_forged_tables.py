"""A table that `export` wrote and somebody changed is refused in one sentence."""

import csv
import json

import optuna
import pytest
from full_study import fill

from hpsearch.core.home import is_uid
from hpsearch.errors import InputError
from hpsearch.exchange import export_study, import_trials
from hpsearch.store import Store

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The rows of an honest table."""
    folder = tmp_path_factory.mktemp("honest")
    with Store.open(f"sqlite:///{folder}/a.db") as store:
        fill(store)
        study = optuna.load_study(study_name="full", storage=store.optuna)
        study.set_user_attr("hps_uid", "0123456789ab")
        export_study(study, folder / "full.csv")
    with (folder / "full.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "params_tiny": "0.3"} for row in rows]  # and not .1 + .2


def written(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def about(**changes):
    def change(rows):
        (column,) = [one for one in rows[0] if one == "hps_study"]
        rows[0][column] = json.dumps({**json.loads(rows[0][column]), **changes})

    return change


def cell(column, text):
    def change(rows):
        rows[0][column] = text

    return change


FORGERIES = {
    "directions": about(directions=["up", "down"]),
    "no directions": about(directions=[]),
    "directions that are a number": about(directions=7),
    "names that are a number": about(metric_names=7),
    "too many names": about(metric_names=["a", "b", "c"]),
    "attributes that are a list": about(user_attrs=[1]),
    "a space that is a number": about(user_attrs={"hps_space": 7}),
    "a state": cell("state", "LOST"),
    "reports that are a list": cell("hps_reports", "[1]"),
    "distributions that are a list": cell("hps_distributions", "[1]"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_table_is_refused(records, tmp_path, what):
    rows = [dict(row) for row in records]
    FORGERIES[what](rows)
    with Store.open(f"sqlite:///{tmp_path}/b.db") as store:
        with pytest.raises(InputError) as caught:
            import_trials(store, written(tmp_path / "forged.csv", rows), "forged")
        assert "\n" not in str(caught.value)
        assert store.studies() == []


def test_an_honest_table_gets_an_id_of_its_own(records, tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/b.db") as store:
        import_trials(store, written(tmp_path / "honest.csv", records), "honest")
        (study,) = store.studies()
        assert is_uid(study.attrs["hps_uid"])
        assert study.attrs["hps_uid"] != "0123456789ab"
