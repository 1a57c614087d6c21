"""Tokenising in several processes: the same to the bit, and no hang however one ends."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_processes import wait_until

from hpsearch.core import own_code
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.text.tokens import tokenizer as tokenize_module
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer

SENTENCE = "film Film FILM, good don't bad! (very) very very no no no sooo 1,000 \ud83d \x00 😀"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(tokenize_module, "_CHUNK", 2_000)


@pytest.fixture
def texts():
    rng = random.Random(0)
    words = SENTENCE.split()
    return [" ".join(rng.choices(words, k=rng.randrange(60))) + f" n{i}" for i in range(300)]


def same(one, two):
    return (
        one.strings == two.strings
        and np.array_equal(one.ids, two.ids)
        and np.array_equal(one.offsets, two.offsets)
    )


@pytest.mark.parametrize("processes", [2, 3])
def test_the_result_is_the_same_to_the_bit_and_progress_ends_at_the_total(texts, processes):
    steps = []
    tokenizer = Tokenizer()
    tokenizer.tokens("a word met before changes no number")
    encoded = tokenizer.encode(texts, lambda *step: steps.append(step), processes=processes)
    assert same(encoded, Tokenizer().encode(texts, processes=1))
    assert steps == sorted(steps)
    assert steps[-1] == (300, 300)
    assert len(steps) > 10


def test_a_worker_imports_no_torch_and_may_print_and_read(tmp_path, monkeypatch):
    (tmp_path / "nosy.py").write_text(
        "import sys\n"
        "def words(text):\n"
        "    print(text)\n"
        "    sys.stdin.readline()\n"
        "    return ['torch' if 'torch' in sys.modules else 'clean', *text.split()]\n"
    )
    own_code.allow("nosy:words", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    import torch  # noqa: F401 (the parent has it)

    assert Tokenizer("nosy:words").encode(["a"], processes=2).strings == ["xxbos", "clean", "a"]


def test_loading_a_language_leaves_torch_to_those_who_want_it():
    code = (
        "import sys; from hpsearch.trainers.text.tokens.tokenizer import Tokenizer; "
        "assert Tokenizer().tokens('a') == ['xxbos', 'a']; assert 'torch' not in sys.modules; "
        "import torch; assert torch.ones(2).sum() == 2"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_text_is_found_before_any_process_starts(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(InputError, match="Text 2 of 2"):
        Tokenizer().encode(["a", None], processes=2)


DIES = """
import os, signal
def words(text):
    {how}
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended with signal SIGKILL before its work"),
        ("os._exit(3)", "ended with exit status 3 before its work"),
    ],
)
def test_a_dead_process_is_one_sentence_and_not_a_hang(tmp_path, monkeypatch, texts, how, said):
    (tmp_path / f"dies{len(how)}.py").write_text(DIES.format(how=how))
    own_code.allow(f"dies{len(how)}:words", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(HpsearchError, match=said) as caught:
        # Only the children may call it: this process does not encode.
        Tokenizer(f"dies{len(how)}:words").encode(texts, processes=2)
    assert "\n" not in str(caught.value)
    assert not _children()


def _children():
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True
    ).stdout
    return [line for line in listed.splitlines() if "tokenize_worker" in line]


SLOW = "import time\ndef words(text):\n    time.sleep(float(text))\n    return [text]\n"
# No `if __name__ == "__main__"`: a user's script need not have one.
SCRIPT = """
import sys
from pathlib import Path
import hpsearch.core.own_code
import hpsearch.trainers.text.tokens.tokenizer as tokenize
hpsearch.core.own_code.allow("slow:words", Path.cwd())
tokenize._CHUNK = 1
print("started", flush=True)
try:
    texts = ["0", *[sys.argv[1]] * 500]
    tokenize.Tokenizer("slow:words").encode(texts, lambda *_: print("step", flush=True), 2)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


AN_HOUR = 3600


def _start_slow_work(folder, seconds):
    """A process at work with two of its own, in a session of their own; each of 500 texts takes so
    many seconds, after a first one."""
    (folder / "slow.py").write_text(SLOW)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(seconds)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert [process.stdout.readline() for _ in range(2)] == ["started\n", "step\n"]
    return process


@pytest.mark.parametrize("group", [True, False], ids=["terminal", "only-the-parent"])
def test_ctrl_c_ends_it_and_all_its_processes(tmp_path, group):
    """In the middle of texts that would take long yet."""
    process = _start_slow_work(tmp_path, AN_HOUR)
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert out.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    wait_until(lambda: not _session(process.pid), "the end of its processes")


def test_processes_end_when_their_parent_is_killed(tmp_path):
    """Each after the text that it is at, long before their work is done."""
    process = _start_slow_work(tmp_path, 1)
    process.kill()
    process.communicate(timeout=200)
    wait_until(lambda: not _session(process.pid), "the end of its processes")


def _session(pid):
    listed = subprocess.run(["ps", "-s", str(pid), "-o", "pid="], capture_output=True, text=True)
    return listed.stdout.split()


def test_a_progress_that_fails_leaves_no_process(texts):
    def fail(done, total):
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more") as caught:
        Tokenizer("whitespace").encode(texts, fail, processes=2)
    assert caught.value.__traceback__ is not None
    assert not _children()


def test_small_inputs_and_daemons_start_no_process(texts, monkeypatch):
    how_many = tokenize_module._n_processes
    long = ["word " * 100_000] * 100  # 50 million characters
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert how_many(texts) == 0
    assert how_many(long) == 4
    assert how_many(long[:40]) == 2
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    assert how_many(long) == 1
