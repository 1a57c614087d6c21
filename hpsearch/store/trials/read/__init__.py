"""The one reader of Optuna's trial tables: every SELECT on them stands in this package.

- `content`: what trials hold. The objects of `frozen` and the arrays of `read_columns` are made
  from it.
- `states`: which trials wait, run and have ended, and whose they are.
- `rows`: the rows of any table, for the archive and the doctor.

Functions take a connection and return rows, numbers or texts. Those without a connection return
conditions and subqueries, for statements on tables of ours. What writes is in `trials/write`.
"""

from hpsearch.store.trials.read import content, rows, states

__all__ = ["content", "rows", "states"]
