"""Names out of stores and files are shown on a terminal, and command it nothing."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from rich.markup import escape
from rich.text import Text

from hpsearch.core import terminal
from hpsearch.core.console import new_table, print_error, print_lines, say
from hpsearch.core.terminal import VisibleConsole, one_line, visible

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202eb\rc\nFORGED line\x85\u2028d"
SHOWN = "a\\x1b]0;owned\\x07\\x1b[2JU+009B31mU+202Eb\\x0dc"
OBEYED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\x1b\\]"
)
OWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and the cursor, which Rich itself writes


def check(printed: str, *, is_terminal: bool = False) -> None:
    assert not OBEYED.search(printed), ascii(printed)
    if is_terminal:
        assert "\x1b[2J" not in printed
    assert "\x1b" not in (OWN.sub("", printed) if is_terminal else printed), ascii(printed)
    assert "FORGED" in printed
    assert not re.search(r"^\s*FORGED", OWN.sub("", printed), re.MULTILINE), printed


def hpsearch(*args, cwd, on_terminal=False, env=()):
    """(status, what was printed on both streams), by a real process, on a pty if asked to."""
    command = [sys.executable, "-m", "hpsearch", *args]
    given = {**os.environ, "COLUMNS": "300", "TERM": "xterm-256color", **dict(env)}
    if not on_terminal:
        done = subprocess.run(
            command, cwd=cwd, env=given, capture_output=True, timeout=240, stdin=subprocess.DEVNULL
        )
        return done.returncode, (done.stdout + done.stderr).decode()
    main, side = pty.openpty()
    process = subprocess.Popen(command, cwd=cwd, env=given, stdin=side, stdout=side, stderr=side)
    os.close(side)
    printed = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
    os.close(main)
    return process.wait(60), printed.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory):
    """A folder with Optuna's store s.db, every name of which is a command."""
    folder = tmp_path_factory.mktemp("hostile")
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/s.db")
    study = optuna.create_study(storage=storage, study_name=f"study {EVIL}")
    study.set_metric_names([f"metric {EVIL}"])

    def objective(trial):
        x = trial.suggest_float(f"x {EVIL}", 0, 1)
        kind = trial.suggest_categorical(f"kind {EVIL}", [f"good {EVIL}", f"bad {EVIL}"])
        return x + kind.startswith("bad")

    study.optimize(objective, n_trials=40)
    storage.engine.dispose()
    return folder


@pytest.mark.parametrize("on_terminal", [False, True])
@pytest.mark.parametrize(
    "command",
    [("studies",), ("explain", "--all"), ("explain", "--study", EVIL, "--format", "md")],
    ids=lambda command: "-".join(command[:2]),
)
def test_names_in_a_store_command_nothing(hostile_store, command, on_terminal):
    if EVIL in command:
        command = tuple(part if part != EVIL else f"study {EVIL}" for part in command)
    status, printed = hpsearch(
        *command, "--storage", "sqlite:///s.db", cwd=hostile_store, on_terminal=on_terminal
    )
    assert status == 0
    check(printed, is_terminal=on_terminal)
    assert "owned" in printed


@pytest.mark.parametrize("on_terminal", [False, True])
def test_an_error_that_quotes_a_name_is_one_line(hostile_store, on_terminal):
    status, printed = hpsearch(
        "explain", f"nowhere {EVIL}", "--storage", "sqlite:///s.db",
        cwd=hostile_store, on_terminal=on_terminal,
    )  # fmt: skip
    assert status == 2
    check(printed, is_terminal=on_terminal)
    assert len([line for line in printed.splitlines() if line.strip()]) == 1


def test_a_page_shows_controls_too(hostile_store):
    status, _ = hpsearch(
        "explain", "--format", "html", "--output", "page.html", "--storage", "sqlite:///s.db",
        cwd=hostile_store,
    )  # fmt: skip
    assert status == 0
    page = (hostile_store / "page.html").read_text()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert "U+202E" in page


@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_table_commands_nothing(tmp_path, on_terminal):
    cell = EVIL.replace("\r", "").replace("\n", " ")  # what a line of a CSV can hold
    rows = [f'"{cell}{i % 3}",{i % 7},"class {cell}{i % 2}"' for i in range(60)]
    header = f'"column {cell}",number,label'
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    status, printed = hpsearch(
        "new", "study.toml", "--table", "t.csv", "--target", "label",
        cwd=tmp_path, on_terminal=on_terminal,
    )  # fmt: skip
    assert status == 0, printed
    status, printed = hpsearch("data", "show", "study.toml", cwd=tmp_path, on_terminal=on_terminal)
    assert status == 0, printed
    check(printed, is_terminal=on_terminal)


def test_what_others_print_is_guarded(monkeypatch):
    raw = io.StringIO()
    stream = terminal.GuardedStream(raw)
    print(f"\x1b[1mUsage\x1b[0m of {EVIL}", file=stream)
    assert raw.getvalue().startswith(f"\x1b[1mUsage\x1b[0m of {SHOWN}")
    assert "U+2028" in raw.getvalue()


def test_the_one_line_forms_keep_everything_else():
    assert visible("naïve 文字 👩‍👩‍👧 עברית\tx\ny") == "naïve 文字 👩‍👩‍👧 עברית\tx\ny"
    assert one_line("a\nb") == "a\\nb"
    assert visible(EVIL).startswith(SHOWN)
    assert visible("\udcff.csv") == "U+DCFF.csv"


def test_tables_and_sentences_stay_in_their_lines(capsys):
    out = io.StringIO()
    console = VisibleConsole(file=out, highlight=False, width=400)
    table = new_table(f"In {EVIL}", "name", "value")
    table.add_row(escape(EVIL), Text(f"{EVIL}"[:30], style="red"))
    print_lines(console, table)
    say(console, f"Wrote {EVIL}")
    check(out.getvalue())
    print_error(f"{EVIL} is wrong")
    check(capsys.readouterr().err)


def test_styles_stay_on_the_signs_that_they_were_on():
    text = Text.assemble("\x1b", ("bold", "bold"), "\x9b", ("red", "red"))
    made = terminal.visible_text(text)
    assert made.plain == "\\x1bboldU+009Bred"
    assert [made.plain[one.start : one.end] for one in made.spans] == ["bold", "red"]


LOCALES = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("env", LOCALES, ids=str)
def test_a_terminal_that_is_not_utf8_is_written_to(tmp_path, env):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    study = optuna.create_study(storage=storage, study_name="naïve 文 …")
    study.optimize(lambda trial: trial.suggest_float("größe 文", 0, 1), n_trials=12)
    storage.engine.dispose()
    # The whole explanation once: it has the most signs that are not ASCII.
    first = ("explain", "--all") if "LC_ALL" not in env else ("studies",)
    for command in (first, ("explain", "nirgends 文")):
        done = subprocess.run(
            [sys.executable, "-m", "hpsearch", *command, "--storage", "sqlite:///s.db"],
            cwd=tmp_path, env={**os.environ, **env}, capture_output=True, timeout=240,
        )  # fmt: skip
        printed = (done.stdout + done.stderr).decode("latin-1")
        assert done.returncode == (2 if "nirgends" in command[-1] else 0), printed
        assert "Traceback" not in printed
        assert "UnicodeEncodeError" not in printed
        assert "\\u6587" in printed
        if "latin-1" not in env.values():
            assert printed.isascii()


def test_every_console_of_the_package_is_the_guarded_one():
    package = Path(terminal.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<!Visible)\bConsole\(|\bprint\(", line)
        and not re.search(
            r"console(\(stderr=True\))?\.print\(|notes\.print\(|wide\.print\(|plain\.print\(", line
        )
    ]
    assert [one for one in found if "class VisibleConsole" not in one and ">>>" not in one] == []


def test_rare_ends_of_lines_belong_to_a_text(tmp_path):
    from hpsearch.data.own.unlabelled_texts import read_texts
    from hpsearch.exchange.cells import _records

    (tmp_path / "texts.txt").write_bytes("one\u2028still one\r\ntwo\x85\x0btwo\n\nfour".encode())
    found = read_texts(str(tmp_path / "texts.txt"), ["text"])
    assert found.texts == ["one\u2028still one", "two\x85\x0btwo", "", "four"]
    assert _records('{"a": "x\u2028y"}\r\n\n{"a": 1}\n') == [{"a": "x\u2028y"}, {"a": 1}]
