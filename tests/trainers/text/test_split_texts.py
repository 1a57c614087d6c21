"""Who is trained on, who is held out, and who is read by the language model."""

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.text.config import (
    ClassifierConfig,
    LanguageModelConfig,
    LanguageModelTrialConfig,
)
from hpsearch.trainers.text.split_texts import classifier_rows, language_model_rows

LABELS = np.array([0] * 300 + [1] * 100 + [-1] * 50)
IS_TEST = np.isin(np.arange(450), np.r_[0:20, 300:310])


def test_held_out_texts_are_stratified_and_nobody_trains_on_them():
    rows = classifier_rows(LABELS, IS_TEST, ClassifierConfig(train_reviews=100, valid_reviews=40))
    train, valid, read = (set(rows[name].tolist()) for name in ("train", "valid", "read"))
    assert (len(train), len(valid), len(rows["test"])) == (100, 40, 0)
    assert (LABELS[rows["valid"]] == 1).sum() == pytest.approx(40 * 90 / 370, abs=1)
    assert not valid & (train | read)
    assert train <= read
    assert set(range(400, 450)) <= read
    assert not set(np.flatnonzero(IS_TEST)) & (train | valid | read)


def test_a_final_model_trains_on_all_training_texts_and_is_measured_on_the_test_texts():
    config = ClassifierConfig(hold_out="test", valid_reviews=8)
    rows = classifier_rows(LABELS, IS_TEST, config)
    test = set(np.flatnonzero(IS_TEST))
    assert set(rows["test"]) == test
    assert set(rows["train"]) == set(np.flatnonzero(~IS_TEST & (LABELS >= 0)))
    assert len(rows["valid"]) == 8
    assert set(rows["valid"]) < test
    assert not set(rows["read"]) & test


def test_without_test_texts_a_final_model_holds_out_as_a_search_does():
    nobody = np.zeros(450, dtype=bool)
    config = ClassifierConfig(hold_out="test", valid_reviews=40)
    rows = classifier_rows(LABELS, nobody, config)
    assert (len(rows["valid"]), len(rows["test"]), len(rows["train"])) == (40, 0, 360)


def test_the_language_model_reads_the_training_texts_first():
    config = ClassifierConfig(
        train_reviews=60, valid_reviews=40, language_model=LanguageModelConfig(n_reviews=70)
    )
    rows = classifier_rows(LABELS, IS_TEST, config)
    assert len(rows["read"]) == 70
    assert set(rows["read"][:60]) == set(rows["train"])


def test_a_language_model_study_needs_no_labels_and_holds_out_a_tenth_at_most():
    rows = language_model_rows(IS_TEST, LanguageModelTrialConfig())
    assert (len(rows["valid"]), len(rows["read"])) == (42, 378)
    assert not set(rows["valid"]) & set(rows["read"])
    assert not set(np.flatnonzero(IS_TEST)) & (set(rows["valid"]) | set(rows["read"]))
    few = language_model_rows(IS_TEST, LanguageModelTrialConfig(valid_reviews=7, n_reviews=5))
    assert (len(few["valid"]), len(few["read"])) == (7, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 0], "at least 5"), ([0] * 20, "same label"), ([-1] * 20, "at least 5")],
)
def test_what_nothing_can_be_learned_from_is_one_sentence(labels, message):
    labels = np.array(labels)
    with pytest.raises(InputError, match=message):
        classifier_rows(labels, np.zeros(len(labels), dtype=bool), ClassifierConfig())


def test_a_class_that_no_training_text_has_is_told():
    labels = np.array([0] * 98 + [1] * 2)
    config = ClassifierConfig(train_reviews=3, valid_reviews=4)
    with pytest.raises(InputError, match="raise train_reviews"):
        classifier_rows(labels, np.zeros(100, dtype=bool), config)
