"""Settings of the text trainers, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Count = Annotated[Whole, Field(ge=1)]


def parse_moms(text: str) -> tuple[float, float]:
    """'0.8/0.7' -> (0.8, 0.7): the momentum at the ends of the cycle and at its middle."""
    parts = text.split("/")
    try:
        high, low = map(float, parts)
    except ValueError:
        raise ValueError(f"momenta are written high/low, such as 0.8/0.7, not {text!r}") from None
    if not 0 <= low <= high < 1:
        raise ValueError(f"momenta are high/low with 0 <= low <= high < 1, not {text!r}")
    return high, low


def _check_moms(text: str) -> str:
    parse_moms(text)
    return text


Moms = Annotated[str, AfterValidator(_check_moms)]


@dataclass(frozen=True, config=_STRICT)
class TextData:
    """The [data] of a study: a data set known by name, or one's own file with its columns.

    `tokenizer` splits texts into words: a spaCy language ("en", "de"), "whitespace", or your own
    function as "package.module:function" (str -> list of str).
    """

    source: str | None = None
    path: str | None = None
    text: str | Annotated[list[str], Field(min_length=1)] = "text"
    label: str = "label"
    split: str | None = None
    tokenizer: Annotated[str, Field(min_length=1)] = "en"

    @model_validator(mode="after")
    def _check(self) -> TextData:
        if self.source is not None and self.path is not None:
            raise ValueError("source and path are both given; drop one")
        return self


@dataclass(frozen=True, config=_STRICT)
class LanguageModelConfig:
    """Everything that determines the language-model stage: its hash names the cached result.

    `n_reviews` is how many texts it reads (0: all that are not held out). Dropouts are those of
    the AWD-LSTM paper (Merity et al. 2017) as fastai ships them, each times `drop_mult`.
    """

    emb: Count = 400
    hidden: Count = 1152
    layers: Annotated[Count, Field(le=8)] = 3
    max_vocab: Annotated[Whole, Field(ge=10)] = 60_000
    min_freq: Count = 3
    n_reviews: Whole = 0
    epochs: Count = 10
    lr: Positive = 1e-3
    wd: NotNegative = 0.01
    drop_mult: NotNegative = 0.3
    moms: Moms = "0.8/0.7"
    pct_start: Share = 0.25
    bs: Count = 48
    seq_len: Annotated[Whole, Field(ge=2)] = 72
    alpha: NotNegative = 2.0
    beta: NotNegative = 1.0
    clip: NotNegative = 0.0
    seed: Whole = 0


@dataclass(frozen=True, config=_STRICT)
class ClassifierConfig:
    """One trial of the ULMFiT classifier (Howard and Ruder 2018).

    `lr` is the head's highest rate; layer group k below it gets `lr / lr_decay**k`. With
    `unfreeze` the groups are thawed one by one from the head down (stages -1, -2, -3, all) at
    lr, lr/2, lr/4, lr/20 as in the 2018 lesson, `epochs` epochs each; without it all groups train
    for as many epochs in one cycle. `train_reviews` 0 means all.
    """

    SHARED: ClassVar = ("language_model", "train_reviews", "valid_reviews")
    """What `prepare` makes once for all trials: settings, never parameters of a space."""

    language_model: LanguageModelConfig = Field(default_factory=LanguageModelConfig)
    train_reviews: Whole = 0
    valid_reviews: Count = 5000
    seq_len: Annotated[Whole, Field(ge=2)] = 72
    max_len: Count = 1440
    lin_ftrs: Count = 50
    alpha: NotNegative = 2.0
    beta: NotNegative = 1.0
    precision: Annotated[str, Field(pattern="^(auto|bfloat16|float32)$")] = "auto"
    lr: Positive = 0.02
    lr_decay: Positive = 2.6
    drop_mult: NotNegative = 0.5
    moms: Moms = "0.8/0.7"
    wd: NotNegative = 0.01
    bs: Annotated[Whole, Field(ge=2)] = 48
    pct_start: Share = 0.25
    unfreeze: Annotated[bool, Field(strict=True)] = True
    epochs: Count = 1
