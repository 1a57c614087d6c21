"""What a name says of a result: that it is one, whether more of it is better, and its bounds.

A name is cut into words at signs and at capitals: `val/topKAccuracy@5` is val, top, k, accuracy, 5.
"""

from __future__ import annotations

import itertools
import math
import re

_HIGHER = """
acc accuracy auc auroc auprc ap map f1 fbeta precision recall sensitivity specificity r2 reward
return returns bleu rouge meteor cider chrf comet iou miou dice jaccard ndcg mrr psnr ssim kappa mcc
corrcoef correlation pearson spearman likelihood elbo throughput homogeneity completeness silhouette
gini hits hit success purity ari nmi elo bleurt informedness profit revenue earnings sales
"""
_LOWER = """
loss error err mse rmse mae mape smape rmsle msle logloss perplexity ppl wer cer ter nll bpc bpb
bits deviance entropy crossentropy brier divergence kl fid kid lpips hinge distance regret cost ece
rmspe pinball crps eer fpr fnr latency time runtime seconds duration inertia violations misses
"""
_PARTS = "train training val valid validation dev test testing eval evaluation"
_ALSO_SETTINGS = "time seconds duration cost distance hinge gini entropy"
_SUFFIXES = """
macro micro weighted samples binary ovr ovo coef pr roc mean avg average std min max at k top best
final last epoch ema smoothed
"""
_SHARES = """
acc accuracy auc auroc auprc ap map f1 fbeta precision recall sensitivity specificity iou miou dice
jaccard ndcg mrr bleu rouge meteor chrf homogeneity completeness hit success purity nmi eer fpr fnr
ece error_rate hit_rate win_rate success_rate positive_rate
"""
_CORRELATIONS = "kappa mcc corrcoef correlation pearson spearman ssim silhouette ari informedness"
_WITHOUT_BOUNDS = "nll deviance entropy kid"  # lower is better, yet they may be negative
_COUNTS = "hits throughput"
_OTHER_SCALES = """
log logit logits delta diff difference gain improvement change minus plus per signed relative
standardized standardised likelihood elbo nll word character char
"""
HIGHER, LOWER = frozenset(_HIGHER.split()), frozenset(_LOWER.split())
PHRASES = {
    "error_rate": False, "explained_variance": True, "hit_rate": True, "win_rate": True,
    "success_rate": True, "positive_rate": False, "likelihood_ratio": True, "fit_time": False,
    "score_time": False, "wall_time": False, "gpu_mem": False, "gpu_memory": False,
    "peak_mem": False, "peak_memory": False,
}  # fmt: skip
"""Two words together, looked for first: is more better?"""
PARTS = frozenset(_PARTS.split())
ALSO_SETTINGS = frozenset(_ALSO_SETTINGS.split())
"""Words of metrics that settings may end in as well: warmup_time, criterion_gini."""
UNITS = frozenset(("s", "ms", "sec", "secs", "min", "mb", "gb", "mib", "gib", "bytes"))
SUFFIXES = frozenset(_SUFFIXES.split())
"""Words behind the name of a metric that change nothing about its direction."""
OTHER_SCALES = frozenset(_OTHER_SCALES.split())
"""Words that say that a number is not on the scale of the metric which the name ends in."""
UNBOUNDED = (-math.inf, math.inf)
BOUNDS = {
    **dict.fromkeys((LOWER - set(_WITHOUT_BOUNDS.split())) | set(_COUNTS.split()), (0.0, math.inf)),
    **dict.fromkeys(_SHARES.split(), (0.0, 1.0)),
    **dict.fromkeys(_CORRELATIONS.split(), (-1.0, 1.0)),
    **dict.fromkeys(("r2", "explained_variance"), (-math.inf, 1.0)),
    **dict.fromkeys(("perplexity", "ppl"), (1.0, math.inf)),
}
"""The least and the greatest value of metrics, by the last word or two of their names."""
OF_A_RUN = re.compile(
    r"^(best_(epoch|step|iteration|iter)|total_flos|grad_norm|num_input_tokens_seen|stopped_epoch"
    r"|.*_(runtime|per_second|steps_per_second|samples_per_second)|wall_?time|elapsed.*"
    r"|split\d+_(test|train)_.*|(mean|std|rank)_(test|train)_.*)$",
    re.IGNORECASE,
)
"""Names that trainers of other projects write beside their results."""


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case.

    Example:
        >>> words_of("val/topKAccuracy@5"), words_of("f1_macro"), words_of("ROC-AUC")
        (['val', 'top', 'k', 'accuracy', '5'], ['f1', 'macro'], ['roc', 'auc'])
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", parted) if word]


def more_is_better(name: str) -> bool | None:
    """Whether more of a metric is better, by its name; None where the name does not tell.

    `neg` turns it round, as in scikit-learn's `neg_mean_squared_error`; `loss` and `error` decide
    against any other word. The last word that is known decides among the others.

    Example:
        >>> more_is_better("mean_test_neg_mean_squared_error"), more_is_better("val_f1_macro")
        (True, True)
        >>> more_is_better("negative_log_likelihood"), more_is_better("rmse"), more_is_better("q")
        (False, False, None)
    """
    words = _without_numbers(name)
    found = _direction(words)
    turned = sum(word in ("neg", "negative") for word in words) % 2 == 1
    return found if found is None or not turned else not found


def _direction(words: list[str]) -> bool | None:
    for pair in itertools.pairwise(words):
        if "_".join(pair) in PHRASES:
            return PHRASES["_".join(pair)]
    if {"loss", "error", "err"} & set(words):
        return False
    known = [word in HIGHER for word in reversed(words) if word in HIGHER or word in LOWER]
    return known[0] if known else True if "score" in words else None


def bounds_of(name: str, lowest: float, highest: float) -> tuple[float, float]:
    """The least and the greatest value that a metric can have, by its name.

    Shares, such as the accuracy, lie between 0 and 1, or between 0 and 100 where a value above 1
    was seen; losses and errors are at least 0.

    Args:
        lowest: of the values seen. Where one lies outside, the name meant something else.
        highest: of the values seen.

    Returns:
        Infinite ends where the name tells no bound, or values contradict it.

    Example:
        >>> bounds_of("valid_accuracy", 0.6, 0.9), bounds_of("top5-acc", 12, 93.5)
        ((0.0, 1.0), (0.0, 100.0))
        >>> bounds_of("rmse", 0.2, 7), bounds_of("neg_log_loss", -2, -0.3)
        ((0.0, inf), (-inf, 0.0))
        >>> bounds_of("loss", -1, 2) == bounds_of("reward", 0, 1) == UNBOUNDED
        True
    """
    joined = "_".join(_without_numbers(name)).replace("log_loss", "logloss")
    words = joined.replace("cross_entropy", "crossentropy").split("_")
    turned = sum(word in ("neg", "negative") for word in words) % 2 == 1
    if turned:
        lowest, highest = -highest, -lowest
    low, high = _bounds(words)
    if (low, high) == (0.0, 1.0) and highest > 1:
        high = 100.0
    if not low <= lowest <= highest <= high:
        return UNBOUNDED
    return (0.0 - high, 0.0 - low) if turned else (low, high)


def _bounds(words: list[str]) -> tuple[float, float]:
    """Those of the metric that the words end in, after what may follow its name."""
    if OTHER_SCALES & set(words):
        return UNBOUNDED
    while len(words) > 1 and words[-1] in SUFFIXES | PARTS | {"score", "percent", "pct"}:
        words = words[:-1]
    return BOUNDS.get("_".join(words[-2:]), BOUNDS.get("".join(words[-1:]), UNBOUNDED))


def is_result(name: str) -> bool:
    """Whether the name is that of a number that comes out of a run.

    The name's last word must be that of a metric, after what may follow it; so `train_size`,
    `score_threshold` and `loss_weight` are settings, and `val_acc` and `f1_macro@10` are results.

    Example:
        >>> [name for name in ("val_loss", "recall@10", "train_size", "loss_weight", "rank_test_f1")
        ...  if is_result(name)]
        ['val_loss', 'recall@10', 'rank_test_f1']
    """
    if OF_A_RUN.match(name):
        return True
    words = _without_numbers(name)
    while len(words) > 1 and words[-1] in SUFFIXES | UNITS:
        words.pop()
    last = words[-1] if words else ""
    if "_".join(words[-2:]) in PHRASES:
        return True
    if last in ALSO_SETTINGS:  # unless the name says of which part of the data
        return words[0] in PARTS
    return last in HIGHER | LOWER | {"score"}


def _without_numbers(name: str) -> list[str]:
    """The words of a name without those that are numbers, and without numbers behind a word."""
    return [re.sub(r"(?<=[a-z]{2})\d+$", "", word) for word in words_of(name) if word[0] > "9"]
