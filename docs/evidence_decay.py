"""The page on the decay factor: what `docs/evidence/plan.md` says that it holds, and no more."""

from __future__ import annotations

import io
import json
import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from evidence_pages import MADE, largest, share, table

import hpsearch
from hpsearch.analysis.pooling.moderators import MIN_REGRESSION, moderators
from hpsearch.core.words import digits, format_value, how_many
from hpsearch.errors import InputError
from hpsearch.verification.paired_test import t_test_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evidence import Study

PARAM, LESSON, NONE = "lr_decay", 2.6, 1.0
LEAST = 100  # trials of a study that counts
WORTH = 0.005  # of accuracy
BREAKS = 0.1  # of accuracy: so much less, and a training has broken down
SHOWN = (1.0, 1.6, 2.6, 4.0, 6.3, 10.0)
MODERATORS = {"layers": "layers", "reviews": "training texts", "perplexity": "log of perplexity"}
ASSETS = hpsearch.__path__[0] + "/assets/models/{}/config.json"


def decay_files(studies: Sequence[Study]) -> dict[str, str]:
    """The page and its pictures by name."""
    counted = [one for one in largest(studies) if one.recording.count >= LEAST]
    lines = [
        MADE,
        "# The decay factor",
        "",
        "A lesson of 2018 divides the learning rate by 2.6 from layer group to layer group: "
        "`lr_decay` = 2.6; 1 is no decay. [What was decided before looking](plan.md) says which "
        "studies count, what is read off them and how new runs decide. Intervals are at 90%. "
        "Trials propose; only new runs in pairs confirm.",
        "",
    ]
    if not counted:
        lines += [f"No text study with {LEAST} trials or more is recorded yet."]
        return {"decay.md": "\n".join(lines) + "\n"}
    if rest := [one.name for one in studies if one not in counted]:
        lines += [
            f"Not counted, as they have fewer than {LEAST} trials or repeat a study on a part of "
            f"its data: {', '.join(rest)}.",
            "",
        ]
    lines += ["## In every text study", "", *in_studies(counted), ""]
    lines += ["![The curve of the decay factor in each study, with its band](decay-curves.svg)", ""]
    lines += curve_table(counted)
    lines += ["", "## With and without gradual unfreezing", "", *by_unfreezing(counted)]
    lines += ["", "## Over studies", ""]
    files = {"decay-curves.svg": curves_picture(counted)}
    words, picture = over_studies(counted)
    lines += words
    if picture is not None:
        files["decay-forest.svg"] = picture
    lines += ["", "## By what the studies differ in", "", *by_moderators(counted)]
    lines += ["", "## New runs in pairs", "", *by_pairs(counted)]
    files["decay.md"] = "\n".join(lines) + "\n"
    return files


def effect_of(explanation):
    return next((one for one in explanation.effects if one.param == PARAM), None)


def share_of(explanation) -> str:
    found = [one for one in explanation.importances if one.params == (PARAM,)]
    return share(found[0]) if found else "none seen"


def best_of(effect) -> str:
    low, high = format_value(effect.best_low), format_value(effect.best_high)
    return f"{format_value(effect.best)} ({low} to {high})"


def in_studies(studies: Sequence[Study]) -> list[str]:
    rows, words = [], []
    for study in studies:
        e, facts = study.explanation, facts_of(study)
        effect = effect_of(e)
        rows.append(
            (
                study.name, str(study.recording.count), *map(str, shown_facts(facts)), share_of(e),
                best_of(effect), "yes" if e.trusted else "no",
            )
        )  # fmt: skip
        words.append(f"- {study.name}: {sentence(e, effect)}")
    header = (
        "study", "trials", "layers", "training texts", "perplexity", "share", "best value",
        "trusted",
    )  # fmt: skip
    return [*table(header, rows), "", *words]


def sentence(e, effect) -> str:
    """What the trials of one study say of the lesson's value."""
    rule = next((one for one in e.rules if one.param == PARAM), None)
    if rule is not None:
        return rule.statement
    low, high = format_value(effect.best_low), format_value(effect.best_high)
    if not e.trusted:
        return "the forest is no better than chance, so these trials say nothing about it yet."
    return (
        f"no rule. Any value from {low} to {high} is as good, as far as these trials show, with "
        f"2.6 {'among them' if effect.best_low <= LESSON <= effect.best_high else 'outside'}."
    )


def curve_table(studies: Sequence[Study]) -> list[str]:
    """What is expected at some values while the other parameters are set well."""
    rows = []
    for study in studies:
        effect = effect_of(study.explanation)
        places = np.log(np.array(effect.values, float))
        cells = []
        for value in SHOWN:
            middle, low, high = (
                float(np.interp(math.log(value), places, line))
                for line in (effect.mean, effect.low, effect.high)
            )
            cells.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
        rows.append((study.name, *cells))
    header = ("accuracy at", *(format_value(value) for value in SHOWN))
    return table(header, rows)


def by_unfreezing(studies: Sequence[Study]) -> list[str]:
    rows = []
    for study in studies:
        for value, word in ((True, "gradual"), (False, "all at once")):
            try:
                e = hpsearch.explain(study.study(unfreeze=value))
                effect = effect_of(e)
                cells = (
                    str(e.n_trials),
                    share_of(e),
                    best_of(effect),
                    "yes" if e.trusted else "no",
                )
            except (InputError, StopIteration) as error:
                cells = ("", f"cannot be told: {error}", "", "")
            rows.append((study.name, word, *cells))
    return table(("study", "unfreezing", "trials", "share", "best value", "trusted"), rows, left=2)


def over_studies(studies: Sequence[Study]) -> tuple[list[str], str | None]:
    if len(studies) < 2:
        return ["It takes two studies, and one is recorded so far."], None
    pooling = hpsearch.pool([one.explanation for one in studies])
    one = next((each for each in pooling.optima if each.param == PARAM), None)
    if one is None:
        return ["The studies' ranges have too little in common."], None
    lines = [one.statement, "", "![Forest plot of the decay factor](decay-forest.svg)", ""]
    rows = [
        (
            part.study, f"{part.weight:.0%}",
            f"{format_value(part.best)} ({format_value(part.low)} to {format_value(part.high)})",
            format_value(part.without), digits(part.loss, 2),
        )
        for part in one.parts
    ]  # fmt: skip
    rows += [
        ("all studies", "", f"{format_value(one.value)} ({format_value(one.low)} to "
         f"{format_value(one.high)})", "", ""),
        ("a new study", "", f"{format_value(one.new_low)} to {format_value(one.new_high)}", "", ""),
    ]  # fmt: skip
    header = ("study", "weight", "best value", "rule of the others", "what that costs here")
    return [*lines, *table(header, rows), *one.notes], forest_picture(one)


def facts_of(study: Study) -> dict[str, float]:
    """The three moderators that the plan names, where they are known."""
    attrs = study.recording.attrs
    settings = attrs["hps_settings"]
    model = settings.get("language_model", {})
    layers = model.get("layers")
    if layers is None and model.get("pretrained"):
        try:
            with open(ASSETS.format(model["pretrained"])) as file:  # noqa: PTH123
                layers = json.load(file)["config"]["layers"]
        except OSError:
            layers = None
    known = {
        "layers": layers,
        "reviews": settings.get("train_reviews") or None,
        "perplexity": attrs.get("hps_shared", {}).get("perplexity"),
    }
    return {key: float(value) for key, value in known.items() if value is not None}


def shown_facts(facts: Mapping[str, float]) -> list[str]:
    cells = [facts.get(key) for key in MODERATORS]
    return ["not recorded" if one is None else digits(one, 4) for one in cells]


def by_moderators(studies: Sequence[Study]) -> list[str]:
    known = [(study, facts_of(study)) for study in studies]
    whole = [(study, facts) for study, facts in known if len(facts) == len(MODERATORS)]
    if len(whole) < MIN_REGRESSION:
        return [
            f"A regression takes {MIN_REGRESSION} studies of which layers, training texts and "
            f"perplexity are known; there are {len(whole)}. The table above has the values."
        ]
    best, errors = [], []
    for study, _ in whole:
        effect = effect_of(study.explanation)
        best.append(math.log(effect.best))
        width = math.log(effect.best_high) - math.log(effect.best_low)
        errors.append(width / (2 * NormalDist().inv_cdf(0.95)))
    rows = [
        {
            MODERATORS["layers"]: facts["layers"],
            MODERATORS["reviews"]: facts["reviews"],
            MODERATORS["perplexity"]: math.log(facts["perplexity"]),
        }
        for _, facts in whole
    ]
    found = moderators(rows, np.array(best), np.array(errors), 0.9)
    cells = [
        (one.name, digits(one.slope, 2), f"{digits(one.low, 2)} to {digits(one.high, 2)}",
         f"{one.p_value:.2g}")
        for one in found
        if one.slope is not None
    ]  # fmt: skip
    left = [name for name in MODERATORS.values() if name not in {one.name for one in found}]
    lines = [
        "The slope of the logarithm of the best value, Knapp and Hartung's intervals, p-values "
        "corrected for the three that are tried:",
        "",
        *table(("moderator", "slope", "90% interval", "p"), cells),
    ]
    return [*lines, *([f"Too few different values of: {', '.join(left)}."] if left else [])]


def by_pairs(studies: Sequence[Study]) -> list[str]:
    told = [
        (study, row)
        for study in studies
        for row in study.recording.about["verifications"]
        if row["param"] == PARAM and row["effect"] is not None
    ]
    if not told:
        return ["None was run yet: out of reach so far, with no number of trials seen to need."]
    rows, turned = [], False
    for study, row in told:
        rows.append(pairs_row(study, row, row["verdict"]))
        if (row["value"], row["against"]) == (NONE, LESSON):
            rows.append(pairs_row(study, turned_round(row), "the same pairs"))
            turned = True
    header = ("study", "contrast", "pairs", "gain", "verify's verdict", "in the plan's words")
    lines = [*table(header, rows), "", f"{how_many(len(rows), 'contrast')} in all.", ""]
    lines += [*(f"- {each_pair(study, row)}" for study, row in told), ""]
    if turned:
        lines += [
            "Where the recovered optimum is 1, both contrasts of the plan are of the same two "
            "values: the same pairs are read both ways, and their error is not divided."
        ]
    return lines


def pairs_row(study: Study, row: Mapping, verdict: str) -> tuple[str, ...]:
    return (
        study.name, f"{format_value(row['value'])} against {format_value(row['against'])}",
        str(row["pairs"]),
        f"{digits(row['effect'], 2)} ({digits(row['low'], 2)} to {digits(row['high'], 2)})",
        verdict, outcome(row),
    )  # fmt: skip


def each_pair(study: Study, row: Mapping) -> str:
    """How the gains of a verification's pairs lie, which their mean does not say."""
    gains = np.array([one for one in row["payload"]["gains"] if one is not None], float)
    least, most = digits(float(gains.min()), 2), digits(float(gains.max()), 2)
    value, against = format_value(row["value"]), format_value(row["against"])
    return (
        f"{study.name}: {value} is better than {against} in {int((gains > 0).sum())} of "
        f"{how_many(len(gains), 'pair')}, by {digits(float(np.median(gains)), 2)} in the median "
        f"({least} to {most}); in {int((gains < -BREAKS).sum())} it is worse by more than {BREAKS}."
    )


def turned_round(row: Mapping) -> Mapping:
    """The verification read the other way: what `against` gains over `value`."""
    gains = [None if one is None else -one for one in row["payload"]["gains"]]
    return {
        **row, "value": row["against"], "against": row["value"], "effect": -row["effect"],
        "low": -row["high"], "high": -row["low"], "payload": {**row["payload"], "gains": gains},
    }  # fmt: skip


def outcome(row: Mapping) -> str:
    """The first of the plan's five sentences that holds."""
    low, high, plan = row["low"], row["high"], row["payload"]["plan"]
    if low > 0:
        return "confirmed" if row["verdict"] == "confirmed" else "smaller than claimed"
    if high < 0:
        return "refuted, it is worse"
    if low > -WORTH and high < WORTH:
        return "any of the two is as good"
    if high < plan["worth"]:
        return "refuted"
    gains = [one for one in row["payload"]["gains"] if one is not None]
    pairs = t_test_pairs(WORTH, float(np.std(gains, ddof=1)), (1 - plan["level"]) / 4)
    return f"out of reach: about {pairs} pairs would settle {WORTH}"


def curves_picture(studies: Sequence[Study]) -> str:
    figure, axes = plt.subplots(
        1, len(studies), figsize=(4 * len(studies), 3), squeeze=False, layout="constrained"
    )
    for one, study in zip(axes[0], studies, strict=True):
        effect = effect_of(study.explanation)
        values = np.array(effect.values, float)
        one.fill_between(values, effect.low, effect.high, color="#1f6f8b", alpha=0.2)
        one.plot(values, effect.mean, color="#1f6f8b")
        one.axvline(LESSON, color="#d1603d", linestyle=":")
        one.set(xscale="log", title=study.name, xlabel="decay factor", ylabel="accuracy")
        one.set_xticks(SHOWN, [format_value(value) for value in SHOWN])
        one.minorticks_off()
    return as_svg(figure)


def forest_picture(one) -> str:
    rows = [(part.study, part.low, part.best, part.high) for part in one.parts]
    rows += [
        ("all studies", one.low, one.value, one.high),
        ("a new study", one.new_low, None, one.new_high),
    ]
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(rows) + 1), layout="constrained")
    for place, (_, low, best, high) in enumerate(reversed(rows)):
        axes.plot([low, high], [place, place], color="#8a8f94" if best is None else "#1f6f8b")
        if best is not None:
            axes.plot([best], [place], "o", color="#1f6f8b")
    axes.axvline(LESSON, color="#d1603d", linestyle=":")
    axes.set(xscale="log", xlabel="best decay factor; dotted: the lesson's 2.6")
    axes.set_xticks(SHOWN, [format_value(value) for value in SHOWN])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    return as_svg(figure)


def as_svg(figure) -> str:
    """The picture as a text that is the same each time."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "evidence", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    return file.getvalue()
