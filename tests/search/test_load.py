"""Many workers at once on instant trials (benchmarks/bench_store.py has the long version)."""

import json
from contextlib import nullcontext

import pytest
from calls import run
from optuna.trial import TrialState
from store_databases import database

from hpsearch.store import Store
from hpsearch.store.doctor import examine


@pytest.mark.parametrize(("kind", "workers"), [("sqlite", 8), ("postgresql", 4)])
def test_no_worker_meets_a_lock_and_no_trial_is_lost(spec, storage, console, kind, workers):
    spec = spec.but(epochs=1)
    search = {"sampler": "random", "pruner": "none"}
    with nullcontext(storage) if kind == "sqlite" else database(kind) as url:
        study = run(spec, trials=96, workers=workers, storage=url, search=search, console=console)
        assert [trial.number for trial in study.trials] == list(range(96))
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
        study._storage._backend.engine.dispose()
        with Store.open(url, create=False) as store:
            assert [one.text for one in examine(store) if not one.fine] == []
            events = json.dumps([(event["kind"], event["message"]) for event in store.events()])
            assert {row["attempts"] for row in store.trials("fake-quick")} == {1}
    assert len({entry["pid"] for entry in spec.journal if entry["what"] == "end"}) > 1
    assert sum(entry["what"] == "end" for entry in spec.journal) == 96
    assert "locked" not in events + console.file.getvalue()
    assert "waiting for it" not in console.file.getvalue()
