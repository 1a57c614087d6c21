"""Names that a database takes for one another, or cannot hold."""

from dataclasses import replace

import optuna
import pytest
from calls import run

from hpsearch.core.database_urls import parse_url
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.queue.fence import StudyRef, is_there


def test_a_name_that_differs_in_case_only(kind, spec, storage, console):
    """MariaDB takes Fake for fake: the trials of one study are not put into the other."""
    run(spec, trials=1, storage=storage, console=console)
    other = replace(spec, name="Fake")
    if kind == "mariadb":
        with pytest.raises(InputError, match="has a study 'fake-quick', which its database takes"):
            run(other, trials=1, storage=storage, console=console)
    else:
        run(other, trials=1, storage=storage, console=console)
    with Store.open(storage) as store:
        assert [one.trials for one in store.studies()] == ([1] if kind == "mariadb" else [1, 1])


def test_an_id_of_another_program_in_any_letters(storage):
    """Optuna writes such letters as escapes; the study is not taken for deleted."""
    with Store.open(storage) as store:
        study = optuna.create_study(storage=store.optuna, study_name="s")
        study.set_user_attr("hps_uid", "é")
        study.add_trial(optuna.create_trial(value=1.0))
        assert is_there(store.engine, StudyRef.of(study))
        rule = {"param": "x", "kind": "optimum", "statement": "x near 0.3"}
        store.save_rules(StudyRef.of(study), [rule])
        assert len(store.rules("s")) == 1


@pytest.mark.parametrize("name", ["a\udcff.db", "a\0.db", "a%00.db"])
def test_a_url_that_names_no_file(name):
    with pytest.raises(InputError, match="holds a null, or bytes that are no UTF-8"):
        parse_url(f"sqlite:///{name}")
