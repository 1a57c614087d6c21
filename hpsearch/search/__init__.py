"""The search: plans a study's trials, runs them, and survives what long runs meet."""

from hpsearch.search.run import Budget, run

__all__ = ["Budget", "run"]
