"""What the parts share: figures that are printed and kept at once, clocks, made-up texts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TINY = bool(os.environ.get("GPU_TINY"))
"""On the processor, with sizes that take seconds."""
DEVICE = "cpu" if TINY else "cuda"
BEGAN = time.monotonic()
SIZES = (16, 24, 3) if TINY else (400, 1152, 3)
VOCABULARY = 200 if TINY else 60_000
QUANTILES = (
    18, 68, 86, 103, 121, 133, 142, 148, 154, 158, 163, 168, 172, 177, 182, 189, 195, 201, 209, 216,
    223, 231, 241, 252, 264, 276, 289, 303, 321, 341, 360, 386, 411, 443, 485, 532, 588, 672, 766,
    956, 1870,
)  # fmt: skip
"""Lengths in tokens of IMDb's training reviews, every fortieth of them; their mean is 300."""


def keep(
    what: str,
    value: float | None = None,
    unit: str = "",
    *,
    peer: float | None = None,
    held: bool | None = None,
    note: str = "",
) -> None:
    """Print a figure, or whether something holds, and keep it, whatever happens after."""
    row = {"what": what, "value": value, "unit": unit, "peer": peer, "held": held, "note": note}
    words = [] if value is None else [f"{value:,.4g} {unit}".strip()]
    if value is not None and peer:
        words.append(f"beside {peer:,.4g}: {value / peer:.2f} times")
    if held is not None:
        words.append("holds" if held else "DOES NOT HOLD")
    print(f"{what}: {', '.join(words)}{f' ({note})' if note else ''}", flush=True)
    if path := os.environ.get("GPU_ROWS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def limited(
    command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None, *, show: str = "."
) -> tuple[int | None, str]:
    """(exit status, what it printed) of a command; None for one that was ended after so many
    seconds. Lines in which the expression `show` is found are printed as they come."""
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    seconds = min(3600, max(1, seconds))
    # A run that is asked to end ends its workers too; one that does not is killed.
    timers = [
        threading.Timer(seconds, process.terminate),
        threading.Timer(seconds + 15, process.kill),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    printed = []
    with process.stdout:
        for line in process.stdout:
            printed.append(line)
            if re.search(show, line):
                print(f"  {line.rstrip()}", flush=True)
    process.wait()
    late = not timers[0].is_alive()
    for timer in timers:
        timer.cancel()
    return None if late and process.returncode else process.returncode, "".join(printed)


def seconds_left() -> float:
    """Until the part is cut off."""
    return float(os.environ.get("GPU_SECONDS", "inf")) - (time.monotonic() - BEGAN)


def each(*pieces: Callable[[], None]) -> None:
    """Do all the pieces of a part: one that fails is told, the others go on. Exits with 1 then."""
    wrong = 0
    for piece in pieces:
        try:
            piece()
        except Exception:
            wrong += 1
            traceback.print_exc()
            sys.stderr.flush()
    sys.exit(1 if wrong else 0)


def has_fastai() -> bool:
    """Whether there is a peer to measure. Only in tiny form may it lack."""
    import importlib.util

    return not TINY or importlib.util.find_spec("fastai") is not None


def synchronise() -> None:
    """Wait until the GPU has done what it was given."""
    import torch

    if DEVICE == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the work, the GPU's part included."""
    synchronise()
    began = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - began


def documents(n_tokens: int = 0, n_documents: int = 0, seed: int = 0) -> Any:
    """Made-up reviews with IMDb's lengths and words as common as in a language (Zipf's law): so
    many, or so many as have `n_tokens` tokens together."""
    from hpsearch.trainers.text.batches import Documents

    rng = np.random.default_rng(seed)
    n = n_documents or n_tokens // 200 + 10
    grid = np.linspace(0, 1, len(QUANTILES))
    lengths = np.interp(rng.random(n), grid, QUANTILES).astype(np.int64)
    if TINY:
        lengths = lengths // 12 + 2
    if n_tokens:
        lengths = lengths[: np.searchsorted(np.cumsum(lengths), n_tokens) + 1]
    ids = 9 + rng.zipf(1.2, int(lengths.sum())) % (VOCABULARY - 9)
    return Documents(ids.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


def vocabulary() -> Any:
    """As many tokens, made up."""
    from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
    from hpsearch.trainers.text.tokens.vocab import Vocab

    return Vocab((*SPECIALS, *(f"w{i}" for i in range(VOCABULARY - len(SPECIALS)))))


def texts(n: int, n_valid: int = 2) -> Any:
    """n labelled reviews to train on, and some held out."""
    from hpsearch.trainers.text.numbered_texts import Texts

    docs = documents(n_documents=n + n_valid)
    parts = {"train": np.arange(n), "valid": np.arange(n, n + n_valid)}
    return Texts(
        source="made up", note=None, tokenizer="en", columns=("text",), vocab=vocabulary(),
        classes=("neg", "pos"), fingerprint="made up", total=len(docs),
        parts={name: docs.take(rows) for name, rows in parts.items()},
        labels={name: (rows % 2).astype(np.int64) for name, rows in parts.items()},
    )  # fmt: skip


def new_model_folder(folder: Path, config: Any) -> Path:
    """An untrained language model of the published sizes, as classifiers start from one."""
    from hpsearch.trainers.text.language_model.files import (
        SavedLanguageModel,
        new_language_model,
        save_language_model,
    )

    folder.mkdir(parents=True, exist_ok=True)
    model = new_language_model(config, VOCABULARY)
    save_language_model(folder, SavedLanguageModel(model, vocabulary(), config, "en"))
    return folder
