"""One SQL database: Optuna's tables, untouched, and ours beside them."""

from hpsearch.store.store import Store
from hpsearch.store.summaries import StudySummary

__all__ = ["Store", "StudySummary"]
