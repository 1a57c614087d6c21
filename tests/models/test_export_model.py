"""A program that torch runs alone gives the numbers of the model that it was made of."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

import hpsearch
from hpsearch.errors import InputError
from hpsearch.models.export_model import FACTS
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.tabular.saved import load_tabular
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.classifier.saved import (
    SavedClassifier,
    build_classifier,
    save_classifier,
)
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

N = 60
TABLE = """
name = "wages"
trainer = "tabular"
metric = "rmse"
direction = "minimize"
data = { path = "table.csv", target = "TARGET" }
settings = { layers = "8", epochs = 1, bs = 16, Y_RANGE }
space = { lr = { low = 1e-3, high = 1e-1, default = 1e-2 } }
presets = { quick = { trials = 1 } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    return tmp_path


def program(folder, study, **options):
    """(the program of a newly trained model, what its file says of it)."""
    quiet = Console(file=io.StringIO())
    hpsearch.train(study, folder / "model", preset="quick", console=quiet, **options)
    return load(folder)


def load(folder):
    hpsearch.export_model(folder / "model", folder / "model.pt2")
    said = {FACTS: ""}
    loaded = torch.export.load(folder / "model.pt2", extra_files=said)
    return loaded.module(), json.loads(said[FACTS])


@pytest.mark.parametrize(("target", "y_range"), [("wage", ""), ("wage", "0"), ("plan", "")])
def test_rows_of_a_table(folder, target, y_range):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 9, N), "plan": rng.choice(list("abc"), N)})
    table["wage"] = 100 * table["age"] + rng.normal(size=N)
    table.to_csv("table.csv", index=False)
    text = TABLE.replace("TARGET", target)
    if target == "plan":
        text = text.replace("rmse", "accuracy").replace("minimize", "maximize")
    (folder / "study.toml").write_text(
        text.replace(", Y_RANGE", ", y_range = [0.0, 9000.0]" if y_range else "")
    )
    run, said = program(folder, "study.toml")
    saved = load_tabular(folder / "model")
    encoded = saved.encoding.preprocessor.transform(table)
    found = run(torch.from_numpy(encoded.codes).long(), torch.from_numpy(encoded.numbers))
    expected = saved.predict(table)
    if target == "plan":
        columns = [f"p({name})" for name in said["output"]]
        assert found.numpy() == pytest.approx(expected[columns].to_numpy(), abs=1e-6)
    else:
        assert found.numpy() == pytest.approx(expected["prediction"].to_numpy(), rel=1e-5)


@pytest.mark.parametrize("model", ["dot-bias", "neural-net"])
def test_ratings(folder, model):
    rows = [f"u{u},i{i},{1 + (u * i) % 5}" for u in range(12) for i in range(10)]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))
    sets = ["epochs=1", f"model={model}"]
    run, said = program(folder, "movielens", data="ratings.csv", sets=sets)
    users, items = torch.tensor([1, 5, 0, 12]), torch.tensor([2, 0, 3, 10])
    saved = load_collab(folder / "model")
    names = [["?", *said[side]] for side in ("users", "items")]
    pairs = [[of[n] for n in numbers] for of, numbers in zip(names, (users, items), strict=True)]
    assert run(users, items).detach().numpy() == pytest.approx(saved.predict(*pairs), rel=1e-5)


def test_texts_of_any_length_read_backward(tmp_path):
    config = ClassifierConfig(precision="float32", max_len=20, seq_len=8, lin_ftrs=5)
    vocab = Vocab((*SPECIALS, *(f"w{i}" for i in range(40))))
    encoder = AWDLSTM(len(vocab), 6, 7, 2, Dropouts(0, 0, 0, 0, 0))
    model = build_classifier(config, encoder, 3)
    for part in (encoder, model.head):
        part.init_weights(torch.Generator().manual_seed(0))
    classes = "a", "b", "c"
    saved = SavedClassifier([model], [True], [(6, 7, 2)], vocab, classes, "whitespace", config)
    save_classifier(tmp_path / "model", saved)
    run, said = load(tmp_path)
    lengths, rng = [33, 7, 21, 2], np.random.default_rng(0)
    ids = rng.integers(len(said["vocabulary"]), size=sum(lengths)).astype(np.int32)
    docs = Documents(ids, np.cumsum([0, *lengths]))
    tokens = torch.ones(max(lengths), len(lengths), dtype=torch.int64)
    for i, (start, end) in enumerate(zip(docs.offsets[:-1], docs.offsets[1:], strict=True)):
        tokens[: end - start, i] = torch.from_numpy(ids[start:end]).long()
    found = run(tokens, torch.tensor(lengths)).detach().numpy()
    assert found == pytest.approx(saved.predict_documents(docs), abs=1e-6)


def test_what_cannot_be_exported_is_one_sentence(folder):
    with pytest.raises(InputError, match="holds no classifier"):
        hpsearch.export_model(folder, folder / "model.pt2")
    with pytest.raises(InputError, match=r"is no \.pt2"):
        hpsearch.export_model(folder, folder / "model.onnx")
