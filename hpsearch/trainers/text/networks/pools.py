"""What a classifier makes of an encoder's outputs: pools for its head, a penalty for its loss.

Shapes: T steps, B documents, E width of the outputs. Both take the outputs chunk by chunk, or all
at once, and a mask of the outputs that count: those of padding do not, nor do those of tokens that
lie before the last ones of a document.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Pools:
    """Running last, max and mean over the outputs of documents that end one after another."""

    def __init__(self) -> None:
        self._last: list[Tensor] = []
        self._top: Tensor | None = None
        self._total: Tensor | None = None

    def add(self, out: Tensor, inside: Tensor | None, last: Tensor) -> None:
        """Take the next outputs of the documents that have not ended yet, longest first.

        Args:
            out: The outputs (T, B, E).
            inside: Which of them count (T, B, 1); None if all do.
            last: The last steps of the documents that end here, which are the shortest ones.
        """
        n = out.shape[1]
        if len(last):
            rows = torch.arange(n - len(last), n, device=out.device)
            self._last.insert(0, out[last, rows])
        total = _masked(out, inside).sum(0, dtype=_at_least_float32(out))
        top = out if inside is None else out.masked_fill(~inside, -torch.inf)
        top = top.amax(0)
        if self._top is not None and self._total is not None:
            top = torch.cat([torch.maximum(self._top[:n], top), self._top[n:]])
            total = torch.cat([self._total[:n] + total, self._total[n:]])
        self._top, self._total = top, total

    def concat(self, counts: Tensor) -> Tensor:
        """[last, max, mean] (B, 3 * E), at least in float32, for documents with `counts` (B,)
        outputs: a mean over many tokens differs between documents in digits that bfloat16 does not
        have."""
        assert self._top is not None
        assert self._total is not None
        pools = (torch.cat(self._last), self._top, self._total / counts[:, None])
        return torch.cat([pool.to(_at_least_float32(pool)) for pool in pools], dim=1)


class Penalty:
    """Activation regularisation (Merity et al. 2017, section 4.6): AR on the outputs' size, TAR on
    their change from step to step."""

    def __init__(self) -> None:
        self._squares: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._before: tuple[Tensor, Tensor | None] | None = None
        self._width = 0

    def add(self, out: Tensor, inside: Tensor | None) -> None:
        """The next outputs (T, B, E) of documents still read, and where (T, B, 1) they count
        (None: everywhere)."""
        x = _masked(out.to(_at_least_float32(out)), inside)
        self._squares.append(x.square().sum())
        change = _masked(x[1:] - x[:-1], inside[1:] & inside[:-1] if inside is not None else None)
        self._changes.append(change.square().sum())
        if self._before is not None:
            last, was_inside = self._before
            change = x[0] - last[: out.shape[1]]
            change = _masked(change, inside[0] if inside is not None else None)
            change = _masked(change, was_inside[: len(change)] if was_inside is not None else None)
            self._changes.append(change.square().sum())
        self._before = (x[-1], inside[-1] if inside is not None else None)
        self._width = out.shape[2]

    def value(self, alpha: float, beta: float, counts: Tensor) -> Tensor:
        """alpha * AR + beta * TAR for documents with `counts` (B,) outputs; zero if none was
        added."""
        if not self._squares:
            return torch.zeros((), device=counts.device)
        n = counts.sum()
        n_changes = (n - len(counts)).clamp(min=1)
        ar = torch.stack(self._squares).sum() / (n * self._width)
        tar = torch.stack(self._changes).sum() / (n_changes * self._width)
        return alpha * ar + beta * tar


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _at_least_float32(x: Tensor) -> torch.dtype:
    """float32, or what is wider."""
    return torch.promote_types(x.dtype, torch.float32)
