"""A node of a Ray cluster is lost in the middle of a trial of each trainer: nothing else is."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from run_processes import wait_until
from tiny_corpus import CLASSIFIER_TOML, write_reviews
from tiny_table import STUDY, write_table

import hpsearch
from hpsearch.search.engines import Cluster
from hpsearch.store import Store
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import TRIALS
from hpsearch.study.trainers import TRAINERS

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
from ray import cluster_utils  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

COLLAB_TOML = """
name = "films"
trainer = "collab"
metric = "mse"
direction = "minimize"
data = { path = "ratings.csv", user = "who", item = "film", rating = "stars" }
[settings]
n_factors = 4
epochs = 4
[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 1e-2
[presets.quick]
trials = 4
"""


HELD = """
import os, time
from dataclasses import replace
from pathlib import Path
import {real} as real

def train(settings, params, data, setup):
    def and_wait(record):
        setup.report(record)
        while not (Path(os.environ["HPSEARCH_HOME"]) / "go-{name}").exists():
            time.sleep(0.02)

    return real.train(settings, params, data, replace(setup, report=and_wait))

def __getattr__(name):
    return getattr(real, name)
"""
"""A trainer whose trials stand after their first epoch until the cache of their node says go."""


def write_films(folder):
    rows = [f"{i % 23},{i * 7 % 31},{1 + (i % 23 + i * 7 % 31) % 5}" for i in range(700)]
    (folder / "ratings.csv").write_text("\n".join(["who,film,stars", *rows]))
    (folder / "study.toml").write_text(COLLAB_TOML)


def write_people(folder):
    write_table(folder)
    (folder / "study.toml").write_text(STUDY.replace("epochs = 2", "epochs = 4"))


def write_texts(folder):
    write_reviews(folder / "reviews.csv", 120)
    (folder / "study.toml").write_text(CLASSIFIER_TOML)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head where no trial has room, and two nodes for one worker each, with own caches."""
    before = dict(os.environ)
    folder = tmp_path_factory.mktemp("ray-nodes")
    os.environ.update(RAY_worker_niceness="0", PYTHONPATH=str(folder))  # 15 by default
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    made.folder, made.homes = folder, {}
    yield made
    ray.shutdown()
    made.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def nodes(cluster):
    """The cluster with the nodes that it lost replaced."""
    while len(cluster.worker_nodes) < 2:
        home = cluster.folder / f"node-{len(cluster.homes)}"
        home.mkdir()
        node = cluster.add_node(num_cpus=1, env_vars={"HPSEARCH_HOME": str(home)})
        cluster.homes[node] = home
    return cluster


def both_are_training(storage):
    """Whether two trials run, each with an epoch behind it."""
    epochs = sa.select(sa.func.count(sa.distinct(schema.epoch.c.trial_id)))
    epochs = epochs.join(TRIALS, TRIALS.c.trial_id == schema.epoch.c.trial_id)
    with Store.open(storage) as store, store.engine.connect() as connection:
        running = epochs.where(TRIALS.c.state == TrialState.RUNNING)
        return connection.execute(running).scalar_one() == 2


@contextlib.contextmanager
def a_node_lost(nodes, storage, name):
    """Meanwhile a node is killed as soon as a trial stands on each, and then the other goes on."""
    victim, survivor = nodes.worker_nodes
    ended, killed = threading.Event(), []

    def kill():
        try:
            wait_until(lambda: ended.is_set() or both_are_training(storage), "both nodes", 200)
            if not ended.is_set():
                nodes.remove_node(victim, allow_graceful=False)
                killed.append(victim)
        finally:
            for node in (survivor,) if killed else (survivor, victim):
                (nodes.homes[node] / f"go-{name}").touch()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert killed, "the study ended before two trials ran at once"


@pytest.mark.parametrize(
    ("write", "trainer", "name", "epochs"),
    [
        (write_people, "tabular", "mine-quick", 4),
        (write_films, "collab", "films-quick", 4),
        (write_texts, "text-classifier", "tiny-clas-quick", 5),
    ],
)
def test_a_study_outlives_a_node(
    nodes, tmp_path, monkeypatch, console, write, trainer, name, epochs
):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    write(tmp_path)
    options = {"trials": 6, "search": {"design_share": 1}, "console": console}
    there, here = (f"sqlite:///{tmp_path}/{one}.db" for one in ("there", "here"))
    whole = hpsearch.run(tmp_path / "study.toml", storage=here, **options)
    with Store.open(there):
        pass
    places, held = TRAINERS[trainer], f"held_{trainer.replace('-', '_')}"
    (nodes.folder / f"{held}.py").write_text(HELD.format(real=places.train, name=name))
    monkeypatch.syspath_prepend(nodes.folder)
    monkeypatch.setitem(TRAINERS, trainer, places._replace(train=held))
    with a_node_lost(nodes, there, name):
        study = hpsearch.run(
            tmp_path / "study.toml", engine="ray", workers=2, storage=there,
            cluster=Cluster(nodes.address), **options,
        )  # fmt: skip
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6
    assert [trial.values for trial in study.trials] == [trial.values for trial in whole.trials]
    with Store.open(there) as store:
        kinds = [event["kind"] for event in store.events()]
        rows = store.epochs(name)
    assert kinds.count("trial-requeued") == 1, kinds
    assert "worker-crashed" in kinds
    assert len({(row["number"], row["epoch"]) for row in rows}) == len(rows) == 6 * epochs
