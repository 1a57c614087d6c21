"""Models whose weights are no numbers, whole numbers or of other shapes are told, not loaded."""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.model import build_model
from hpsearch.trainers.collab.prepare import Ids
from hpsearch.trainers.collab.saved import SavedCollab, load_collab, save_collab
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import trainer
from hpsearch.trainers.tabular.saved import load_tabular
from hpsearch.trainers.text.classifier.saved import (
    SavedClassifier,
    build_classifier,
    load_classifier,
    save_classifier,
)
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    load_language_model,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

VOCAB = Vocab((*SPECIALS, *"abcdefg"))


def recommender(folder):
    config = CollabConfig(n_factors=4)
    model = build_model(config, 6, 5)
    model.init_weights(torch.Generator().manual_seed(0))
    rows = np.array([1, 2, 3])
    save_collab(
        folder,
        SavedCollab(
            model.eval(), Ids(tuple("abcde")), Ids(tuple("wxyz")), config, False,
            rows, rows.copy(), np.ones(3, np.float32), n_trained=(6, 5),
        ),
    )  # fmt: skip


def language_model(folder):
    folder.mkdir()
    config = LanguageModelConfig(emb=4, hidden=6, layers=1)
    model = new_language_model(config, len(VOCAB))
    save_language_model(folder, SavedLanguageModel(model, VOCAB, config, "en"))


def table_model(folder):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "kind": rng.choice(["a", "b"], 60)})
    table["y"] = table["x"] * 2
    table.to_csv(folder.parent / "t.csv", index=False)
    data = trainer.prepare(
        {"path": str(folder.parent / "t.csv"), "target": "y"}, {},
        PrepareSetup(data_path=None, device="cpu")
    )  # fmt: skip
    trainer.train(
        {},
        {"epochs": 1, "bs": 16, "layers": "4", "lr": 0.01},
        data,
        TrialSetup(seed=0, device="cpu", report=lambda _: None, keep=folder),
    )


KINDS = {
    "recommender": (recommender, load_collab, "weights.safetensors"),
    "language-model": (language_model, load_language_model, "model.safetensors"),
    "table": (table_model, load_tabular, "tabular.safetensors"),
}


@pytest.fixture(params=KINDS)
def model(request, tmp_path, monkeypatch):
    """(the file of the weights, what loads the model)."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    make, load, name = KINDS[request.param]
    make(tmp_path / "model")
    load(tmp_path / "model")
    return tmp_path / "model" / name, partial(load, tmp_path / "model")


def nan(value):
    value = value.clone()
    value.view(-1)[0] = float("nan")
    return value


def infinite(value):
    return torch.full_like(value, float("inf"))


def whole(value):
    return value.round().to(torch.int64)


def longer(value):
    return torch.cat([value, value])


@pytest.mark.parametrize("forge", [nan, infinite, whole, longer])
def test_a_forged_weight_is_one_sentence(model, forge):
    file, load = model
    weights = load_file(file)
    floats = [name for name, value in weights.items() if value.is_floating_point()]
    for name in floats:
        save_file({**weights, name: forge(weights[name])}, file)
        with pytest.raises(HpsearchError, match=r"(cannot be read|is damaged)"):
            load()
    save_file(weights, file)
    load()


@pytest.mark.parametrize(
    "forged",
    [
        {"seen_users": torch.tensor([1, 2, 99])},
        {"seen_items": torch.tensor([-1, 2, 3])},
        {"seen_items": torch.tensor([1, 2])},
        {"seen_users": torch.tensor([1.0, 2.0, 3.0])},
        {"seen_values": torch.tensor([1, 2, 3])},
        {"seen_users": torch.ones(3, 1, dtype=torch.int64)},
    ],
    ids=str,
)
def test_forged_ratings_are_one_sentence(tmp_path, forged):
    recommender(tmp_path / "model")
    file = tmp_path / "model" / "weights.safetensors"
    save_file({**load_file(file), **forged}, file)
    with pytest.raises(HpsearchError, match="cannot be read"):
        load_collab(tmp_path / "model")


@pytest.mark.parametrize(
    ("key", "value"),
    [("user_ids", [1, 2, 3, 4, 5]), ("n_trained", [10**15, 5]), ("n_trained", [-6, 5]),
     ("facts", [1]), ("config", {"n_factors": 10**12}), ("user_ids", ["a"])],
)  # fmt: skip
def test_a_forged_card_is_one_sentence(tmp_path, key, value):
    recommender(tmp_path / "model")
    file = tmp_path / "model" / "recommender.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(HpsearchError):
        load_collab(tmp_path / "model")


def classifier(folder):
    config = ClassifierConfig()
    none = LanguageModelConfig(emb=4, hidden=6, layers=1)
    encoder = new_language_model(none, len(VOCAB)).encoder
    model = build_classifier(config, encoder, 2)
    saved = SavedClassifier(
        [model], [False], [(4, 6, 1)], VOCAB, ("no", "yes"), "whitespace", config
    )
    save_classifier(folder, saved)


@pytest.mark.parametrize(
    "content",
    [{"sizes": [[4, 6, 2_000_000]]}, {"sizes": [[4, 0, 1]]}, {"text_columns": [None]}],
)
def test_a_classifier_of_a_million_layers_is_not_built(tmp_path, content):
    classifier(tmp_path)
    file = tmp_path / "classifier.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **content}))
    start = time.process_time()
    with pytest.raises(InputError, match="cannot be read"):
        load_classifier(tmp_path)
    assert time.process_time() - start < 20


def test_a_classifier_with_weights_that_are_no_numbers(tmp_path):
    classifier(tmp_path)
    load_classifier(tmp_path)
    weights = load_file(tmp_path / "forward.safetensors")
    for forge in (nan, whole):
        name = next(name for name, value in weights.items() if value.is_floating_point())
        save_file({**weights, name: forge(weights[name])}, tmp_path / "forward.safetensors")
        with pytest.raises(HpsearchError, match="cannot be read"):
            load_classifier(tmp_path)


@pytest.mark.parametrize("file", ["config.json", "vocab.json"])
def test_a_models_json_is_renamed_into_its_place_whole(tmp_path, file):
    language_model(tmp_path / "model")
    before = (tmp_path / "model" / file).stat().st_ino
    save_language_model(tmp_path / "model", load_language_model(tmp_path / "model"))
    assert (tmp_path / "model" / file).stat().st_ino != before  # else it was written over
    assert load_language_model(tmp_path / "model").vocab == VOCAB


@pytest.mark.parametrize(
    ("kind", "file", "content"),
    [
        ("recommender", "recommender.json", {"config": None}),
        ("recommender", "recommender.json", {"item_ids": list("wxyw")}),
        ("table", "tabular.json", {"config": None}),
        ("table", "tabular.json", {"facts": None}),
        ("table", "tabular.json", {"encoding": []}),
    ],
)
def test_a_model_whose_json_is_of_other_types_is_told(tmp_path, monkeypatch, kind, file, content):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    make, load, _ = KINDS[kind]
    make(tmp_path / "model")
    path = tmp_path / "model" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(InputError, match=r"is damaged|cannot be read"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["preprocessor"].update(forms="x"),
        lambda content: content["preprocessor"].update(dates=[3]),
        lambda content: content["preprocessor"]["continuous"][0][1].update(mean=None),
        lambda content: content["preprocessor"]["categories"].append(["new", [1.5]]),
        lambda content: content["target"].update(classes="ab"),
        lambda content: content["target"].update(std="wide"),
    ],
)
def test_what_lies_deep_in_a_tables_json_is_told_when_it_is_loaded(tmp_path, change):
    make, load, _ = KINDS["table"]
    make(tmp_path / "model")
    path = tmp_path / "model" / "tabular.json"
    content = json.loads(path.read_text())
    change(content["encoding"])
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path / "model")
