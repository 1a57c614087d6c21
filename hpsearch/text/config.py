"""Settings of the text trainers, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def parse_moms(text: str) -> tuple[float, float]:
    """'0.8/0.7' -> (0.8, 0.7): the momentum at the ends of the cycle and at its middle."""
    high, low = (float(part) for part in text.split("/"))
    if not 0 <= low <= high < 1:
        raise ValueError(f"moms must be high/low with 0 <= low <= high < 1, not {text}")
    return high, low


@dataclass(frozen=True, config=_STRICT)
class LanguageModelConfig:
    """Everything that determines the language-model stage: its hash names the cached result.

    `n_reviews` is how many texts it reads (0: all that are not held out). Dropouts are those of
    the AWD-LSTM paper (Merity et al. 2017) as fastai ships them, each times `drop_mult`.
    """

    emb: Count = 400
    hidden: Count = 1152
    layers: Annotated[int, Field(ge=1, le=8)] = 3
    max_vocab: Annotated[int, Field(ge=10)] = 60_000
    min_freq: Count = 3
    n_reviews: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 10
    lr: Positive = 1e-3
    wd: Annotated[float, Field(ge=0)] = 0.01
    drop_mult: Annotated[float, Field(ge=0)] = 0.3
    moms: str = "0.8/0.7"
    pct_start: Share = 0.25
    bs: Count = 48
    seq_len: Annotated[int, Field(ge=2)] = 72
    alpha: Annotated[float, Field(ge=0)] = 2.0
    beta: Annotated[float, Field(ge=0)] = 1.0
    clip: Annotated[float, Field(ge=0)] = 0.0
    seed: int = 0


@dataclass(frozen=True, config=_STRICT)
class ClassifierConfig:
    """One trial of the ULMFiT classifier (Howard and Ruder 2018).

    `lr` is the head's highest rate; layer group k below it gets `lr / lr_decay**k`. With
    `unfreeze` the groups are thawed one by one from the head down (stages -1, -2, -3, all) at
    lr, lr/2, lr/4, lr/20 as in the 2018 lesson, `epochs` epochs each; without it all groups train
    for as many epochs in one cycle. `train_reviews` 0 means all.
    """

    language_model: LanguageModelConfig = Field(default_factory=LanguageModelConfig)
    train_reviews: Annotated[int, Field(ge=0)] = 0
    valid_reviews: Annotated[int, Field(ge=1)] = 5000
    seq_len: Annotated[int, Field(ge=2)] = 72
    max_len: Annotated[int, Field(ge=1)] = 1440
    lin_ftrs: Count = 50
    alpha: Annotated[float, Field(ge=0)] = 2.0
    beta: Annotated[float, Field(ge=0)] = 1.0
    precision: Annotated[str, Field(pattern="^(auto|bfloat16|float32)$")] = "auto"
    lr: Positive = 0.02
    lr_decay: Positive = 2.6
    drop_mult: Annotated[float, Field(ge=0)] = 0.5
    moms: str = "0.8/0.7"
    wd: Annotated[float, Field(ge=0)] = 0.01
    bs: Annotated[int, Field(ge=2)] = 48
    pct_start: Share = 0.25
    unfreeze: bool = True
    epochs: Count = 1
