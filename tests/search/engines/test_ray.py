"""Workers as tasks of a real Ray cluster: nodes with caches of their own, one killed midway."""

import os
import threading
import time
from collections import Counter

import pytest
from calls import run, verify
from optuna.trial import TrialState
from run_processes import TESTS, values, wait_until
from tiny_corpus import CLASSIFIER_TOML, write_reviews

import hpsearch
from hpsearch.errors import InputError
from hpsearch.search.engines import Cluster, Workers, choose_pool
from hpsearch.store import Store

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
from ray import cluster_utils  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head where no trial has room, and two nodes for one worker each, with own caches."""
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
    for name in "ab":
        made.add_node(num_cpus=1, env_vars={"HPSEARCH_HOME": str(folder / name)})
    made.homes = {name: folder / name for name in "ab"}
    yield made
    ray.shutdown()
    made.shutdown()
    os.environ.clear()
    os.environ.update(before)


def test_data_and_stages_reach_the_nodes(cluster, tmp_path, monkeypatch, console):
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
        cluster=Cluster(cluster.address), **options,
    )  # fmt: skip
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    (stage,) = (tmp_path / "home" / "stages").glob("language-model-*[0-9a-f]")
    used = [home for home in cluster.homes.values() if (home / "stages" / stage.name).is_dir()]
    assert used
    assert all(not list((home / "stages").glob("texts-*")) for home in used)
    with Store.open("sqlite:///ray.db") as store:
        rows = store.trials("tiny-clas-quick")
        assert {row["worker"].split("-")[0] for row in rows} == {"ray"}
        assert os.getpid() not in {row["pid"] for row in rows}
    hpsearch.run(tmp_path / "study.toml", storage="sqlite:///here.db", **options)
    assert losses("sqlite:///ray.db") == losses("sqlite:///here.db")


def losses(storage):
    with Store.open(storage) as store:
        rows = store.epochs("tiny-clas-quick")
    assert len(rows) == 20
    return [(row["number"], row["epoch"], row["valid_loss"]) for row in rows]


def test_what_the_cluster_has_no_room_for_is_refused(cluster):
    assert choose_pool(Workers(None, None, "ray", Cluster(cluster.address)), 9).workers == 2
    assert (
        choose_pool(Workers(None, None, "ray", Cluster(cluster.address, cpus=0.5)), 1).workers == 1
    )
    assert (
        choose_pool(Workers(None, None, "ray", Cluster(cluster.address, cpus=0.5)), 9).workers == 4
    )
    with pytest.raises(InputError, match=r"3 CPUs and 0 GPUs for a worker \(the largest has 1 "):
        choose_pool(Workers(None, None, "ray", Cluster(cluster.address, cpus=3)), 9)
    with pytest.raises(InputError, match=r"has 1 CPUs and 0\.5 GPUs"):
        choose_pool(Workers(None, None, "ray", Cluster(cluster.address, gpus=0.5)), 9)
    with pytest.raises(InputError, match="--devices does not go with --engine ray"):
        choose_pool(Workers(None, ["cuda:0"], "ray", Cluster(cluster.address)), 9)
    with pytest.raises(InputError, match="go with --engine ray"):
        choose_pool(Workers(None, None, "local", Cluster(cluster.address)), 9)


def test_a_rule_is_verified_on_the_cluster(cluster, spec, storage, tmp_path, console):
    """With the verdict that the same pairs give in this process."""
    contrast = {"param": "x", "value": 0.3, "against": 0.8, "pairs": 2, "console": console}
    spec = spec.but(noise=0.01, epochs=1)
    places = [storage, f"sqlite:///{tmp_path}/here.db"]
    for place in places:
        run(spec, trials=12, storage=place, console=console)
    there = verify(
        spec, **contrast, storage=places[0], engine="ray", workers=2,
        cluster=Cluster(cluster.address),
    )  # fmt: skip
    here = verify(spec, **contrast, storage=places[1])
    assert (there.verdict, there.gains) == (here.verdict, here.gains)
    with Store.open(storage) as store:
        rows = store.trials("fake-quick-verify-1")
    assert [row["worker"].split("-")[0] for row in rows] == ["ray"] * 4


def test_a_run_outlives_a_node(cluster, spec, storage, tmp_path, console):
    """All processes of a node killed midway: its trial is finished elsewhere, and no other lost."""
    victim = next(iter(cluster.worker_nodes))
    spec = spec.but(sleep=0.7)

    def both_began_lately():
        latest = {
            entry["pid"]: entry for entry in spec.journal if entry["what"] in ("train", "end")
        }
        began = [e for e in latest.values() if e["what"] == "train" and time.time() < e["at"] + 0.9]
        return len(began) == 2

    def kill():
        wait_until(both_began_lately, "a trial on each node")
        cluster.remove_node(victim, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    study = run(
        spec, trials=8, workers=2, engine="ray", cluster=Cluster(cluster.address),
        search={"design_share": 1}, storage=storage, console=console,
    )  # fmt: skip
    thread.join()
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 8
    with Store.open(storage) as store:
        kinds = Counter(event["kind"] for event in store.events())
        assert store.table_counts()["hps_epoch"] == 24
    assert kinds["worker-crashed"] >= 1
    assert kinds["trial-requeued"] == 1, kinds
    whole = run(
        spec.but(sleep=0), trials=8, search={"design_share": 1},
        storage=f"sqlite:///{tmp_path}/whole.db", console=console,
    )  # fmt: skip
    assert values(study) == values(whole)
