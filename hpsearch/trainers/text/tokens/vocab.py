"""The vocabulary: which tokens a model knows, and their ids."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpsearch.core.files import write_atomically
from hpsearch.errors import InputError
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, TokenisedTexts

UNK_ID, PAD_ID, BOS_ID = 0, 1, 2
_AT_ONCE = 1 << 20
"""Ids that are counted together: numpy makes an int64 copy of them."""


@dataclass(frozen=True)
class Vocab:
    """Tokens in the order of their ids, the nine special tokens first."""

    tokens: tuple[str, ...]

    @classmethod
    def build(
        cls, ids: npt.NDArray[np.int32], strings: list[str], *, max_vocab: int, min_freq: int
    ) -> Vocab:
        """The `max_vocab` most common tokens that occur at least `min_freq` times.

        `ids` (tokens,) index into `strings`, as `Tokenizer.encode` returns them. Ties go to the
        token that sorts first, so that the order of the texts does not matter.
        Raises InputError when no token is common enough.
        """
        counts = np.zeros(len(strings), dtype=np.int64)
        for start in range(0, len(ids), _AT_ONCE):
            counts += np.bincount(ids[start : start + _AT_ONCE], minlength=len(strings))
        enough = np.flatnonzero(counts >= min_freq)
        ranked = sorted((-int(counts[i]), strings[i]) for i in enough)
        common = [string for _, string in ranked if string not in SPECIALS]
        if not common:
            raise InputError(
                f"No token occurs {min_freq} times in texts of {len(ids):,} tokens; "
                "give more text or lower min_freq."
            )
        return cls((*SPECIALS, *common)[: max(max_vocab, len(SPECIALS) + 1)])

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest: two models may share an encoder only if theirs are equal."""
        return hashlib.sha256("\0".join(self.tokens).encode("utf-8", "surrogatepass")).hexdigest()

    def numericalise(self, texts: TokenisedTexts) -> npt.NDArray[np.int32]:
        """The ids (tokens,) of this vocabulary for provisional ids; unknown tokens become 0."""
        table = np.array([self.ids.get(s, UNK_ID) for s in texts.strings], dtype=np.int32)
        return table[texts.ids] if len(table) else np.zeros(0, dtype=np.int32)

    def save(self, path: Path) -> None:
        write_atomically(path, json.dumps(self.tokens, ensure_ascii=True))

    @classmethod
    def load(cls, path: Path) -> Vocab:
        return cls(tuple(json.loads(path.read_text(encoding="utf-8"))))
