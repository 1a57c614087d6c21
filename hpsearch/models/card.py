"""The card of a model: what it is, how good it is, where it is wrong, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.analysis.report.markdown import as_table, escaped
from hpsearch.core.words import duration, format_value, how_many, number
from hpsearch.errors import InputError
from hpsearch.models.plan_file import PLAN_FILE
from hpsearch.trainers.shared.assessment import LEVEL

CARD_FILE = "model-card.md"
MOST_CLASSES = 12
"""Of more classes the confusion matrix is too wide to be read."""
MOST_COLUMNS = 30
MOST_TEXT = 500  # characters of a row's content


def read_card(folder: Path) -> str:
    """The card in a model's folder, as Markdown. Raises InputError if there is none."""
    try:
        return (folder / CARD_FILE).read_text("utf-8")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CARD_FILE} cannot be read: {error}.") from error
    if (folder / PLAN_FILE).is_file():
        raise InputError(
            f"The model in {folder} has no card, as it is unfinished or was trained before there "
            "were cards: train it once more into a new folder."
        )
    raise InputError(f"{folder} holds no model: give a folder that `hpsearch train` wrote.")


def render_card(content: Mapping[str, Any]) -> str:
    """The card as Markdown, of what `training.json` holds."""
    found = content["assessment"] or {}
    lines = [f"# {escaped(content['study'])}", "", escaped(_what(content)), ""]
    lines += ["## Metrics", "", *_metrics(content, found), ""]
    lines += ["## Data", "", *_data(content, found), ""]
    for title, part in (
        ("Classes", _classes(found)),
        ("Confusion matrix", _confusion(found)),
        ("Labels", _labels(found)),
        ("Columns", _columns(content, found)),
        ("Most wrong", _wrong(found)),
        ("Settings", _settings(content)),
        ("Environment", _environment(content)),
    ):
        if part:
            lines += [f"## {title}", "", *part, ""]
    lines += ["## Command", "", "```", content["command"], "```"]
    return "\n".join(lines) + "\n"


def _what(content: Mapping[str, Any]) -> str:
    of = f", trial {content['trial']}" if "trial" in content else ""
    took = duration(content["seconds"])
    return f"A model of the trainer {content['trainer']}{of}, trained in {took}."


def _metrics(content: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """A row for each metric; the intervals are those of the part that was assessed."""
    baseline = content["baseline"] or {"name": None, "metrics": {}}
    prefix = "test_" if found.get("part") == "test" else ""
    rows = []
    for name, value in content["metrics"].items():
        ends = found.get("intervals", {}).get(name.removeprefix(prefix))
        ends = ends if name.startswith(prefix) else None
        interval = f"{number(ends[0])} to {number(ends[1])}" if ends else ""
        beside = baseline["metrics"].get(name)
        rows.append((name, number(value), interval, "" if beside is None else number(beside)))
    header = ("metric", "value", f"{LEVEL:.0%} interval", "simple model")
    lines = as_table(header, rows)
    notes = ["The intervals are of drawing these rows, not of training anew (bootstrap)."]
    if baseline["name"]:
        notes.append(f"The simple model is {baseline['name']} on the same rows.")
    return [*lines, "", escaped(" ".join(notes))]


def _data(content: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    lines = [f"- {content['data']}", f"- {content['summary']}"]
    if counts := found.get("counts"):
        measured = how_many(counts[found["part"]], f"{found['part']} {found['unit']}"[:-1])
        lines.append(f"- measured on {measured}")
    lines.append(f"- fingerprint {content['fingerprint'][:16]}")
    return [escaped(line) for line in lines]


def _classes(found: Mapping[str, Any]) -> list[str]:
    """Precision, recall and F1 of each class."""
    confusion, classes = found.get("confusion"), found.get("classes")
    if not confusion or not classes:
        return []
    rows = []
    for i, name in enumerate(classes):
        hits, truly = confusion[i][i], sum(confusion[i])
        taken = sum(row[i] for row in confusion)
        shares = hits / taken if taken else 0.0, hits / truly if truly else 0.0
        f1 = 2 * hits / (taken + truly) if taken + truly else 0.0
        rows.append((name, *(f"{share:.3f}" for share in (*shares, f1)), f"{truly:,}"))
    return as_table(("class", "precision", "recall", "F1", "how many"), rows)


def _confusion(found: Mapping[str, Any]) -> list[str]:
    confusion, classes = found.get("confusion"), found.get("classes")
    if not confusion or not classes or len(classes) > MOST_CLASSES:
        return []
    rows = [(name, *(f"{n:,}" for n in row)) for name, row in zip(classes, confusion, strict=True)]
    header = ("true \\ predicted", *map(escaped, classes))
    return as_table(header, rows)


def _labels(found: Mapping[str, Any]) -> list[str]:
    """Precision, recall, F1 and average precision of each label."""
    rows = []
    for one in found.get("labels") or ():
        hits, given, truly = one["hits"], one["given"], one["truly"]
        f1 = 2 * hits / (given + truly) if given + truly else 0.0
        shares = hits / given if given else 0.0, hits / truly if truly else 0.0, f1
        ap = one["average_precision"]
        said = (*(f"{share:.3f}" for share in shares), "" if ap is None else f"{ap:.3f}")
        rows.append((one["name"], *said, f"{truly:,}"))
    if not rows:
        return []
    header = ("label", "precision", "recall", "F1", "average precision", "how many")
    threshold = f"{found['threshold']:.3f}"
    text = f"The model gives a text the labels whose probability is at least {threshold}."
    return [*as_table(header, rows), "", escaped(text)]


def _columns(content: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    importance: Sequence[tuple[str, float, float]] = found.get("importance") or ()
    rows = [(name, f"{mean:.4f}", f"{std:.4f}") for name, mean, std in importance[:MOST_COLUMNS]]
    if not rows:
        return []
    lines = as_table(("column", "importance", "deviation"), rows)
    more = len(importance) - len(rows)
    left_out = f" {more} more columns have less." if more else ""
    return [
        *lines,
        "",
        escaped(
            f"How much worse {content['metric']} gets if the column's cells change places among "
            f"the rows.{left_out}"
        ),
    ]


def _wrong(found: Mapping[str, Any]) -> list[str]:
    rows = [
        (one["place"], one["truth"], one["predicted"], _cut(one["content"]))
        for one in found.get("wrong", ())
    ]
    header = ("where", "true", "predicted", "what it is")
    return as_table(header, rows, left=len(header)) if rows else []


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _settings(content: Mapping[str, Any]) -> list[str]:
    settings = {**content["settings"], **content.get("set", {})}
    rows = [(name, format_value(value)) for name, value in _flat(settings, "")]
    if "seed" in content:
        rows.append(("seed", str(content["seed"])))
    return as_table(("setting", "value"), rows)


def _flat(settings: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", value


def _environment(content: Mapping[str, Any]) -> list[str]:
    rows = [(name, str(version)) for name, version in content["versions"].items()]
    rows += [("device", content["device"]), ("threads", str(content["threads"]))]
    return as_table(("what", "version"), rows, left=2)
