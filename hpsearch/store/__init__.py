"""One SQL database: Optuna's tables, untouched, and ours beside them."""

from hpsearch.store.reading import StudySummary
from hpsearch.store.records import Store

__all__ = ["Store", "StudySummary"]
