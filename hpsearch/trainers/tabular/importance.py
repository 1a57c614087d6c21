"""Which columns a trained network needs: how much worse it is without each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hpsearch.trainers.tabular.table.decode import Places
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows

SHUFFLES = 5
MOST_ROWS, LEAST_ROWS, MOST_CELLS = 2000, 200, 100_000
"""How many rows are looked at: fewer where there are many columns."""

Score = Callable[[EncodedRows], float]
"""What is the better the higher it is."""


def column_importance(
    rows: EncodedRows, places: dict[str, Places], score: Score
) -> list[tuple[str, float, float]]:
    """Permutation importance (Breiman 2001) of each column: (its name, the mean loss of `score` if
    its cells change places among the rows, the deviation over the shuffles), the largest first.

    All that a column gave (its codes, numbers, parts of its date) changes places together.
    """
    from sklearn.inspection import permutation_importance

    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_CELLS // max(1, len(places))))
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    # scikit-learn shuffles one column at a time: here a column holds the rows to take cells from.
    given = np.tile(chosen[:, None], len(places))

    def of_cells(_: object, which: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
        codes, numbers = rows.codes[truth], rows.numbers[truth]
        for column, place in enumerate(places.values()):
            codes[:, place.codes] = rows.codes[which[:, column]][:, place.codes]
            numbers[:, place.numbers] = rows.numbers[which[:, column]][:, place.numbers]
        return score(EncodedRows(codes, numbers, rows.targets[truth]))

    found = permutation_importance(
        _Fitted(), given, chosen, scoring=of_cells, n_repeats=SHUFFLES, random_state=0
    )
    order = np.argsort(-found.importances_mean, kind="stable")
    names = list(places)
    return [
        (names[i], float(found.importances_mean[i]), float(found.importances_std[i])) for i in order
    ]


class _Fitted:
    """scikit-learn asks for something with this method, and does not call it."""

    def fit(self) -> None: ...
