"""What run makes of its options."""

import pytest
from typer.testing import CliRunner

import hpsearch.search
from hpsearch.api.study_view import Study
from hpsearch.cli.app import app
from hpsearch.cli.options import parse_config
from hpsearch.errors import InputError


def test_configurations_are_read_as_people_write_them():
    assert parse_config("--fix", ["lr=1e-2", "moms=0.8/0.7", "unfreeze=true", "bs=32"]) == {
        "lr": 0.01, "moms": "0.8/0.7", "unfreeze": True, "bs": 32,
    }  # fmt: skip
    for bad in ("lr", "=3", ""):
        with pytest.raises(InputError, match="--fix"):
            parse_config("--fix", [bad])


def test_only_what_was_given_replaces_what_the_study_declares(monkeypatch):
    seen = {}
    monkeypatch.setattr(hpsearch.search, "run", lambda choice, workers, **given: seen.update(given))
    monkeypatch.setattr(Study, "of", lambda made: made)
    options = (
        "--sampler", "gp", "--fix", "bs=64", "--try", "lr=0.01 drop=0.2", "--try", "wd=0.1",
        "--also", "seconds", "--constraint", "seconds_per_epoch=2", "--target", "0.9",
    )  # fmt: skip
    done = CliRunner().invoke(app, ["run", "adult", "--workers", "1", *options])
    assert done.exit_code == 0, done.output
    assert seen["search"] == {
        "sampler": "gp",
        "fix": {"bs": 64},
        "tries": [{"lr": 0.01, "drop": 0.2}, {"wd": 0.1}],
        "also": ["seconds"],
        "constraints": {"seconds_per_epoch": 2},
        "target": 0.9,
    }
