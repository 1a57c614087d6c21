"""The one writer of Optuna's trial tables: every INSERT, UPDATE and DELETE on them stands here.

- `running`: what a worker writes about its trial: parameters, epochs, its end.
- `states`: how trials change hands: planned, started, put back, given up, copied.
- `finished`: many finished trials at once.
- `rows`: the rows of any table, for the archive and the doctor.
- `deleted`: a study's trials, and what is left of those that Optuna's tools deleted.

What reads is in `trials/read`.
"""

from hpsearch.store.trials.write import deleted, finished, rows, running, states

__all__ = ["deleted", "finished", "rows", "running", "states"]
