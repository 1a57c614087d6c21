"""The shares of the variance as rows of text, with the second opinions beside them."""

from __future__ import annotations

from hpsearch.analysis.estimates import NOT_KNOWN, Importance
from hpsearch.analysis.results import Results
from hpsearch.analysis.views.second_opinions import SecondOpinion
from hpsearch.core.words import percent, shortened

MAX_ROWS = 20
MAX_PAIRS = 5
MIN_PAIR_SHARE = 0.02  # of the variance: weaker interactions are not shown

HEADER = ("parameter", "share of the variance", "of the better half", "R² lost", "PED-ANOVA")
LEGEND = (
    "Share: functional ANOVA over all of the searched ranges, of the variance that "
    "its model sees. Of the better half: the forest's shares when all values worse than the "
    "median of the space are set to it, for which a few disasters count no more than a bad trial. "
    "R² lost when the parameter is shuffled: permutation "
    "importance, out of bag, in points of 100; it counts interactions and is about twice the total "
    "share. PED-ANOVA (Optuna's): what sets the best tenth of the trials apart, which is another "
    "question. A dash: no answer (interactions, or fewer than 50 complete trials)."
)
DASH = "—"


def strong_pairs(e: Results, most: int) -> list[Importance]:
    """The interactions that are worth showing, largest first."""
    pairs = [i for i in e.importances if len(i.params) == 2 and i.share >= MIN_PAIR_SHARE]
    return sorted(pairs, key=lambda importance: -importance.share)[:most]


def share_rows(e: Results, longest: int | None = None) -> list[tuple[str, ...]]:
    """One row a parameter, then the strong interactions; names of `longest` characters at most."""
    opinions = {opinion.param: opinion for opinion in e.second_opinions}
    better = e.good_region().shares
    rows: list[tuple[str, ...]] = []
    for i in (*e.main_importances[:MAX_ROWS], *strong_pairs(e, MAX_PAIRS)):
        opinion = opinions.get(i.params[0]) if len(i.params) == 1 else None
        share = f"{percent(i.share)} ({interval(i)})"
        others = (percent(better[i.params]), lost(opinion), separate(opinion))
        rows.append((name_of(i, longest), share, *others))
    return rows


def legend(e: Results) -> str:
    """What the columns mean, and what is left out."""
    rest = len(e.main_importances) - MAX_ROWS
    seen = f" The forest sees {max(e.quality.r2, 0):.0%} of all variance (R², out of bag)."
    return LEGEND + seen + (f" {rest} more parameters have smaller shares." if rest > 0 else "")


def lost(opinion: SecondOpinion | None) -> str:
    """Permutation importance in points of R2, with its standard deviation."""
    if opinion is None or opinion.permutation is None or opinion.permutation_sd is None:
        return DASH
    return f"{round(100 * opinion.permutation)} ± {round(100 * opinion.permutation_sd)}"


def separate(opinion: SecondOpinion | None) -> str:
    """PED-ANOVA as a share of its sum over all parameters."""
    if opinion is None or opinion.ped_anova is None:
        return DASH
    return percent(opinion.ped_anova)


def name_of(importance: Importance, most: int | None = None) -> str:
    """The parameters' names, and the branch they belong to; in at most `most` characters."""
    params = importance.params
    within = f" ({importance.within})" if importance.within else ""
    name = " x ".join(params) + within
    if most is None or len(name) <= most:
        return name
    each = (most - 3 * (len(params) - 1)) // len(params)
    return shortened(" x ".join(shortened(param, each) for param in params) + within, most)


def interval(importance: Importance) -> str:
    between = f"{percent(importance.low)} to {percent(importance.high)}"
    known = importance.high - importance.low <= NOT_KNOWN
    return between if known else f"{between}: not known"
