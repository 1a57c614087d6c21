"""The commands as a person types them: what they print, how they end, what bad input gets."""

import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from own_function import own_folder  # noqa: F401
from typed import typed

pytestmark = pytest.mark.slow

STUDY = """
name = "mine"
trainer = "text-classifier"
metric = "accuracy"
direction = "maximize"
[data]
path = "{reviews}"
[settings]
train_reviews = 120
valid_reviews = 60
seq_len = 8
unfreeze = false
lr_decay = 1.0
[settings.language_model]
emb = 8
hidden = 8
layers = 1
max_vocab = 60
min_freq = 1
epochs = 1
lr = 0.02
bs = 4
seq_len = 10
[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 2e-2
[space.bs]
type = "int"
low = 8
high = 32
default = 16
[presets.quick]
trials = 3
"""


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "reviews.csv"
    # Some labels are wrong, so that no two trials score exactly the same.
    lines = [
        f"the film was {('good', 'bad')[i % 2]} w{i % 17},{'pn'[(i + (i % 7 == 0)) % 2]}"
        for i in range(300)
    ]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path, reviews):
    (tmp_path / "study.toml").write_text(STUDY.format(reviews=reviews))
    return tmp_path


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HPSEARCH_STORAGE")}
    return {**clean, "COLUMNS": "100", **more}


def hpsearch(folder, *arguments, **more):
    """Run the command in `folder`; returns (exit status, standard output, standard error)."""
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_study_on_ones_own_csv_from_the_first_run_to_the_explanation(folder):
    run = ("run", "study.toml", "--preset", "quick", "--workers", "1")
    status, out, err = hpsearch(folder, *run, "--trials", "3")
    assert (status, err) == (0, "")
    assert "reviews.csv" in out
    assert "3 complete" in out

    status, out, _ = typed(folder, *run, "--trials", "2", "--seed", "0")
    assert status == 0
    status, out, _ = typed(folder, "explain", "mine", "--format", "json")
    assert status == 0
    document = json.loads(out)
    assert document["schema"] == "hpsearch.explain/1"
    assert document["trials"]["all"] == 5
    assert document["metric"] == "accuracy"
    assert document["trusted"] is False
    assert document["rules"] == []

    status, out, _ = typed(folder, "explain")
    assert status == 0
    assert "No rules" in out
    assert "dashboard" in out

    with sqlite3.connect(folder / "hpsearch.db") as db:
        trials, epochs = (
            db.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("trials", "hps_epoch")
        )
        sources = db.execute("select distinct data_source from hps_trial").fetchall()
    db.close()
    assert trials == 5
    assert epochs >= 5 * 2
    assert [str(folder)] != sources
    assert "reviews.csv" in sources[0][0]

    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("high = 1e-1", "high = 2e-1"))
    status, _, err = typed(folder, *run)
    assert status == 2
    assert "changed since its first trials" in err
    assert "lr" in err


def test_the_dashboard_answers_and_tells_where(folder):
    optuna_study(folder / "hpsearch.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hpsearch", "dashboard", "--port", str(port)]
    server = subprocess.Popen(
        command, cwd=folder, env=environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        deadline = time.monotonic() + 30
        while True:
            try:
                url = f"http://127.0.0.1:{port}/api/studies"
                listed = json.load(urllib.request.urlopen(url, timeout=5))
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert [s["study_name"] for s in listed["study_summaries"]] == ["other"]
        status, _, err = typed(folder, "dashboard", "--port", str(port))
        assert status == 2
        assert f"Port {port}" in err
        assert "taken" in err
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def optuna_study(path, name="other", n_trials=12):
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage, study_name=name)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=n_trials)
    storage.engine.dispose()


def test_any_optuna_study_is_explained(folder):
    optuna_study(folder / "hpsearch.db")
    status, out, err = typed(folder, "explain", "other")
    assert (status, err) == (0, "")
    assert "x" in out


def test_a_study_that_cannot_be_explained_keeps_none_from_the_others(folder):
    optuna_study(folder / "hpsearch.db", "an[/odd] name")
    optuna_study(folder / "hpsearch.db", "empty", n_trials=0)
    status, out, err = typed(folder, "explain")
    assert status == 0
    assert "an[/odd] name" in out
    assert err.count("\n") == 1
    assert "'empty' has no finished trial" in err
    status, out, _ = typed(folder, "explain", "empty", "an[/odd] name")
    assert status == 2
    assert "an[/odd] name" in out
    assert typed(folder, "explain", "empty")[0] == 2


def test_the_command_that_is_told_can_be_pasted(folder):
    optuna_study(folder / "a[b] c.db")
    status, out, _ = hpsearch(folder, "explain", "--keep", "--storage", "sqlite:///a[b] c.db")
    assert status == 0
    line = next(line for line in out.splitlines() if line.startswith("See the trials: "))
    command = shlex.split(line.removeprefix("See the trials: "))
    assert command[-3:] == ["dashboard", "--storage", "sqlite:///a[b] c.db"]
    done = subprocess.run([*command[:-3], "--version"], capture_output=True, text=True)
    assert "hpsearch" in done.stdout


BAD = [
    (("run", "imdb-class"), "did you mean imdb-clas"),
    (("run", "study.toml", "--trials", "0"), "--trials 0"),
    (("run", "study.toml", "--trials", "-3"), "--trials -3"),
    (("run", "study.toml", "--preset", "huge"), "huge"),
    (("run", "study.toml", "--timeout", "soon"), "--timeout 'soon'"),
    (("run", "study.toml", "--workers", "0"), "--workers 0"),
    (("run", "study.toml", "--preset", "quick", "--data", "nowhere.csv"), "nowhere.csv"),
    (("run", "study.toml", "--preset", "quick", "--data", "other.csv"), "other.csv"),
    (("run", "study.toml", "--preset", "quick", "--data", "empty.csv"), "empty.csv"),
    (("run", "study.toml", "--preset", "quick", "--data", "once.csv"), "once"),
    (("run", "study.toml", "--storage", "nonsense"), "sqlite:///"),
    (("run", "study.toml", "--storage", "sqlite:///no/such/folder/a.db"), "no/such/folder"),
    (("run", "study.toml", "--storage", "sqlite:///other.csv"), "is not a database"),
    (("explain",), "hpsearch run"),
    (("explain", "--storage", "sqlite:///missing.db"), "missing.db"),
    (("explain", "--format", "pdf"), "for '--format': 'pdf' is not one of 'table'"),
    (("rules", "--format", "pdf"), "for '--format': 'pdf' is not one of 'table'"),
    (
        ("verify", "mine", "--param", "a", "--param", "b", "--value", "1", "--against", "2"),
        "--param is given 2 times",
    ),
    (("verify", "mine", "--format", "pdf"), "for '--format': 'pdf' is not one of 'text'"),
    (("lr-find", "mine", "--stage", "tail"), "for '--stage': 'tail' is not one of 'head'"),
    (("explain", "--seed", "-1"), "--seed"),
    (("dashboard",), "hpsearch run"),
    (("show", "nothing"), "nothing"),
    (("--nonsense",), "nonsense"),
    (("walk",), "walk"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_gets_one_sentence_and_exit_status_2(folder, arguments, said):
    (folder / "other.csv").write_text("words,sentiment\na film,good\n")
    (folder / "empty.csv").write_text("text,label\na film,good\n,bad\n" + "b film,bad\n" * 9)
    (folder / "once.csv").write_text("text,label\n" + "a film,good\n" * 9 + "b film,bad\n")
    before = sorted(p.name for p in folder.iterdir())
    status, _, err = typed(folder, *arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    # Nothing half made: at most an empty store.
    made = {p.name for p in folder.iterdir()} - set(before)
    assert made <= {"hpsearch.db", "hpsearch.db-wal", "hpsearch.db-shm", "hpsearch.db.lock"}


def test_a_device_that_is_none_is_told(folder):
    status, _, err = typed(folder, "run", "study.toml", HPSEARCH_DEVICE="gpu7")
    assert status == 2
    assert "HPSEARCH_DEVICE is 'gpu7'" in err


def test_debug_shows_the_traceback(folder):
    status, _, err = hpsearch(folder, "show", "nothing", "--debug")
    assert status != 0
    assert "Traceback" in err


def test_an_empty_store_has_nothing_to_show(folder):
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'hpsearch.db'}")
    storage.engine.dispose()
    for command in ("explain", "dashboard"):
        status, _, err = typed(folder, command)
        assert status == 2
        assert "holds no study yet" in err


@pytest.mark.parametrize("command", ["studies", "show"])
def test_studies_are_listed_without_a_store(folder, command):
    status, out, _ = typed(folder, command, *(["imdb-clas"] if command == "show" else []))
    assert status == 0
    assert "imdb-clas" in out
    assert not (folder / "hpsearch.db").exists()


def test_explanations_are_written_whole(folder):
    optuna_study(folder / "hpsearch.db")
    for format, start in (("json", "{"), ("md", "#"), ("html", "<!"), ("table", "other")):
        status, _, err = typed(folder, "explain", "--format", format, "--output", "out.txt")
        assert (status, err) == (0, "")
        assert Path(folder / "out.txt").read_text().startswith(start)
    for path in ("no/folder/out.txt", "out.txt/inside", ".", "/"):
        status, _, err = typed(folder, "explain", "--output", path)
        assert status == 2
        assert f"{path} cannot be written" in err


def test_what_is_written_to_stays_what_it_is(tmp_path):
    from hpsearch.cli.output import write_atomically

    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "after"
    # Root could replace /dev/null by a file; a named pipe stands for it here.
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("host", ["..", "a" * 80, "no-such-host.invalid"])
def test_a_host_that_is_none_is_said(folder, host):
    optuna_study(folder / "hpsearch.db")
    status, _, err = typed(folder, "dashboard", "--host", host)
    assert status == 2
    assert host in err


def test_importing_the_package_is_fast_and_loads_no_torch():
    code = (
        # Of the processor: other work beside it takes none of that.
        "import sys, time; t = time.process_time(); import hpsearch; "
        "assert time.process_time() - t < 1; "
        "assert 'torch' not in sys.modules and 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(own_folder):  # noqa: F811
    """With a function of one's own: its workers import no torch, which takes seconds each."""
    (own_folder / "slow_price.py").write_text(
        "import time\ndef cost(price, seed=0):\n    time.sleep(0.2)\n    return price\n"
    )
    command = ["run", "slow_price:cost", "--space", "price=1.0..9.0"]
    run = subprocess.Popen(
        # Half a minute: it cannot end meanwhile.
        [sys.executable, "-m", "hpsearch", *command, "--trials", "300", "--workers", "2"],
        cwd=own_folder, env=environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    for line in run.stdout:
        if line.startswith("trial"):
            break
    os.killpg(run.pid, signal.SIGINT)  # as the terminal does
    out, err = run.communicate(timeout=200)
    assert run.returncode == 130
    assert "Traceback" not in err
    with sqlite3.connect(own_folder / "hpsearch.db") as db:
        states = dict(db.execute("select state, count(*) from trials group by state").fetchall())
    db.close()
    assert states["COMPLETE"] >= 1
    assert "RUNNING" not in states
    assert sum(states.values()) == 300
    status, out, err = typed(own_folder, *command, "--trials", "2", "--workers", "1")
    assert status == 0, err
    assert "left over" in out


def test_help_groups_every_command(tmp_path):
    _, help_text, _ = typed(tmp_path, "-h")
    panels = re.findall(r"╭─ ([\w ]+) ─", help_text)
    assert panels == [
        "Options", "Search", "Rules of thumb", "Studies and stores", "Single models", "Data",
    ]  # fmt: skip


def test_a_shell_completes_commands(tmp_path):
    status, found, _ = typed(
        tmp_path, _HPSEARCH_COMPLETE="complete_bash", COMP_WORDS="hpsearch ex", COMP_CWORD="1"
    )
    assert (status, found.split()) == (0, ["explain", "export", "export-model"])
    assert "--install-completion" in typed(tmp_path, "--help")[1]
