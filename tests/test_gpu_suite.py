"""`make gpu` without a GPU: which parts are chosen, what a part that hangs costs, what the table
says, and that every script still runs, in its tiny form on the processor."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from gpu import report, run
from gpu.parts import PARTS, Goal, Part, choose

ROOT = Path(__file__).parent.parent
MEASURES = """
import json, os, sys, time
def keep(what, value):
    row = {"what": what, "value": value, "unit": "", "peer": None, "held": None, "note": ""}
    with open(os.environ["GPU_ROWS"], "a") as file:
        file.write(json.dumps(row) + "\\n")
"""


def test_parts_are_chosen_by_name_and_by_what_a_name_begins_with():
    assert choose("") == list(PARTS)
    assert [part.name for part in choose("speed-prediction, speed-classifier")] == [
        "speed-classifier",
        "speed-prediction",
    ]
    assert {part.name for part in choose("checks")} == {
        f"checks-{file.stem[5:].replace('_', '-')}"
        for file in (ROOT / "tests/gpu").glob("test_*.py")
    }
    with pytest.raises(ValueError, match="no part 'sped': choose from"):
        choose("speed,sped")


def test_every_part_names_sources_that_there_are():
    for part in PARTS:
        assert (ROOT / "tests/gpu" / part.command[0]).is_file()
        assert all((ROOT / source).exists() for source in part.sources)


def test_a_part_that_hangs_or_crashes_does_not_take_the_others(tmp_path, capfd):
    scripts = {
        "hangs": "keep('first', 1)\nimport signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "import subprocess\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(1000)",
        "crashes": "keep('second', 2)\nos.abort()",
        "fine": "print('said at once', flush=True)\nkeep('third', 3)",
    }
    parts = []
    for name, script in scripts.items():
        (tmp_path / f"{name}.py").write_text(MEASURES + script)
        parts.append(
            Part(name, name, (str(tmp_path / f"{name}.py"),), 3, ("hpsearch/trainers/text",))
        )
    began = time.monotonic()
    results = run.run_parts(parts, dict(os.environ), tmp_path, tmp_path, "a card", 60)
    assert time.monotonic() - began < 40
    assert {name: one["rows"][0]["value"] for name, one in results.items()} == {
        "hangs": 1, "crashes": 2, "fine": 3,
    }  # fmt: skip
    assert results["hangs"]["failure"] == "cut off after 3 s"
    assert "status" in results["crashes"]["failure"]
    assert run.failed(results) == ["hangs", "crashes"]
    assert json.loads((tmp_path / "GPU.json").read_text()) == results
    assert "fine | said at once" in capfd.readouterr().out
    assert "fine | said at once" in (tmp_path / "gpu.log").read_text()


def test_parts_for_which_no_time_is_left_are_not_begun(tmp_path, capfd):
    part = Part("late", "late", ("run.py", "--list"), 3, ("hpsearch/trainers/text",))
    assert run.run_parts([part], dict(os.environ), tmp_path, tmp_path, "a card", 5) == {}
    assert "late: not begun, 5 s are left" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("goal", "ours", "peer", "held"),
    [
        (Goal("a", "s", times=5), 10, 2, True),
        (Goal("a", "s", times=5), 9, 2, False),
        (Goal("a", "s", times=5), 9, None, None),
        (Goal("a", "s", least=0.944), 0.944, None, True),
        (Goal("a", "s", least=0.944), 0.943, None, False),
        (Goal("a", "s", most=900), 901, None, False),
        (Goal("a", "s"), 3, 4, None),
        (Goal("a", "s", least=1), None, None, None),
    ],
)
def test_a_goal_is_held_or_missed(goal, ours, peer, held):
    assert goal.held(ours, peer) is held


@pytest.fixture
def part(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("one = 1")
    goals = (Goal("speed", "rows/s", times=4), Goal("accuracy", "", least=0.944))
    return Part("fast", "How fast", ("x.py",), 9, ("code",), goals)


def result(part, root, rows, **other):
    facts = {
        "date": "2026-12-01", "machine": "NVIDIA H100 (79 GiB), torch 2.11.0+cu130, 16 cores",
        "revision": "abc1234", "sources": report.digest(part.sources, root), "seconds": 41.0,
        "failure": None, "rows": rows,
    }  # fmt: skip
    return {"fast": {**facts, **other}}


def row(what, value, *, peer=None, held=None, note=""):
    return {"what": what, "value": value, "unit": "", "peer": peer, "held": held, "note": note}


def test_the_table_says_what_was_measured_and_what_was_wanted(part, tmp_path):
    rows = [row("speed", 10_000), row("speed", 10_000, peer=2000), row("more", 0.5)]
    rows += [row("it agrees", None, held=True), row("it resumes", None, held=False, note="why")]
    page = report.render(result(part, tmp_path, rows), [part], tmp_path)
    assert "Measured 2026-12-01, NVIDIA H100 (79 GiB)" in page
    assert "revision abc1234, 41 s." in page
    assert "| speed, rows/s | 2,000 | 10,000 | 5 | 4 times: held |" in page
    assert "| accuracy | | not measured | | at least 0.944 |" in page
    assert "| more |  | 0.5 |  |  |" in page
    assert "1 of 2 hold." in page
    assert "**does not hold:** it resumes (why)" in page
    failed = report.render(result(part, tmp_path, rows, failure="cut off"), [part], tmp_path)
    assert "41 s; **cut off**." in failed


def test_a_figure_is_out_of_date_once_its_code_changes(part, tmp_path):
    found = result(part, tmp_path, [row("accuracy", 0.95)])
    (tmp_path / "elsewhere.py").write_text("changed")
    assert "Measured 2026-12-01" in report.render(found, [part], tmp_path)
    (tmp_path / "code/a.py").write_text("one = 2")
    page = report.render(found, [part], tmp_path)
    assert "**Not measured since abc1234**" in page
    assert "0.95" in page
    assert "**Not measured yet.**" in report.render({}, [part], tmp_path)


def test_a_try_without_a_figure_leaves_the_earlier_figures(part, tmp_path):
    old = result(part, tmp_path, [row("accuracy", 0.95)])
    new = result(part, tmp_path, [], failure="cut off", revision="def5678")
    both = report.merged(old, new)["fast"]
    assert (both["revision"], both["failure"]) == ("abc1234", "cut off")
    assert both["rows"] == old["fast"]["rows"]
    newer = result(part, tmp_path, [row("accuracy", 0.96)], revision="def5678")
    assert report.merged(old, newer) == newer


def test_the_table_in_the_repository_is_todays():
    """It is written by a command, so that nobody claims what was not measured."""
    page = report.render(report.read_results(report.RESULTS))
    assert report.TABLE.read_text("utf-8") == page, "run `make gpu-report` and commit GPU.md"


def test_without_a_gpu_it_says_so_in_one_sentence():
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "tests/gpu/run.py")]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stdout.startswith("make gpu needs a GPU that torch can use, and there is none: ")
    assert ran.stdout.count("\n") == 1
    wrong = subprocess.run(
        [*command, "--only", "sped"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "no part 'sped'" in wrong.stderr) == (2, True)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A script of the suite in its tiny form, and the rows that it kept."""
    monkeypatch.setenv("GPU_TINY", "1")
    monkeypatch.setenv("GPU_ROWS", str(tmp_path / "rows"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECIPES", "1")
    monkeypatch.syspath_prepend(str(ROOT / "tests/benchmarks"))

    def load(name):
        module = importlib.import_module(f"gpu.{name}")
        assert module.TINY
        return module

    load.rows = lambda: {one["what"]: one for one in run.read_rows(tmp_path / "rows")}
    return load


def goals(name):
    (part,) = [part for part in PARTS if part.name == name]
    return {goal.what for goal in part.goals}


def test_speeds_are_measured(tiny):
    speed = tiny("speed")
    speed.language_model(48)
    speed.language_model(256)
    speed.classifier()
    speed.prediction()
    wanted = goals("speed-language-model") | goals("speed-classifier") | goals("speed-prediction")
    rows = tiny.rows()
    assert set(rows) == wanted
    assert all(one["value"] > 0 for one in rows.values())


def test_the_time_of_a_step_is_taken_apart(tiny):
    busy = tiny("busy")
    busy.language_model(8)
    busy.classifier()
    rows = tiny.rows()
    for what in ("language model, bs 8", "classifier, bs 48, all"):
        assert 0 < rows[f"{what}, share in which the GPU works"]["value"] <= 1
        assert len([name for name in rows if name.startswith(f"{what}: `")]) == busy.TOP


def test_overlapping_kernels_count_once(tiny):
    assert tiny("busy").covered([(0, 4), (1, 2), (3, 6), (8, 9)]) == 7


def test_full_from_nothing_runs_in_both_directions(tiny):
    full = tiny("full")
    full.recipe("1", both=False)
    full.recipe("1", both=True)
    assert set(tiny.rows()) == goals("full")


def test_a_study_on_a_table_is_timed(tiny):
    tiny("studies").study_of_64("tabular", "adult")
    rows = tiny.rows()
    assert rows["adult, beside the processors"]["value"] > 0


def test_commands_are_run_and_a_failure_is_told(tiny, monkeypatch):
    commands = importlib.import_module("gpu.commands")
    commands.write_studies(commands.PLACE)
    for piece in commands.PIECES:
        if piece.__name__ in ("train_table", "pretrain"):
            piece()
    assert [one["held"] for one in tiny.rows().values()] == [True] * 2
    with pytest.raises(AssertionError, match=r"ended with 2: [^$]*No such option"):
        commands.command("train", commands.PLACE / "clas.toml", "--wrong", store=False)


def test_the_bundle_brings_what_is_pinned_and_leaves_out_what_nobody_runs(tmp_path):
    bundle = importlib.import_module("gpu.bundle")
    assert "spacy==" in " ".join(bundle.requirements())
    wheel = tmp_path / "Some_Thing-1.0-py3-none-any.whl"
    names = ["thing/a.py", "thing/a.pyi", "thing/tests/b.py", "spacy/lang/en/examples.py"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(name, "x = 1")
    assert bundle.wheel_of(tmp_path, "some-thing==1.0") == wheel
    assert bundle.wheel_of(tmp_path, "some-thing==1.1") is None
    bundle.unpack(wheel, tmp_path / "site")
    found = {file.relative_to(tmp_path / "site").as_posix() for file in _files(tmp_path / "site")}
    assert found == {"thing/a.py", "spacy/lang/en/examples.py"}
    bundle.PRESET = 0
    bundle.write(tmp_path / "bundle.tar.xz", tmp_path / "site")
    with tarfile.open(tmp_path / "bundle.tar.xz") as archive:
        packed = set(archive.getnames())
    assert {".gpu/site/thing/a.py", "hpsearch/cli/app.py", "tests/gpu/run.py"} <= packed
    assert "studies/imdb-clas/study.toml" in packed
    shutil.rmtree(tmp_path / "site")
    run.unpack(tmp_path)  # on the other machine
    assert {file.name for file in _files(tmp_path)} >= {"a.py", "examples.py"}
    assert not (tmp_path / "hpsearch").exists()  # the checkout there stays as it is


def _files(folder):
    return [file for file in folder.rglob("*") if file.is_file()]


def test_what_fastai_only_asks_for_is_there_in_name():
    code = (
        "from gpu import stubs; stubs.NAMES = ('nowhere',); stubs.install()\n"
        "from nowhere.models import *\nfrom nowhere.a.b import c\n"
        "class Own(c.D): pass\nimport nowhere.x.y as z; z.anything\n"
        "try:\n import elsewhere\nexcept ImportError: print('fine')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True, text=True, check=True
    )
    assert ran.stdout == "fine\n"
