"""Where a comma stands before the decimals, numbers are written and read as everywhere.

Python sets LC_CTYPE alone, but a program around hpsearch may call setlocale(LC_ALL, ""), which
strtod, printf and strftime of every library in the process then follow.
"""

from __future__ import annotations

import locale
import os
import re
import shutil
import subprocess
import sys

import pytest
from tiny_table import STUDY
from typed import typed

from hpsearch.analysis.surrogate import fit
from hpsearch.cli import output

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOCALES = {"de_DE": "UTF-8"}
SCRIPT = """
import contextlib, io, locale, sys
import torch
from hpsearch.analysis.surrogate import fit
from hpsearch.cli.app import app
fit.N_REFITS = 19
commands, sys.argv[:] = sys.argv[1:], ["hpsearch"]
locale.setlocale(locale.LC_ALL, "")
assert locale.str(1.5) == "1,5"
for command in commands:
    print("$", command)
    arguments = command.split()
    code = app(arguments, standalone_mode=False)
    print("=", code or 0)
"""
COMMANDS = (
    "data show study.toml",
    "run study.toml --trials 4 --devices cpu --workers 1",
    "show study.toml --preset quick",
    "explain mine-quick --format json --output rules.json",
    "train study.toml --best --preset quick --device cpu --output model",
    "predict model people.csv --output predicted.csv",
    "predict model people.csv --output predicted.json",
    "export mine-quick --output study.zip",
    "import study.zip --storage sqlite:///second.db",
    "import trials.csv --study table --metric score --direction maximize",
    "explain table --all",
    "explain table --format md",
    "explain table --format html --output report.html",
    "export table --output table.csv",
)
TABLE = "lr,bs,score\n" + "\n".join(
    f"{10 ** -(1 + i % 7 / 2):.6g},{8 + i % 3 * 8},{0.5 + i % 7 / 100 + i % 3 / 30:.4f}"
    for i in range(60)
)
ROWS = [f"{i % 50 + 0.5},{i * 7 % 13},{'größer' if i % 50 > 25 else 'nein'}" for i in range(200)]
FILES = ("rules.json", "report.html", "predicted.csv", "predicted.json", "table.csv")
VARIES = (
    (r"\d+(\.\d+)? s\b", "T s"),  # what took how long
    (r"\d+ min \d\d s", "T s"),
    (r"\d[\d,.]* rows/s", "R rows/s"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?", "DATE"),
    (r" +", " "),
    (r"[-─━]{2,}", "--"),
)


def same(text):
    for pattern, other in VARIES:
        text = re.sub(pattern, other, text)
    return text


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Where the locales were made: {locale: folder}."""
    place = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("localedef makes the locales, and is not there")
    for name, charset in LOCALES.items():
        full = f"{name}.{charset}"
        command = ["localedef", "-i", name, "-f", charset, str(place / full)]
        made = subprocess.run(command, capture_output=True, text=True)
        if not (place / full).is_dir():
            pytest.skip(f"no sources of locales: {made.stderr}")
    return {f"{name}.{charset}": place for name, charset in LOCALES.items()}


def write_inputs(folder):
    folder.mkdir()
    (folder / "people.csv").write_text("\n".join(["age,visits,left", *ROWS]), "utf-8")
    (folder / "study.toml").write_text(STUDY)
    (folder / "trials.csv").write_text(TABLE)


def results(printed, folder):
    """What the commands print and write: {name: text}."""
    parts = printed.split("$ ")[1:]
    texts = {part.split("\n", 1)[0]: part for part in parts}
    texts |= {one: (folder / one).read_text("utf-8") for one in FILES}
    return {what: text.replace(str(folder), "FOLDER") for what, text in texts.items()}


SETTINGS = {"HPSEARCH_DEVICE": "cpu", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """In this process, whose decimals have a point."""
    assert locale.str(1.5) == "1.5"
    folder = tmp_path_factory.mktemp("point") / "run"
    write_inputs(folder)
    printed = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", 19)
        for screen in (output.console, output.notes):  # they took COLUMNS when they were made
            patch.setattr(screen, "_width", int(SETTINGS["COLUMNS"]))
        for command in COMMANDS:
            code, out, err = typed(
                folder, *command.split(), **SETTINGS, HPSEARCH_HOME=str(folder / "home")
            )
            assert code == 0, err
            printed += f"$ {command}\n{out}= {code}\n"
    return results(printed, folder)


def printed_in(folder, name, path):
    """In a process of that locale."""
    write_inputs(folder)
    env = {**os.environ, **SETTINGS, "LC_ALL": name, "LOCPATH": str(path)}
    env |= {"PYTHONIOENCODING": "utf-8", "HPSEARCH_HOME": str(folder / "home")}
    made = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, *COMMANDS],
        cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=400,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return results(made.stdout, folder)


@pytest.mark.parametrize("name", [f"{one}.{charset}" for one, charset in LOCALES.items()])
def test_a_decimal_comma_changes_nothing(plain, places, tmp_path, name):
    other = printed_in(tmp_path / "run", name, places[name])
    assert list(plain) == list(other)
    for what, text in plain.items():
        assert same(other[what]) == same(text), what
    assert "0." in plain["explain table --all"]
