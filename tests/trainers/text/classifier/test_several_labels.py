"""Texts of several labels each: split, learnt, resumed, judged, kept, predicted, exported."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from hpsearch.errors import InputError
from hpsearch.models.export_model import program_of
from hpsearch.models.predict import PredictOptions, predict_file
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.text.classifier import train as trainer
from hpsearch.trainers.text.classifier.assess import assess, baseline
from hpsearch.trainers.text.classifier.fit import ClassifierFit, measure
from hpsearch.trainers.text.classifier.label_metrics import label_weights
from hpsearch.trainers.text.classifier.saved import load_classifier
from hpsearch.trainers.text.config import ClassifierConfig, TextData
from hpsearch.trainers.text.split_texts import classifier_rows

from ..conftest import PARAMS, SETTINGS

WORDS = {"comedy": "funny", "drama": "sad", "war": "loud"}
EXACT = {"precision": "float32"}
LEARNT = {**PARAMS, "epochs": 3, "unfreeze": False, "lr": 0.05}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """240 texts; a word stands in each for each of its labels; a fifth has none."""
    path = tmp_path_factory.mktemp("films") / "films.csv"
    rng = np.random.default_rng(0)
    has = rng.random((240, 3)) < [0.5, 0.4, 0.2]
    rows = []
    for row in has:
        names = [name for name, it in zip(WORDS, row, strict=True) if it]
        said = [*(WORDS[name] for name in names), *rng.choice(["film", "it", "was", "a"], 5)]
        rows.append((" ".join(rng.permutation(said)), "|".join(names) or "|"))
    pd.DataFrame(rows, columns=["text", "genres"]).to_csv(path, index=False)
    return path


DATA = {"labels": "genres", "label_separator": "|", "tokenizer": "whitespace"}


def prepared_of(path, **settings):
    setup = PrepareSetup(data_path=None, device="cpu")
    return trainer.prepare({"path": str(path), **DATA}, {**SETTINGS, **settings}, setup)


@pytest.fixture(scope="module")
def prepared(films):
    return prepared_of(films)


def fit(prepared, params=LEARNT, **setup):
    records = []
    made = TrialSetup(**{"seed": 0, "device": "cpu", "report": records.append, **setup})
    return trainer.train(SETTINGS, params, prepared, made), records


@pytest.fixture(scope="module")
def model(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "model"
    result, _ = fit(prepared, keep=folder)
    return folder, result


def facts(records):
    return [(r.stage, r.epoch, r.train_loss, r.valid_loss, r.metrics) for r in records]


def test_it_learns_each_label_and_says_what_it_measures(prepared, model):
    metrics = model[1].metrics
    assert set(metrics) == set(prepared.metrics)
    assert min(metrics["f1_micro"], metrics["average_precision"]) > 0.9
    assert "none of them" in prepared.summary


def test_a_killed_trial_resumes_to_the_same_end(prepared, tmp_path):
    _, whole = fit(prepared, PARAMS)
    seen = []

    def kill(record):
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(prepared, PARAMS, report=kill, checkpoint=tmp_path)
    _, resumed = fit(prepared, PARAMS, checkpoint=tmp_path)
    assert facts(resumed) == facts(whole)


def step_of(prepared, **params):
    """The loss of a step without dropout, the logits before it, and the truth."""
    config = ClassifierConfig(
        **{**SETTINGS, **PARAMS, "alpha": 0.0, "beta": 0.0, **EXACT, **params}
    )
    run = ClassifierFit(
        config, prepared.texts, prepared.language_models[0].folder, seed=0, device="cpu"
    )
    run.start_stage(trainer.plan_stages(config, run.n_groups)[0])
    which = np.argsort(-run.train.lengths, kind="stable")[:16]
    rows = torch.from_numpy(which)
    run.model.train()
    tokens, lengths = run.train.pad(which)
    gradients = run._in_turn
    gradients.masks = None
    loss = gradients(tokens, lengths, run.labels[rows])[0]
    with torch.no_grad():
        logits, _ = run.model(tokens, lengths, None)
    return loss.item(), logits, run.labels[rows].float()


def test_the_loss_is_the_binary_cross_entropy_of_sigmoids(prepared):
    loss, logits, truth = step_of(prepared)
    p = torch.sigmoid(logits.double())
    expected = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_weights_count_with_and_without_a_label_the_same(prepared):
    loss, logits, truth = step_of(prepared, class_weights="balanced")
    without, having = torch.from_numpy(label_weights(prepared.texts.labels["train"]))
    p = torch.sigmoid(logits.double())
    expected = -(truth * having * p.log() + (1 - truth) * without * (1 - p).log()).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_every_label_is_trained_on_and_held_out_in_about_its_share():
    rng = np.random.default_rng(1)
    sets = (rng.random((1000, 6)) < [0.5, 0.3, 0.1, 0.04, 0.01, 0]).astype(np.int8)
    sets[7:9, 5] = 1  # a label of two texts
    sets[500:600] = -1
    nobody = np.zeros(1000, dtype=bool)
    rows = classifier_rows(sets, nobody, ClassifierConfig(valid_reviews=200))
    assert len(rows["valid"]) == 180
    assert not set(rows["train"]) & set(rows["valid"])
    assert set(rows["train"]) | set(rows["valid"]) == set(np.flatnonzero(sets[:, 0] >= 0))
    whole, held_out = sets[sets[:, 0] >= 0], sets[rows["valid"]]
    assert held_out.mean(0)[:3] == pytest.approx(whole.mean(0)[:3], abs=0.04)
    assert (sets[rows["train"]].sum(0) > 0).all()
    few = classifier_rows(sets, nobody, ClassifierConfig(valid_reviews=200, train_reviews=40))
    assert len(few["train"]) == 40
    assert (sets[few["train"]].sum(0) > 0).all()
    with pytest.raises(InputError, match="3 training texts do not hold every class"):
        classifier_rows(sets, nobody, ClassifierConfig(train_reviews=3))


def test_what_is_kept_predicts_what_was_measured(prepared, model):
    saved = load_classifier(model[0])
    docs, truth = prepared.texts.parts["valid"], prepared.texts.labels["valid"]
    found = saved.predict_documents(docs)
    assert saved.several
    assert saved.classes == ("comedy", "drama", "war")
    alone = type("Fit", (), {"predict": lambda _: found, "config": saved.config})()
    assert measure([alone], truth)[0] == pytest.approx(dict(model[1].metrics))
    assert len(set(saved.thresholds)) == 1
    assert 0 < saved.thresholds[0] < 1


def test_predict_gives_each_label_a_probability_and_the_set(model, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("text\na funny sad film\nit was a film\n \n")
    said = []
    _, made = predict_file(
        model[0], str(file), PredictOptions(), progress=lambda *_: None, say=said.append
    )
    assert list(made) == ["prediction", "p(comedy)", "p(drama)", "p(war)", "reason"]
    assert made["prediction"][:2].tolist() == ["comedy|drama", ""]
    assert pd.isna(made["prediction"][2])
    assert made["reason"][2] == "no text"
    saved = load_classifier(model[0])
    probabilities = saved.predict(["a funny sad film", "it was a film", " "])
    assert saved.choose(probabilities) == [("comedy", "drama"), (), None]
    assert made[["p(comedy)", "p(drama)", "p(war)"]].to_numpy()[:2] == pytest.approx(
        probabilities[:2]
    )


def test_thresholds_can_be_given_for_all_or_for_some(model, prepared):
    saved = load_classifier(model[0])
    probabilities = np.array([[0.4, 0.6, 0.1]], np.float32)
    assert saved.with_threshold(0.05).choose(probabilities) == [("comedy", "drama", "war")]
    assert saved.with_threshold({"comedy": 0.3, "drama": 0.7}).choose(probabilities) == [
        ("comedy",)
    ]
    with pytest.raises(InputError, match=r"no label 'dramma' .did you mean"):
        saved.with_threshold({"dramma": 0.3})
    with pytest.raises(InputError, match="is no probability"):
        saved.with_threshold(float("nan"))
    with pytest.raises(InputError, match="gives each one"):
        replace(saved, thresholds=()).with_threshold(0.3)
    one_label = replace(prepared, texts=replace(prepared.texts, labels={"train": np.zeros(3)}))
    with pytest.raises(InputError, match="threshold is for texts of several labels"):
        one_label.check({"threshold": 0.3})


def test_a_folder_whose_thresholds_are_not_its_labels_is_refused(model, tmp_path):
    content = json.loads((model[0] / "classifier.json").read_text())
    for wrong in ([0.5], [0.5, 0.5, 7.0], ["a", "b", "c"]):
        for file in model[0].iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "classifier.json").write_text(json.dumps({**content, "thresholds": wrong}))
        with pytest.raises(InputError, match="cannot be read"):
            load_classifier(tmp_path)


def test_the_card_scores_each_label_and_shows_the_most_wrong(prepared, model):
    found = assess(
        model[0], prepared, test=False, metric="f1_micro", device="cpu",
        progress=lambda *_: None,
    )  # fmt: skip
    truth = prepared.texts.labels["valid"]
    assert [one.truly for one in found.labels] == truth.sum(0).tolist()
    hits, given = (sum(getattr(one, name) for one in found.labels) for name in ("hits", "given"))
    assert found.metrics["f1_micro"] == pytest.approx(2 * hits / (given + truth.sum()))
    assert found.metrics == pytest.approx(dict(model[1].metrics))
    wrong = round((1 - found.metrics["subset_accuracy"]) * len(truth))
    assert len(found.wrong) == min(10, wrong)


def test_the_baseline_is_a_logistic_regression_for_each_label(prepared):
    found = baseline({}, prepared)
    assert found.name == "TF-IDF with logistic regression for each label"
    assert set(found.metrics) == set(prepared.metrics)
    assert found.metrics["f1_micro"] > 0.95  # a word decides each


def test_the_exported_program_gives_the_same_probabilities(prepared, model):
    saved, program = load_classifier(model[0]), program_of(model[0])
    saved = replace(saved, config=replace(saved.config, **EXACT))
    docs = prepared.texts.parts["valid"].take(np.arange(4))
    tokens = torch.full((int(docs.lengths.max()), 4), 1)
    for i, (start, end) in enumerate(zip(docs.offsets, docs.offsets[1:], strict=False)):
        tokens[: end - start, i] = torch.from_numpy(docs.ids[start:end].astype(np.int64))
    with torch.no_grad():
        found = program.module(tokens, torch.from_numpy(docs.lengths))
    assert found.numpy() == pytest.approx(saved.predict_documents(docs), abs=1e-5)
    assert program.facts["thresholds"] == list(saved.thresholds)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"label": "genre", "labels": "genres"}, "label where each text has one, labels where"),
        ({"label": "genres", "label_separator": "|"}, 'as labels, such as labels = "genres"'),
        ({"labels": ["a", "b"], "label_separator": "|"}, "name the column that it stands in"),
        ({"labels": []}, "at least 1 item"),
    ],
)
def test_labels_that_are_declared_in_two_ways_are_refused(data, sentence):
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(TextData).validate_python({"path": "films.csv", **data})
