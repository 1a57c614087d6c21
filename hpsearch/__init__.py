"""Search hyperparameters, and read rules of thumb with honest intervals off the trials.

    study = hpsearch.run("imdb-clas", trials=12, preset="quick")
    print(hpsearch.explain(study).to_markdown())

Each function mirrors a command of the command line; docs/api.md shows all of them.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:  # Python is still looking for the module
    _after = sys.orig_argv.index("-m") + 1 if "-m" in sys.orig_argv else 0
    if sys.orig_argv[_after].partition(".")[0] == "hpsearch":
        # `python -m hpsearch`: the current folder stands first in the path, and a file html.py
        # beside somebody's data would be taken for the library's.
        del sys.path[0]

from typing import TYPE_CHECKING, Any

from hpsearch.api.models import find_lr, generate, predict, pretrain, train
from hpsearch.api.rules import explain, pool, rules
from hpsearch.api.studies import (
    delete_study,
    doctor,
    export_study,
    import_study,
    load_spec,
    load_study,
    rename_study,
)
from hpsearch.api.trained import card, export_model, load_classifier, load_recommender, load_tabular
from hpsearch.api.trials import enqueue, join, run, verify, verify_rules
from hpsearch.errors import HpsearchError, InputError

if TYPE_CHECKING:
    from hpsearch.analysis import Explanation, Rule
    from hpsearch.search.engines import Cluster
    from hpsearch.search.job import Limits
    from hpsearch.trainers.own.hints import Choice, Float, Int
    from hpsearch.verification import Verification

__version__ = "0.1.0"
__all__ = [
    "Choice", "Cluster", "Explanation", "Float", "HpsearchError", "InputError", "Int", "Limits",
    "Rule", "Verification", "card", "delete_study", "doctor", "enqueue", "explain", "export_model",
    "export_study", "find_lr", "generate", "import_study", "join", "load_classifier",
    "load_recommender", "load_spec", "load_study", "load_tabular", "pool", "predict", "pretrain",
    "rename_study", "rules", "run", "train", "verify", "verify_rules",
]  # fmt: skip

_CLASSES = {
    "Choice": "hpsearch.trainers.own.hints",
    "Cluster": "hpsearch.search.engines",
    "Explanation": "hpsearch.analysis",
    "Float": "hpsearch.trainers.own.hints",
    "Int": "hpsearch.trainers.own.hints",
    "Limits": "hpsearch.search.job",
    "Rule": "hpsearch.analysis",
    "Verification": "hpsearch.verification",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # Importing one of these classes costs a second: only who asks for it pays.
    if name in _CLASSES:
        from importlib import import_module

        return getattr(import_module(_CLASSES[name]), name)
    raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
