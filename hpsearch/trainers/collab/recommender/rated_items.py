"""The few ratings that a new user brings in a file, as item numbers of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpsearch.core.console import Say
from hpsearch.core.words import how_many
from hpsearch.data.own.rating_files import read_answers
from hpsearch.errors import InputError
from hpsearch.trainers.collab.prepare import Values
from hpsearch.trainers.collab.recommender.recommend import Recommender
from hpsearch.trainers.collab.split_ratings import Rows

SHOWN = 5  # sentences about single rows; the rest is counted


def known_answers(recommender: Recommender, file: Path, say: Say) -> tuple[Rows, Values]:
    """(item numbers (n,), ratings (n,)) of the rows whose items the model knows; the last one where
    an item comes twice.

    `say` is told which rows were left out or guessed, and why. Raises InputError if the file cannot
    be read, or nothing is left.
    """
    saved = recommender.saved
    answers = read_answers(file, saved.columns[1], rated=not saved.implicit)
    found: dict[int, float] = {}
    told: list[str] = []
    repeated = 0
    for item, value in zip(answers.items, answers.values.tolist(), strict=True):
        try:
            one = recommender.finder.find(item, by_id=answers.by_id)
        except InputError as error:
            told.append(f"left out: {error}")
            continue
        repeated += one.number in found
        found[one.number] = value
        told += [one.note] if one.note else []
    for sentence in told[:SHOWN]:
        say(sentence)
    if len(told) > SHOWN:
        say(f"... and {how_many(len(told) - SHOWN, 'more row')} that were left out or guessed.")
    if answers.gaps:
        say(f"left out: {how_many(answers.gaps, 'row')} without an item or a rating.")
    if repeated:
        say(f"{how_many(repeated, 'rating')} gave way to a later one of the same item.")
    if not found:
        raise InputError(f"{file} rates no item that the model knows: see its titles and ids.")
    return np.array([*found], np.int64), np.array([*found.values()], np.float32)
