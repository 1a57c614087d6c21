"""What the pages tell to type is typed: every block of a page, in its order, in an empty folder.

In a ```sh block, lines that begin with hpsearch run in this process, others in bash; ```python
runs; a block with a title is written to the file of that name. A comment before a block in a page's
source changes that:

    <!-- not run: REASON -->       its syntax and its options are checked only
    <!-- in the test: CODE -->     Python that runs between the blocks, such as smaller settings

Trials and pairs are three at most.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from own_function import own_folder  # noqa: F401
from typed import typed
from typer.main import get_command

from hpsearch.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OF_THE_CHECKOUT = ("api.md", "architecture.md", "database.md", "method.md")
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.name not in OF_THE_CHECKOUT
)
STEP = re.compile(
    r"<!-- not run: (?P<reason>.+?) -->\n|<!-- in the test:(?P<hidden>.*?)-->"
    r'|^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.DOTALL | re.MULTILINE,
)
SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


def steps(source):
    """(what it is, the text, its title, whether it runs) of each block and hidden code."""
    runs = True
    for found in STEP.finditer(source):
        if found["reason"]:
            runs = False
            continue
        if found["hidden"]:
            yield "python", found["hidden"], None, True
        else:
            text = SNIPPET.sub(lambda name: (DOCS / name[1]).read_text("utf-8"), found["text"])
            yield found["language"], text, found["title"], runs
            runs = True


def few(arguments):
    """The command with few trials, one after the other."""
    words = arguments[:1] + [
        str(min(3, int(word))) if before in ("--trials", "--pairs") else word
        for before, word in pairwise(arguments)
    ]
    return (
        [*words, "--workers", "1"]
        if "--workers" not in words and words[0] in ("run", "verify")
        else words
    )


def run_shell(text, folder):
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("hpsearch "):
            arguments = few(shlex.split(line, comments=True)[1:])
            status, out, err = typed(folder, *arguments)
            assert status == 0, f"{line}\n{out[-1500:]}\n{err[-1500:]}"
        elif line and not line.startswith("#"):
            subprocess.run(["bash", "-euc", line], cwd=folder, check=True, timeout=200)


def check_options(words):
    """That there is this command of hpsearch, and that it has all options that are given to it."""
    command = get_command(app.app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands") or words[0].startswith("-"), words
    known = {name for one in command.params for name in one.opts} | {"--install-completion"}
    assert [one for one in words if one.startswith("--") and one not in known] == []


def check_syntax(language, text):
    if language == "sh":
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        for line in re.findall(r"^(?: *exec| *while)? *hpsearch ([^;\n]+)", text, re.MULTILINE):
            check_options(shlex.split(line.rstrip("\\"), comments=True))
    elif language == "python":
        ast.parse(text)
    elif language == "toml":
        tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_type_works(page, own_folder, monkeypatch):  # noqa: F811
    monkeypatch.syspath_prepend(str(own_folder))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    names = {"__name__": "page"}
    for language, text, title, runs in steps((DOCS / page).read_text("utf-8")):
        check_syntax(language, text)
        if title and runs:
            Path(title).write_text(text, "utf-8")
        elif language == "sh" and runs:
            run_shell(text, own_folder)
        elif language == "python" and runs:
            exec(compile(text, page, "exec"), names)


def test_the_gallery_has_the_pictures_and_names_the_commands_that_made_them(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import gallery

    page = (DOCS / "gallery.md").read_text("utf-8")
    made = {command for command, _ in gallery.COMMANDS} | {"hpsearch dashboard"}
    assert set(re.findall(r"`(hpsearch [^`]+)`", page)) <= made
    shown = set(re.findall(r"pictures/gallery/([\w.-]+)", page))
    drawn = {f"{name}.svg" for name, *_ in gallery.PLOTS}
    drawn |= {"tastes.svg", "dashboard.png", "learning-curves.png"}
    assert shown == drawn | {name for _, name in gallery.COMMANDS if name}
    files = {path.name: path.stat().st_size for path in gallery.FOLDER.iterdir()}
    assert set(files) == shown
    assert sum(files.values()) < 1_000_000


def test_the_readme_names_commands_pages_and_options_that_there_are():
    text = (ROOT / "README.md").read_text("utf-8")
    typed_lines = re.findall(r"^hpsearch .*", text, re.MULTILINE)
    assert len(typed_lines) > 5
    check_syntax("sh", "\n".join(typed_lines))
    missing = [link for link in re.findall(r"\]\(([^):]+)\)", text) if not (ROOT / link).exists()]
    assert missing == []


FILES = DOCS / "how-to/files"


def test_the_kubernetes_jobs_run_commands_that_there_are_and_mount_what_they_declare():
    jobs = list(yaml.safe_load_all((FILES / "kubernetes.yaml").read_text("utf-8")))
    assert [(job["apiVersion"], job["kind"]) for job in jobs] == [("batch/v1", "Job")] * 2
    assert [job["metadata"]["name"] for job in jobs] == ["hpsearch-run", "hpsearch-workers"]
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        if "command" in container:
            check_syntax("sh", container["args"][0])
        else:
            check_options(container["args"])
        assert {one["name"] for one in container["volumeMounts"]} == {
            one["name"] for one in pod["volumes"]
        }
        assert pod["restartPolicy"] in ("OnFailure", "Never"), "what a job allows"


@pytest.mark.parametrize(
    ("task", "restarts", "commands"),
    [
        ("0", "0", ["run 2000"]),
        ("1", "0", ["worker 1h", "worker 5m", "worker 5m"]),
        ("1", "2", ["worker 5m", "worker 5m", "worker 5m"]),
    ],
)
def test_the_first_task_of_the_array_runs_and_the_others_join_until_it_is_done(
    tmp_path, task, restarts, commands
):
    """With a hpsearch that notes what it is asked for, and whose run is stopped twice."""
    place = tmp_path / "hpsearch-env/bin"
    place.mkdir(parents=True)
    (place / "activate").write_text(f"PATH={place}:$PATH")
    (place / "hpsearch").write_text(
        '#!/bin/sh\necho "$1" "$(echo "$*" | grep -o "[^ ]*$")" >>"$HOME/asked"\n'
        'test "$1" = run || test "$(wc -l <"$HOME/asked")" = 3 || exit 75\n'
    )
    (place / "srun").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    for name in ("hpsearch", "srun"):
        (place / name).chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "SLURM_RESTART_COUNT": restarts,
        "SLURM_ARRAY_TASK_ID": task, "SLURM_CPUS_PER_TASK": "4",
    }  # fmt: skip
    subprocess.run(["bash", FILES / "slurm.sh"], env=environment, check=True, timeout=100)
    assert (tmp_path / "asked").read_text().splitlines() == commands


def test_ray_accepts_the_cluster():
    place = Path(find_spec("ray").origin).parent  # importing Ray takes a second
    schema = json.loads((place / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load((FILES / "ray-cluster.yaml").read_text("utf-8")), schema)


def test_the_image_installs_extras_that_there_are_and_runs_hpsearch():
    lines = (FILES / "Containerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    commands = dict(line.split(" ", 1) for line in lines if not line.startswith("#"))
    assert next(iter(commands)) == "FROM"
    assert set(commands) <= {"FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "ENTRYPOINT"}
    for line in lines:
        if line.startswith("RUN "):
            subprocess.run(["bash", "-n"], input=line[4:], text=True, check=True)
    (extras,) = re.findall(r"hpsearch-\*.whl\)\[(.+)\]", "\n".join(lines))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert json.loads(commands["ENTRYPOINT"]) == list(project["scripts"])
