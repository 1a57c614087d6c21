"""Every trainer has every member of the contract, and threads that do not wait for long."""

import os
import subprocess
import sys

import pytest

from hpsearch.study.trainers import TRAINERS, trainer_module
from hpsearch.trainers.contract import Trainer

MEMBERS = {
    *Trainer.__annotations__,
    *(name for name in vars(Trainer) if not name.startswith("_")),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_says_of_each_member_whether_it_has_it(name):
    trainer = trainer_module(name)
    assert {"__name__", "KEEPS_BEST", "SPEED", "train", "lr_test"} <= MEMBERS
    assert [one for one in MEMBERS if not hasattr(trainer, one)] == []
    assert callable(trainer.prepare)
    assert callable(trainer.train)


def test_how_threads_wait_is_set_before_torch_is_imported():
    """From Python, as from the command line; libgomp reads it once."""
    code = "import os, sys, hpsearch.search.run as r; print(os.environ['GOMP_SPINCOUNT'])"
    code += "; print('torch' in sys.modules)"
    own = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == ["1000", "False"]
