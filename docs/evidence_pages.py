"""Pages of the evidence that hold words and tables: of each study, of all, and the README's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hpsearch
from hpsearch.analysis.report.markdown import as_table, escaped
from hpsearch.core.words import digits, duration, format_value, how_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evidence import Study

MADE = "<!-- Made by make evidence from the recorded trials: do not edit. -->"
TRAINERS = {
    "text-classifier": "ULMFiT text classifier",
    "language-model": "AWD-LSTM language model",
    "ulmfit": "ULMFiT, both stages",
    "tabular": "Tabular network",
    "collab": "Collaborative filtering",
}
TINY = 1e-9
SD = "SD"


def study_page(study: Study) -> str:
    e, recording = study.explanation, study.recording
    lines = [
        MADE,
        f"# {study.name}",
        "",
        f"{study.title}, preset `{recording.attrs['hps_preset']}`.",
    ]
    lines += ["", *trials_words(study), "", "## Learned", ""]
    lines += [
        f"- **{escaped(r.advice)}** {escaped(' '.join(filter(None, (r.detail, r.evidence))))}"
        for r in e.rules
    ]
    if not e.rules:
        lines.append(f"No rule. {escaped(e.reason or 'The trials support none.')}")
    if e.trusted:
        first = e.importances[0]
        names = " with ".join(f"`{name}`" for name in first.params)
        lines += ["", f"Most of what varies goes with {names}: {share(first)} of the variance."]
    lines += ["", "## Not learned", "", *not_learned(study), "", "## What it would take", ""]
    lines += [*would_take(study), "", "## The figures", ""]
    body = e.to_markdown().split("\n", 2)[2]
    lines += [body.replace("\n## ", "\n### ").rstrip()]
    return "\n".join(lines) + "\n"


def trials_words(study: Study) -> list[str]:
    """How many trials there are, and where they come from."""
    recording, about = study.recording, study.recording.about
    attrs = recording.attrs
    counts = ", ".join(f"{count} {state}" for state, count in about["counts"].items())
    wanted = load_trials(study)
    short = f" of {wanted} that the preset plans" if recording.count < wanted else ""
    commands = dict.fromkeys(run["command"] for run in about["runs"])
    states = f"{how_many(recording.count, 'trial')}{short} ({counts})"
    long = f"{how_many(about['epochs'], 'epoch')}, {duration(about['seconds'])} of training"
    data = attrs["hps_data"]
    place = f"studies/{recording.declared}/results/{recording.folder.name}/README.md"
    return [
        f"{states}, {long}; data: {escaped(data['source'])} (fingerprint "
        f"`{data['fingerprint'][:12]}`). Where they come from stands in `{place}`. Run by",
        "",
        "```text",
        *commands,
        "```",
        "",
        "Explain them, with trials of your own if you have some:",
        "",
        "```text",
        f"hpsearch explain {recording.study} --recorded --output report.html",
        "```",
        "",
        f'The site that `make docs` builds has <a href="{report_name(study)}">this report</a>.',
    ]


def report_name(study: Study) -> str:
    return f"{study.name}-report.html"


def load_trials(study: Study) -> int:
    """How many trials the preset plans."""
    spec = hpsearch.load_spec(study.recording.declared)
    return spec.presets[study.recording.attrs["hps_preset"]].trials


def not_learned(study: Study) -> list[str]:
    """A line for each parameter without a rule."""
    e = study.explanation
    ruled = {rule.param for rule in e.rules}
    own = {one.params[0]: one for one in e.importances if len(one.params) == 1}
    effects = {one.param: one for one in e.effects}
    lines = []
    for param in e.frame.drawn:
        if param in ruled:
            continue
        said = f"share {share(own[param])}" if param in own else "no share was found"
        effect = effects.get(param)
        if e.trusted and effect is not None and not effect.categorical:
            low, high = (format_value(v) for v in (effect.best_low, effect.best_high))
            said += f"; its best value may be anywhere from {low} to {high}"
        lines.append(f"- `{param}`: {said}.")
    return lines or ["Each parameter has a rule."]


def would_take(study: Study) -> list[str]:
    e = study.explanation
    if e.more_trials is not None:
        return [f"About {how_many(e.more_trials, 'trial')} more would probably tell the next rule."]
    if all(param in {rule.param for rule in e.rules} for param in e.frame.drawn):
        return ["Nothing is open that more trials of this kind could tell."]
    return [
        "From these trials no number can be told: what is open varies too little beside the noise "
        "of one training, or the trials show too little of it."
    ]


def share(one) -> str:
    return f"{one.share:.0%} ({one.low:.0%} to {one.high:.0%})"


def index_page(studies: Sequence[Study], *, searched: bool) -> str:
    lines = [
        MADE,
        "# Evidence",
        "",
        "Trials that were run for this project and recorded whole: real trainings on real data, "
        "none simulated, none left out. Every figure is computed from them by `make evidence`, "
        "which fails where a page says something else. [What was decided before "
        "looking](plan.md); [the decay factor](decay.md)"
        f"{'; [the search beside its peers](search.md)' if searched else ''}.",
        "",
    ]
    rows = [
        (
            f"[{one.name}]({one.name}.md)", TRAINERS[one.trainer],
            f"{one.recording.count}", f"{one.recording.about['epochs']}",
            duration(one.recording.about["seconds"]),
            f"{len(one.explanation.rules)}" if one.explanation.trusted else "none yet",
        )
        for one in studies
    ]  # fmt: skip
    header = ("study", "trainer", "trials", "epochs", "training", "rules")
    lines += table(header, rows, left=2) if rows else ["Nothing is recorded yet."]
    lines += ["", "## Rules of thumb", "", rules_of_thumb(studies)]
    lines += ["", "## What new runs in pairs say", "", *verified(studies)]
    return "\n".join(lines).rstrip() + "\n"


def largest(studies: Sequence[Study]) -> list[Study]:
    """Of each study the recording with the most trials: the same study on a part of its data is no
    second one."""
    found: dict[str, Study] = {}
    for one in sorted(studies, key=lambda one: -one.recording.count):
        found.setdefault(one.recording.study, one)
    return [one for one in studies if one in found.values()]


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, left: int = 1) -> list[str]:
    """A table whose cells are Markdown already."""
    lines = as_table(header, [], left=left)
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def rules_of_thumb(studies: Sequence[Study]) -> str:
    """The table of the README: a row for each parameter with a rule, or pooled over studies."""
    blocks = []
    for trainer, title in TRAINERS.items():
        same = [one for one in studies if one.trainer == trainer]
        rows = thumb_rows(same)
        if rows:
            header = (
                title, "use", "may be as good (90%)", "best in a new study (90%)", "studies",
                "trials", "gain over the default", "verified",
            )  # fmt: skip
            blocks.append("\n".join(table(header, rows)))
        elif same:
            names = ", ".join(one.name for one in same)
            blocks.append(f"{title}: no rule yet, from {names}.")
    if any(f" {SD} |" in one for one in blocks):
        blocks.append(
            f"{SD}: standard deviations of a study's trials. The gain of a rule that several "
            "studies share is what the rule of the others gains in one that is left out."
        )
    return "\n\n".join(blocks) if blocks else "No trials are recorded yet."


def thumb_rows(studies: Sequence[Study]) -> list[tuple[str, ...]]:
    trusted = [one for one in largest(studies) if one.explanation.trusted]
    pooled = {}
    if len(trusted) > 1:
        pooling = hpsearch.pool([one.explanation for one in trusted])
        pooled = {one.param: one for one in pooling.optima}
    rows = [pooled_row(one, trusted) for one in pooled.values()]
    for study in trusted:
        for rule in study.explanation.rules:
            if rule.param not in pooled:
                rows.append(single_row(rule, study))
    return rows


def pooled_row(one, studies: Sequence[Study]) -> tuple[str, ...]:
    having = [study for study in studies if study.explanation.study in one.studies]
    span = new = ""
    if one.categorical:
        span = ", ".join(map(format_value, one.may_be_best))
    else:
        span = f"{format_value(one.low)} to {format_value(one.high)}"
        new = f"{format_value(one.new_low)} to {format_value(one.new_high)}"
    gain = ""
    if one.gain is not None:
        unit = SD if one.unit.startswith("standard deviations") else one.unit
        gain = f"{within(one.gain.mean, one.gain.low, one.gain.high)} {unit}"
    use = "open: any may be as good" if all(one.inside) else format_value(one.value)
    return (
        f"`{one.param}`", use, span, new, str(len(having)),
        str(sum(study.recording.count for study in having)), gain,
        verdicts(one.param, having),
    )  # fmt: skip


def single_row(rule, study: Study) -> tuple[str, ...]:
    if rule.kind == "no-effect":
        use, span = "any", "it makes no difference that is worth having"
    elif rule.low is None:
        use = format_value(rule.value)
        span = ", ".join(map(format_value, (rule.value, *rule.alternatives)))
    else:
        use, span = (
            format_value(rule.value), f"{format_value(rule.low)} to {format_value(rule.high)}"
        )  # fmt: skip
    gain = ""
    if rule.gain is not None:
        gain = f"{within(rule.gain.value, rule.gain.low, rule.gain.high)} {rule.metric}"
    return (
        f"`{rule.param}`", f"not {use}" if rule.kind == "avoid" else use, span,
        "one study cannot tell", f"1 ({study.name})", str(study.recording.count), gain,
        verdicts(rule.param, [study]),
    )  # fmt: skip


def within(value: float, low: float, high: float) -> str:
    """Three numbers, of which those that are nothing but rounding are 0."""
    value, low, high = (0.0 if abs(one) < TINY else one for one in (value, low, high))
    return f"{digits(value, 2)} ({digits(low, 2)} to {digits(high, 2)})"


def verdicts(param: str, studies: Sequence[Study]) -> str:
    """What new runs in pairs said about values of the parameter."""
    found = [
        f"{contrast(looks[-1])} in {study.name}: {looks[-1]['verdict']}"
        for study, looks in contrasts(studies)
        if looks[-1]["param"] == param
    ]
    return "; ".join(found) or "not verified"


def verified(studies: Sequence[Study]) -> list[str]:
    """A row for each contrast that was verified."""
    rows = []
    for study, looks in contrasts(studies):
        last = looks[-1]
        gain = within(last["effect"], last["low"], last["high"])
        pairs = sum(len(look["payload"]["gains"]) for look in looks)
        claimed = last["payload"]["plan"]["claimed"]
        metric = study.explanation.metric
        rows.append(
            (
                study.name, f"`{last['param']}` {contrast(last)}", str(len(looks)),
                str(pairs), digits(claimed, 2),
                f"{gain} {metric}", last["verdict"],
            )
        )  # fmt: skip
    header = ("study", "contrast", "looks", "pairs", "claimed gain", "gain (90%)", "verdict")
    return table(header, rows, left=2) if rows else ["None was run yet."]


def contrasts(studies: Sequence[Study]) -> list[tuple[Study, list[dict]]]:
    """Each contrast that was verified with its looks, for the last of which all pairs decide."""
    found: dict[tuple, tuple[Study, list[dict]]] = {}
    for study in studies:
        for row in study.recording.about["verifications"]:
            key = (study.name, row["param"], row["value"], row["against"])
            found.setdefault(key, (study, []))[1].append(row)
    return list(found.values())


def contrast(row: dict) -> str:
    return f"{format_value(row['value'])} against {format_value(row['against'])}"
