"""Settings of the text trainers, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import (
    STRICT,
    ClassWeights,
    Count,
    Moms,
    NotNegative,
    OnError,
    Positive,
    Precision,
    Share,
    Whole,
    check_one_place,
)


@dataclass(frozen=True, config=STRICT)
class TextData:
    """The [data] of a study: a data set known by name, one's own file with its columns, or a query.

    `label` is the column of the label that each text has. Where a text may have several, `labels`
    is their column in its place, with `label_separator` between two of them or as lists; or a list
    of columns that say 0 or 1. An empty cell there means that nobody has labelled the text, or, as
    `empty_labels` says, that it has none of the labels.
    `tokenizer` splits texts into words: a spaCy language ("en", "de"), "whitespace", or your own
    function as "package.module:function" (str -> list of str) of a file in the folder of the
    study.toml (hpsearch.core.own_code). `on_error` "skip" leaves out rows that cannot be used, such
    as those with a label and no text, and says which.
    """

    source: str | None = None
    path: str | None = None
    database: str | None = None
    query: str | None = None
    text: str | Annotated[list[str], Field(min_length=1)] = "text"
    label: str = "label"
    labels: str | Annotated[list[str], Field(min_length=1)] | None = None
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    empty_labels: Literal["unlabelled", "none"] = "unlabelled"
    split: str | None = None
    tokenizer: Annotated[str, Field(min_length=1)] = "en"
    on_error: OnError = "stop"

    @model_validator(mode="after")
    def _check(self) -> TextData:
        check_one_place(self)
        if self.labels is not None and self.label != "label":
            raise ValueError(
                "label and labels: give label where each text has one, labels where it may have "
                "several"
            )
        if self.label_separator is not None and not isinstance(self.labels, str):
            raise ValueError(
                "label_separator: name the column that it stands in as labels, such as "
                f'labels = "{self.label}"'
            )
        return self


PUBLISHED_SIZES = (400, 1152, 3)
"""Embedding width, hidden width and layers of the AWD-LSTM that fast.ai published."""


@dataclass(frozen=True, config=STRICT)
class LanguageModelConfig:
    """Everything that determines the language-model stage: its hash names the cached result.

    `pretrained` is the model to start from: a name (`hpsearch pretrain` gives one) or a folder;
    without it the weights are drawn from `seed`. Sizes that are not given are the pretrained
    model's, else the published ones. `n_reviews` is how many texts it reads (0: all that are not
    held out). First only embedding and decoder are thawed, for `frozen_epochs` at ten times `lr`;
    then everything is, for `epochs`, where layer group k from the top gets `lr / lr_decay**k` (the
    2018 lesson: 1 epoch at 1e-2, then 10 at 1e-3). With no epochs at all the pretrained model is
    taken as it is, with its vocabulary. `backward` reads the texts from their end. Dropouts are
    those of the AWD-LSTM paper (Merity et al. 2017) as fastai ships them, each times `drop_mult`.
    """

    pretrained: Annotated[str, Field(min_length=1)] | None = None
    emb: Count | None = None
    hidden: Count | None = None
    layers: Annotated[Count, Field(le=8)] | None = None
    max_vocab: Annotated[Whole, Field(ge=10)] = 60_000
    min_freq: Count = 3
    n_reviews: Whole = 0
    frozen_epochs: Whole = 0
    epochs: Whole = 10
    lr: Positive = 1e-3
    lr_decay: Positive = 1.0
    wd: NotNegative = 0.01
    drop_mult: NotNegative = 0.3
    moms: Moms = "0.8/0.7"
    pct_start: Share = 0.25
    bs: Count = 48
    seq_len: Annotated[Whole, Field(ge=2)] = 72
    alpha: NotNegative = 2.0
    beta: NotNegative = 1.0
    clip: NotNegative = 0.0
    backward: Annotated[bool, Field(strict=True)] = False
    seed: Whole = 0

    @model_validator(mode="after")
    def _check(self) -> LanguageModelConfig:
        if self.pretrained is None and self.epochs == 0:
            raise ValueError("epochs is 0 and pretrained is not given: there would be no model")
        return self

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Embedding width, hidden width and number of layers, where nothing pretrained says."""
        emb, hidden, layers = PUBLISHED_SIZES
        return self.emb or emb, self.hidden or hidden, self.layers or layers


@dataclass(frozen=True, config=STRICT)
class LanguageModelTrialConfig(LanguageModelConfig):
    """One trial of a language-model study: the model's own config, and what trials share.

    At most a tenth of the texts, and no more than `valid_reviews`, are held out.
    """

    SHARED: ClassVar = ("n_reviews", "max_vocab", "min_freq", "valid_reviews", "precision")
    """What `prepare` makes once for all trials: settings, never parameters of a space."""
    WHOLE: ClassVar = {"n_reviews": 0}
    """What a final model has otherwise than a trial: all texts."""

    valid_reviews: Count = 1000
    precision: Precision = "auto"

    def language_model(self, seed: int) -> LanguageModelConfig:
        """The config of this trial's model."""
        own = {field.name: getattr(self, field.name) for field in fields(LanguageModelConfig)}
        return LanguageModelConfig(**{**own, "seed": seed})


@dataclass(frozen=True, config=STRICT)
class ClassifierConfig:
    """One trial of the ULMFiT classifier (Howard and Ruder 2018).

    `lr` is the head's highest rate; layer group k below it gets `lr / lr_decay**k`. With
    `unfreeze` the groups are thawed one by one from the head down (stages -1, -2, -3, all) at
    lr, lr/2, lr/4, lr/20 as in the 2018 lesson, `epochs` epochs each; without it all groups train
    for as many epochs in one cycle. `bidirectional` trains a second classifier on a backward
    language model and averages the two classifiers' probabilities. `train_reviews` 0 means all.
    The classifier reads the last `max_tokens` tokens of each text; 0 means all here, too.
    `hold_out` says where held-out texts come from: a part of the training texts, or (for a final
    model) the test texts, all training texts being trained on. With `class_weights` "balanced"
    texts of rare classes count more in training; what is measured does not change. Where a text
    may have several labels, it is given those whose probability is at least `threshold`; "auto" is
    the threshold of the highest f1_micro on the held-out texts.
    """

    SHARED: ClassVar = (
        "language_model",
        "train_reviews",
        "valid_reviews",
        "max_tokens",
        "hold_out",
        "bidirectional",
        "precision",
    )
    """What `prepare` makes once for all trials: settings, never parameters of a space."""
    WHOLE: ClassVar = {"hold_out": "test", "train_reviews": 0}
    """What a final model has otherwise than a trial: all labelled texts but those to test on. Its
    language model stays as the trials had it."""

    language_model: LanguageModelConfig = Field(default_factory=LanguageModelConfig)
    max_tokens: Whole = 0
    train_reviews: Whole = 0
    valid_reviews: Count = 5000
    hold_out: Literal["train", "test"] = "train"
    bidirectional: Annotated[bool, Field(strict=True)] = False
    seq_len: Annotated[Whole, Field(ge=2)] = 72
    max_len: Count = 1440
    lin_ftrs: Count = 50
    alpha: NotNegative = 2.0
    beta: NotNegative = 1.0
    precision: Precision = "auto"
    lr: Positive = 0.02
    lr_decay: Positive = 2.6
    drop_mult: NotNegative = 0.5
    moms: Moms = "0.8/0.7"
    wd: NotNegative = 0.01
    bs: Annotated[Whole, Field(ge=2)] = 48
    class_weights: ClassWeights = "none"
    threshold: Literal["auto"] | Annotated[float, Field(gt=0, lt=1)] = "auto"
    pct_start: Share = 0.25
    unfreeze: Annotated[bool, Field(strict=True)] = True
    epochs: Count = 1

    @property
    def directions(self) -> list[LanguageModelConfig]:
        """The language models that the classifier needs, one for each of its directions."""
        if self.bidirectional:
            return [replace(self.language_model, backward=way) for way in (False, True)]
        return [self.language_model]

    @property
    def shared_models(self) -> list[LanguageModelConfig]:
        """The language models that are made once for all trials."""
        return self.directions


@dataclass(frozen=True, config=STRICT)
class UlmfitConfig(ClassifierConfig):
    """One trial of the whole pipeline: the classifier's config, and those settings of the language
    model that a study may search over. Trials with equal ones share one language model."""

    lm_lr: Positive | None = None
    lm_drop_mult: NotNegative | None = None
    lm_wd: NotNegative | None = None
    lm_bs: Count | None = None
    lm_epochs: Count | None = None
    lm_frozen_epochs: Whole | None = None
    lm_lr_decay: Positive | None = None

    @property
    def directions(self) -> list[LanguageModelConfig]:
        """The language models with this trial's settings put in."""
        own = {
            field.name.removeprefix("lm_"): getattr(self, field.name)
            for field in fields(self)
            if field.name.startswith("lm_") and getattr(self, field.name) is not None
        }
        return [replace(one, **own) for one in super().directions]

    @property
    def shared_models(self) -> list[LanguageModelConfig]:
        """None: every trial sees to its own."""
        return []
