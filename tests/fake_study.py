"""A study whose trainer takes no time, does what its settings say, and keeps a journal."""

import contextlib
import io
import json
import os
import signal
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from rich.console import Console
from run_processes import launch

from hpsearch.study.search_options import Search

TRAINER = (Path(__file__).parent / "fake_trainer.py").read_text()


@dataclass(frozen=True)
class FakePreset:
    name: str = "quick"
    trials: int = 6
    settings: dict = field(default_factory=dict)
    language_model: str | None = None
    from_scratch: None = None
    when: dict = field(default_factory=dict)
    is_from_scratch: bool = False
    distributions: dict = field(
        default_factory=lambda: {
            "x": FloatDistribution(-1.0, 1.0),
            "lr": FloatDistribution(1e-4, 1e-1, log=True),
            "depth": IntDistribution(1, 8),
            "kind": CategoricalDistribution(["a", "b"]),
        }
    )
    defaults: dict = field(default_factory=lambda: {"x": 0.5, "lr": 0.01, "depth": 3, "kind": "a"})

    def with_language_model(self, place):
        settings = {**self.settings, "language_model": {"pretrained": place}}
        return replace(self, settings=settings, language_model=place)


@dataclass(frozen=True)
class FakeSpec:
    preset: FakePreset
    name: str = "fake"
    trainer: str = "fake"
    metric: str = "score"
    direction: str = "maximize"
    data: dict = field(default_factory=lambda: {"source": "fake"})
    search: Search = field(default_factory=Search)
    file: None = None
    code: None = None
    given: None = None

    def resolve(self, preset):
        return self.preset

    def trainer_module(self):
        import hps_fake_trainer

        return hps_fake_trainer

    def but(self, **settings):
        """The same study with other settings."""
        changed = replace(self.preset, settings={**self.preset.settings, **settings})
        return replace(self, preset=changed)

    @property
    def journal(self):
        path = Path(self.preset.settings["journal"])
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def tmp_path(tmp_path):
    """In memory where possible: the tests of the store wait for the disk, these need not."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="hpsearch-test-") as folder:
        yield Path(folder)


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A study whose trainer is a module that other processes can import too."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "hps_fake_trainer.py").write_text(TRAINER)
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    return FakeSpec(FakePreset(settings={"epochs": 3, "journal": str(tmp_path / "journal")}))


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def console():
    """A console that is no terminal; `console.file.getvalue()` is what it printed."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def start():
    """`run_processes.launch`; what it started is gone after the test."""
    processes = []

    def start_one(spec, **options):
        processes.append(launch(spec, **options))
        return processes[-1]

    yield start_one
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
