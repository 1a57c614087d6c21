"""A study with something in every column of every table of a store."""

import math

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.tables import schema
from hpsearch.trainers.contract import EpochRecord

SPACE = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "n": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["a", 1, 2.5, True, None]),
    "tiny": FloatDistribution(0.1, 0.3, step=0.1),
}


def fill(store):
    """A study of two objectives with something in every column of every table."""
    study = optuna.create_study(
        storage=store.optuna, study_name="full", directions=["maximize", "minimize"]
    )
    study.set_metric_names(["accuracy", "seconds"])
    study.set_user_attr("hps_note", {"naïve 模型": [1, None, 0.1 + 0.2]})
    plan = [queue.Planned("design", 7, {"lr": 1 / 3, "n": 3, "kind": k, "tiny": 0.1 + 0.2}, r)
            for k, r in (("a", None), (2.5, 0), (None, None), (True, None))]  # fmt: skip
    ref = StudyRef.of(study)
    run_id = store.start_run(ref, trials=4, workers=2, engine="local", machine="m", host="h", pid=1)
    queue.enqueue(store.engine, ref, run_id, SPACE, lambda first: plan)
    claims = [queue.claim(store.engine, ref, this_worker(), run_id) for _ in range(3)]
    ids = [claim.trial_id for claim in claims]
    values = [0.1 + 0.2, math.inf, -math.inf, math.nan]
    for step, value in enumerate(values):
        store.optuna.set_trial_intermediate_value(ids[0], step, value)
    store.optuna.set_trial_system_attr(ids[0], "constraints:memory", -0.1)
    store.optuna.set_trial_user_attr(ids[0], "hps_metrics", {"accuracy": 0.3, "f1": 1e-300})
    metrics, lrs = {"accuracy": 1 / 3}, (0.001, 0.1)
    store.record_epoch(claims[0], EpochRecord("head", 1, 2, 0.7, 2 / 3, metrics, lrs, 1.25))
    store.optuna.set_trial_state_values(ids[0], TrialState.COMPLETE, [0.30000000000000004, 1e300])
    store.optuna.set_trial_state_values(ids[1], TrialState.FAIL)
    facts = {"versions": {"torch": "2"}, "device": "cpu", "seconds": 0.1, "threads": 2}
    with store.engine.begin() as connection:
        update = sa.update(schema.trial).where(schema.trial.c.trial_id == ids[0])
        connection.execute(update.values(**facts))
    store.record_event("trial-failed", "naïve 模型", traceback="line\n" * 3, trial_id=ids[1])
    store.record_event("look", "{}", study=ref, run_id=run_id, worker="w")
    rule = {"param": "lr", "kind": "optimum", "statement": "lr near 0.01", "value": 0.01}
    store.save_rules(ref, [rule, {**rule, "param": "kind", "value": True}])
    second = store.rules("full")[1]["rule_id"]
    store.save_verification(
        "full", rule_id=second, param="kind", value=True, against=None, pairs=5, effect=0.1 + 0.2,
        verdict="confirmed",
    )  # fmt: skip
    store.record_artifact(
        ref, ids[0], kind="model", path="/m", sha256="0" * 64, size=2**40
    )  # fmt: skip
    store.end_run(ref, run_id, "finished")
    optuna.create_study(storage=store.optuna, study_name="other").enqueue_trial({"lr": 1.0})
