"""Names, ids and paths out of stores and archives: no folder of the user's is deleted or read."""

import contextlib
import io
import json
import os
import threading
import zipfile
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from full_study import fill
from rich.console import Console
from tiny_table import write_table

import hpsearch
from hpsearch.core.home import (
    CHECKPOINTS,
    TRIAL_MODELS,
    below,
    is_uid,
    new_uid,
    note_named,
    remove,
    study_folder,
    trial_folder,
)
from hpsearch.data.cache.stages import install_stage
from hpsearch.errors import InputError
from hpsearch.search.kept_models import find_language_model
from hpsearch.search.plan.language_model import choose_language_model
from hpsearch.store import Store
from hpsearch.store.doctor import examine
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.tables.optuna_tables import TRIALS
from hpsearch.study.spec import load_spec
from hpsearch.verification.run import which

optuna.logging.set_verbosity(optuna.logging.WARNING)
PACKAGE = Path(hpsearch.__file__).parent


@pytest.fixture
def home(tmp_path, monkeypatch):
    """HPSEARCH_HOME beside a folder `victim` that is the user's."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    (tmp_path / "home" / CHECKPOINTS).mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def store(home, tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield store


def fill_victim(folder, numbers=range(8)):
    """The user's files in folders that are called as trials are numbered."""
    for number in numbers:
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "precious").touch()
    return lambda: len(list(folder.rglob("precious"))) == len(numbers)


def filled(store):
    """A study `full` with something in every table."""
    fill(store)
    return optuna.load_study(study_name="full", storage=store.optuna)


def rename(study, name):
    backend = study._storage._backend
    with backend.engine.begin() as connection:
        text = "UPDATE studies SET study_name = :new WHERE study_name = :old"
        connection.execute(sa.text(text), {"new": name, "old": study.study_name})


@pytest.mark.parametrize(
    ("name", "uid", "victim"),
    [
        ("../../victim", "abc", "victim-abc"),
        ("../../victim", "0123456789ab", "victim-0123456789ab"),
        ("full", "x/../../../victim", "victim"),
        ("/absolute", "/{tmp}/victim", "victim"),
    ],
)
def test_doctor_removes_nothing_of_the_users(store, tmp_path, name, uid, victim):
    study = filled(store)
    uid = uid.replace("/{tmp}", str(tmp_path))
    study.set_user_attr("hps_uid", uid)
    rename(study, name)
    (tmp_path / "home" / CHECKPOINTS / "full-x").mkdir()
    is_whole = fill_victim(tmp_path / victim)
    found = examine(store, mend=True)
    assert is_whole()
    if not is_uid(uid):
        assert any(one.what == "ids" and "not made by hpsearch" in one.text for one in found)


def test_doctor_lists_each_folder_that_it_removes(store, home):
    study = filled(store)
    study.set_user_attr("hps_uid", uid := new_uid())
    with store.engine.begin() as connection:
        connection.execute(sa.update(TRIALS).values(state="COMPLETE"))
    is_there = fill_victim(study_folder(CHECKPOINTS, "full", uid), range(4))
    assert is_there()
    removed = [one.text for one in examine(store, mend=True) if one.what == "checkpoint"]
    assert removed == [f"{home / CHECKPOINTS / f'full-{uid}' / str(n)}: removed" for n in range(4)]


def test_a_run_gives_a_study_with_a_strange_id_a_new_one(home, tmp_path):
    """hps_uid alone, from any Optuna client, made an ordinary run delete folders."""
    write_table(tmp_path)
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    options = {"storage": storage, "preset": "quick", "console": Console(file=io.StringIO())}
    study = hpsearch.run(tmp_path / "study.toml", trials=1, **options)
    study.set_user_attr("hps_uid", "0/../../../victim")
    is_whole = fill_victim(tmp_path / "victim")
    study = hpsearch.run(tmp_path / "study.toml", trials=2, **options)
    assert is_whole()
    assert len(study.trials) == 3
    assert is_uid(study.user_attrs["hps_uid"])


def test_an_import_draws_a_new_id(store, tmp_path):
    study = filled(store)
    study.set_user_attr("hps_uid", "../../victim")
    store.export_study(study.study_name, tmp_path / "full.zip")
    with Store.open(f"sqlite:///{tmp_path / 'second.db'}") as second:
        second.import_study(tmp_path / "full.zip", "mine")
        (summary,) = second.studies()
        assert is_uid(summary.attrs["hps_uid"])
        second.import_study(tmp_path / "full.zip", "again")
        assert len({one.attrs["hps_uid"] for one in second.studies()}) == 2


def test_the_name_in_an_archive_names_no_folder(store, tmp_path):
    study = filled(store)
    study.set_user_attr("hps_uid", new_uid())
    store.export_study(study.study_name, tmp_path / "full.zip")
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(tmp_path / "full.zip") as old, zipfile.ZipFile(evil, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = json.dumps({**json.loads(content), "study": "../../victim"})
            new.writestr(name, content)
    with Store.open(f"sqlite:///{tmp_path / 'second.db'}") as second:
        assert second.import_study(evil, None).name == "../../victim"
        (summary,) = second.studies()
        is_whole = fill_victim(tmp_path / f"victim-{summary.attrs['hps_uid']}")
        examine(second, mend=True)
        assert is_whole()


STRANGE = ["..", ".", "", "a/b", "../a", "/etc", "a\\b", "a\0b", ".hidden", "a b", "naïve", "CON",
           "nul.txt", "dot.", "x" * 300, "a\n", "~", "$HOME", "C:"]  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_names_no_file(home, name):
    with pytest.raises(InputError) as caught:
        below("models", name)
    assert "\n" not in str(caught.value)
    folder = trial_folder(CHECKPOINTS, name, "0123456789ab", 7)
    assert folder.parents[1] == home / CHECKPOINTS
    assert folder.parent.name.isascii()
    assert len(folder.parent.name) < 100


def test_every_name_has_a_folder_of_its_own(home):
    names = ["imdb-clas-quick", "imdb_clas", "v1.2", *STRANGE]
    folders = {study_folder(CHECKPOINTS, name, "0123456789ab").name for name in names}
    assert len(folders) == len(names)
    assert "imdb-clas-quick-0123456789ab" in folders  # where earlier versions kept it


@pytest.mark.parametrize("uid", ["", "..", "abc", "0123456789AB", "0123456789ab/", "0123456789ab\n",
                                 None, 5, ["0123456789ab"]])  # fmt: skip
def test_an_id_of_another_form_names_no_folder(home, uid):
    with pytest.raises(InputError, match="which hpsearch did not make"):
        trial_folder(TRIAL_MODELS, "mine", uid, 3)


def test_a_link_that_leads_out_of_the_home_is_not_followed(home, tmp_path):
    is_whole = fill_victim(tmp_path / "victim")
    (home / CHECKPOINTS / "mine-0123456789ab").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="leads out of"):
        trial_folder(CHECKPOINTS, "mine", "0123456789ab", 3)
    with pytest.raises(InputError, match="is not deleted"):
        remove(home / CHECKPOINTS / "mine-0123456789ab" / "3")
    remove(home / CHECKPOINTS / "mine-0123456789ab")  # the link itself
    assert not os.path.lexists(home / CHECKPOINTS / "mine-0123456789ab")
    (home / "stages" / "one").mkdir(parents=True)
    (home / "stages" / "one" / "inner").symlink_to(tmp_path / "victim")
    remove(home / "stages" / "one")
    assert not (home / "stages" / "one").exists()
    assert is_whole()


def test_the_home_itself_may_be_a_link(home, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "link"))
    folder = trial_folder(CHECKPOINTS, "mine", "0123456789ab", 3)
    folder.mkdir(parents=True)
    remove(folder)
    assert folder.parent.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize("path", ["", ".", "..", "../victim", "../victim/1", "checkpoints/.."])
def test_what_is_not_below_the_home_is_not_deleted(home, tmp_path, path):
    is_whole = fill_victim(tmp_path / "victim")
    with pytest.raises(InputError, match="is not deleted"):
        remove(home / path if path else home)
    assert is_whole()
    assert (home / CHECKPOINTS).is_dir()


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(home, tmp_path):
    """Somebody who may write to the home swaps a folder for a link while we delete in it."""
    is_whole = fill_victim(tmp_path / "victim")
    place, aside = home / CHECKPOINTS / "swapped", home / CHECKPOINTS / "aside"
    place.mkdir()
    done = threading.Event()

    def swap():
        while not done.is_set():
            place.rename(aside)
            place.symlink_to(tmp_path / "victim")
            place.unlink()
            aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(2000):
            try:
                remove(place / "3")
            except InputError:
                continue
    finally:
        done.set()
        thread.join()
    assert is_whole()


def test_a_link_that_is_none_when_it_is_read_is_not_followed(home, tmp_path, monkeypatch):
    """Between lstat and readlink it becomes a folder, which readlink calls invalid."""
    is_whole = fill_victim(tmp_path / "victim")
    place = home / CHECKPOINTS / "swapped"
    place.symlink_to(tmp_path / "victim")
    read = os.readlink

    def readlink(path, *others, **more):
        if str(path).endswith("swapped"):
            place.unlink()
            place.mkdir()
            (place / "3").mkdir()
        return read(path, *others, **more)

    monkeypatch.setattr(os, "readlink", readlink)
    with contextlib.suppress(InputError):  # whether it is taken for a folder is Python's choice
        remove(place / "3")
    assert is_whole()


@pytest.mark.parametrize("path", ["../../../evil", "/tmp/evil-stage", "a/../../../evil", "a//b"])
def test_a_stage_from_elsewhere_writes_into_its_own_folder_only(home, tmp_path, path):
    with pytest.raises(InputError, match="cannot be a file of the stage"):
        install_stage("texts-123", {"good.npy": b"1", path: b"evil"})
    with pytest.raises(InputError, match="cannot be the name of a file"):
        install_stage("../../evil", {"good.npy": b"1"})
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []
    install_stage("texts-123", {"sub/good.npy": b"1"})
    assert (home / "stages" / "texts-123" / "sub" / "good.npy").read_bytes() == b"1"


def language_model_study(store, place):
    """A study in the store whose best trial's model lies at `place`, as its row says."""
    study = optuna.create_study(study_name="lm-quick", storage=store.optuna)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.set_user_attr("hps_study", "lm")
    store.record_artifact(
        StudyRef.of(study), study.trials[0]._trial_id,
        kind="model", path=str(place), sha256="0" * 64, size=1,
    )  # fmt: skip
    return study


def test_a_model_that_a_store_names_is_read_below_the_home_only(store, home, tmp_path):
    outside, inside = tmp_path / "victim", home / TRIAL_MODELS / "lm-quick-0123456789ab" / "0"
    outside.mkdir()
    inside.mkdir(parents=True)
    language_model_study(store, outside)
    with pytest.raises(InputError, match="is not in the cache of this machine"):
        find_language_model(store, "best:lm", {}, "quick")
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE hps_artifact SET path = :new"), {"new": str(inside)})
    assert find_language_model(store, "best:lm", {}, "quick").place == str(inside)


def test_a_language_model_that_the_store_alone_names_is_not_read(store, tmp_path):
    spec = load_spec("imdb-clas")
    preset = spec.resolve("quick")
    study = optuna.create_study(study_name="imdb-clas-quick", storage=store.optuna)
    study.set_user_attr("hps_study", "imdb-clas")
    study.set_user_attr("hps_language_model", str(tmp_path / "model"))
    made = store.study("imdb-clas-quick")
    with pytest.raises(InputError, match="say --language-model") as caught:
        choose_language_model(store, spec, preset, made, None, Console())
    assert "\n" not in str(caught.value)
    said = choose_language_model(store, spec, preset, made, str(tmp_path / "model"), Console())
    assert choose_language_model(store, spec, preset, made, None, Console()) == said


def test_a_study_file_that_the_store_names_is_not_opened(store, tmp_path):
    write_table(tmp_path)
    study = optuna.create_study(study_name="mine-quick", storage=store.optuna)
    for key, value in (("study", "mine"), ("preset", "quick"), ("file", tmp_path / "study.toml")):
        study.set_user_attr(f"hps_{key}", str(value))
    with pytest.raises(InputError, match="give the path of that file"):
        which("mine-quick", storage=store.secret_url, preset="auto")
    note_named(tmp_path / "study.toml")  # as a run of that file does
    assert which("mine-quick", storage=store.secret_url, preset="auto").spec.name == "mine"


def test_one_function_deletes_folders():
    found = {file.name for file in PACKAGE.rglob("*.py") if "rmtree" in file.read_text("utf-8")}
    assert found == {"home.py"}
