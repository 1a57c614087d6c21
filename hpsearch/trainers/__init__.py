"""The trainers: what a trainer is (`contract`), what trainers share, and a folder for each kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# The threads of libgomp spin for some milliseconds before they sleep. If another process uses a
# core, this stalls all threads. Without spinning, two threads train a small model no faster than
# one. A thousand turns cost 5% on a free machine. Beside a busy process a thousand turns cost a
# quarter, the default half or more. libgomp reads this when torch is imported, so it is set here.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from hpsearch.trainers.collab import train as collab
    from hpsearch.trainers.contract import OwnTrainer, Trainer
    from hpsearch.trainers.estimator.trainer import Estimator
    from hpsearch.trainers.own.trainer import OwnFunction
    from hpsearch.trainers.tabular import train as tabular
    from hpsearch.trainers.tabular import trainer as lazy_tabular
    from hpsearch.trainers.text import ulmfit
    from hpsearch.trainers.text.classifier import train as classifier
    from hpsearch.trainers.text.language_model import train as language_model

    # Here mypy compares each module with the protocol.
    _TRAINERS: tuple[Trainer, ...] = (
        collab, tabular, lazy_tabular, ulmfit, classifier, language_model,
    )  # fmt: skip
    _OWN: tuple[type[OwnTrainer], ...] = (OwnFunction, Estimator)
