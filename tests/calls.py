"""`run`, `join` and `verify` of a study's declaration, with all that a test says as keywords."""

from pathlib import Path

from hpsearch import search as searching
from hpsearch.search.engines import Workers
from hpsearch.search.job import Limits
from hpsearch.search.join import join as join_run
from hpsearch.search.plan.study_record import StudyChoice


def run(
    spec, *, trials=None, total=None, timeout=None, limits=None, seed=0, search=None, **options
):
    budget = searching.Budget(trials, timeout, total)
    choice, workers, others = _split(spec, 1, options)
    return searching.run(
        choice, workers, budget=budget, limits=limits or Limits(), seed=seed, search=search,
        **others,
    )  # fmt: skip


def join(spec, **options):
    choice, workers, others = _split(spec, None, options)
    join_run(choice, workers, **others)


def verify(spec, *, param, value, against, **options):
    (done,) = verify_rules(spec, [(param, value, against)], **options)
    return done


def verify_rules(spec, rules, **options):
    from hpsearch import verification  # scikit-learn takes a second, and most processes only run

    choice, workers, others = _split(spec, 1, options)
    design = verification.Design(
        others.pop("pairs", None), others.pop("max_pairs", 100), others.pop("level", 0.9)
    )
    contrasts = [verification.Contrast(*rule) for rule in rules]
    return verification.verify(choice, contrasts, workers, design=design, **others)


def _split(spec, count, options):
    """(which study, which workers, the other options)."""
    options = dict(options)
    data_path = options.pop("data_path", None)
    choice = StudyChoice(
        spec, options.pop("preset", "auto"), options.pop("storage", None),
        None if data_path is None else Path(data_path), options.pop("language_model", None),
    )  # fmt: skip
    workers = Workers(
        options.pop("workers", count), options.pop("devices", None),
        options.pop("engine", "local"), options.pop("cluster", None),
    )  # fmt: skip
    return choice, workers, options
