"""Workers as tasks of a real Ray cluster: nodes with caches of their own, one lost midway."""

import contextlib
import os
import threading

import pytest
import sqlalchemy as sa
from calls import run, verify
from optuna.trial import TrialState
from own_function import own_folder, shop  # noqa: F401
from run_processes import TESTS, wait_until
from tiny_corpus import CLASSIFIER_TOML, write_reviews

import hpsearch
from hpsearch.errors import InputError
from hpsearch.search.engines import Cluster, Workers, choose_pool
from hpsearch.store import Store
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import TRIALS
from hpsearch.study.trainers import TRAINERS

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
from ray import cluster_utils  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head where no trial has room."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "hps_fake_trainer.py").write_text((TESTS / "fake_trainer.py").read_text())
    before = dict(os.environ)
    os.environ.update(
        PYTHONPATH=str(folder),
        RAY_worker_niceness="0",  # 15 by default: beside other tests they would hardly run
    )
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
    """The cluster with two nodes for one worker each, with own caches; lost ones are replaced."""
    while len(cluster.worker_nodes) < 2:
        home = cluster.folder / f"node-{len(cluster.homes)}"
        home.mkdir()
        node = cluster.add_node(num_cpus=1, env_vars={"HPSEARCH_HOME": str(home)})
        cluster.homes[node] = home
    return cluster


def test_data_and_stages_reach_the_nodes(nodes, tmp_path, monkeypatch, console):
    """A classifier: its texts and its language model exist where `run` was typed only."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    write_reviews(tmp_path / "reviews.csv", 120)
    (tmp_path / "study.toml").write_text(CLASSIFIER_TOML)
    for name in ("optuna", "safetensors", "sqlalchemy"):  # in the current folder, which is no place
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name}.py was taken for it')")
    options = {"trials": 4, "search": {"design_share": 1}, "console": console}
    monkeypatch.chdir(tmp_path)
    study = hpsearch.run(
        tmp_path / "study.toml", engine="ray", workers=None, storage="sqlite:///ray.db",
        cluster=Cluster(nodes.address), **options,
    )  # fmt: skip
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    (stage,) = (tmp_path / "home" / "stages").glob("language-model-*[0-9a-f]")
    used = [home for home in nodes.homes.values() if (home / "stages" / stage.name).is_dir()]
    assert used
    assert all(not list((home / "stages").glob("texts-*")) for home in used)
    with Store.open("sqlite:///ray.db") as store:
        rows = store.trials("tiny-clas-quick")
        assert {row["worker"].split("-")[0] for row in rows} == {"ray"}
        assert os.getpid() not in {row["pid"] for row in rows}
    hpsearch.run(tmp_path / "study.toml", storage="sqlite:///here.db", **options)
    assert losses("sqlite:///ray.db") == losses("sqlite:///here.db")


def test_a_function_of_one_s_own_is_imported_on_the_nodes(nodes, shop, console):  # noqa: F811
    study = hpsearch.run(
        "shop:epochs", space={"lr": hpsearch.Float(1e-3, 1)}, trials=4, engine="ray",
        cluster=Cluster(nodes.address), workers=2, storage="sqlite:///ray.db", console=console,
    )  # fmt: skip
    assert [one.value for one in study.trials] == [one.params["lr"] * 5 for one in study.trials]
    with pytest.raises(InputError, match=r"Worker processes cannot import .*:mine"):
        hpsearch.run(
            lambda x: x, space={"x": [1, 2]}, name="mine", engine="ray",
            cluster=Cluster(nodes.address), storage="sqlite:///ray.db",
        )  # fmt: skip


def losses(storage):
    with Store.open(storage) as store:
        rows = store.epochs("tiny-clas-quick")
    assert len(rows) == 20
    return [(row["number"], row["epoch"], row["valid_loss"]) for row in rows]


def test_what_the_cluster_has_no_room_for_is_refused(nodes):
    assert choose_pool(Workers(None, None, "ray", Cluster(nodes.address)), 9).workers == 2
    assert choose_pool(Workers(None, None, "ray", Cluster(nodes.address, cpus=0.5)), 1).workers == 1
    assert choose_pool(Workers(None, None, "ray", Cluster(nodes.address, cpus=0.5)), 9).workers == 4
    with pytest.raises(InputError, match=r"3 CPUs and 0 GPUs for a worker \(the largest has 1 "):
        choose_pool(Workers(None, None, "ray", Cluster(nodes.address, cpus=3)), 9)
    with pytest.raises(InputError, match=r"has 1 CPUs and 0\.5 GPUs"):
        choose_pool(Workers(None, None, "ray", Cluster(nodes.address, gpus=0.5)), 9)
    with pytest.raises(InputError, match="--devices does not go with --engine ray"):
        choose_pool(Workers(None, ["cuda:0"], "ray", Cluster(nodes.address)), 9)
    with pytest.raises(InputError, match="go with --engine ray"):
        choose_pool(Workers(None, None, "local", Cluster(nodes.address)), 9)


def test_a_rule_is_verified_on_the_cluster(nodes, spec, storage, tmp_path, console):
    """With the verdict that the same pairs give in this process."""
    contrast = {"param": "x", "value": 0.3, "against": 0.8, "pairs": 2, "console": console}
    spec = spec.but(noise=0.01, epochs=1)
    places = [storage, f"sqlite:///{tmp_path}/here.db"]
    for place in places:
        run(spec, trials=12, storage=place, console=console)
    there = verify(
        spec, **contrast, storage=places[0], engine="ray", workers=2,
        cluster=Cluster(nodes.address),
    )  # fmt: skip
    here = verify(spec, **contrast, storage=places[1])
    assert (there.verdict, there.gains) == (here.verdict, here.gains)
    with Store.open(storage) as store:
        rows = store.trials("fake-quick-verify-1")
    assert [row["worker"].split("-")[0] for row in rows] == ["ray"] * 4


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


def test_a_study_outlives_a_node(nodes, tmp_path, monkeypatch, console):
    """A classifier, which takes the most along: texts, a language model, checkpoints of stages."""
    name = "tiny-clas-quick"
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    write_reviews(tmp_path / "reviews.csv", 120)
    (tmp_path / "study.toml").write_text(CLASSIFIER_TOML)
    options = {"trials": 6, "search": {"design_share": 1}, "console": console}
    there, here = (f"sqlite:///{tmp_path}/{one}.db" for one in ("there", "here"))
    whole = hpsearch.run(tmp_path / "study.toml", storage=here, **options)
    with Store.open(there):
        pass
    trainer, held = "text-classifier", "held_classifier"
    places = TRAINERS[trainer]
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
    assert len({(row["number"], row["epoch"]) for row in rows}) == len(rows) == 6 * 5
