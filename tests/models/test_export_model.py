"""A program that torch or ONNX Runtime runs alone gives the numbers of the model that it is of."""

import io
import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from rich.console import Console

import hpsearch
from hpsearch.errors import InputError
from hpsearch.extras import MissingExtraError
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


def programs(folder, study, **options):
    """(the programs of a newly trained model, what their files say of it)."""
    quiet = Console(file=io.StringIO())
    hpsearch.train(study, folder / "model", preset="quick", console=quiet, **options)
    return load(folder)


def load(folder):
    hpsearch.export_model(folder / "model", folder / "model.pt2")
    said = {FACTS: ""}
    loaded = torch.export.load(folder / "model.pt2", extra_files=said).module()
    hpsearch.export_model(folder / "model", folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [one.name for one in session.get_inputs()]
    assert session.get_modelmeta().custom_metadata_map[FACTS] == said[FACTS]

    def by_torch(*inputs):
        return loaded(*map(torch.from_numpy, inputs)).detach().numpy()

    def by_onnx(*inputs):
        return session.run(["output"], dict(zip(names, inputs, strict=True)))[0]

    return (by_torch, by_onnx), json.loads(said[FACTS])


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
    runs, said = programs(folder, "study.toml")
    saved = load_tabular(folder / "model")
    unseen = pd.DataFrame({"age": [np.nan, 99.5, 18], "plan": ["a", "never seen", None], "wage": 5})
    for rows in (table, unseen, unseen[:1]):
        encoded = saved.encoding.preprocessor.transform(rows)
        expected = saved.predict(rows)
        for run in runs:
            found = run(encoded.codes.astype(np.int64), encoded.numbers)
            if target == "plan":
                columns = [f"p({name})" for name in said["output"]]
                assert found == pytest.approx(expected[columns].to_numpy(), abs=1e-6)
            else:
                assert found == pytest.approx(expected["prediction"].to_numpy(), rel=1e-5)


@pytest.mark.parametrize("model", ["dot-bias", "neural-net"])
def test_ratings(folder, model):
    rows = [f"u{u},i{i},{1 + (u * i) % 5}" for u in range(12) for i in range(10)]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))
    sets = ["epochs=1", f"model={model}"]
    runs, said = programs(folder, "movielens", data="ratings.csv", sets=sets)
    saved = load_collab(folder / "model")
    names = [["?", *said[side]] for side in ("users", "items")]
    for numbers in (np.array([[1, 5, 0, 12], [2, 0, 3, 10]]), np.array([[7], [9]])):
        pairs = [[of[n] for n in side] for of, side in zip(names, numbers, strict=True)]
        for run in runs:
            assert run(*numbers) == pytest.approx(saved.predict(*pairs), rel=1e-5)


def test_texts_of_any_length_read_in_both_directions(tmp_path):
    config = ClassifierConfig(precision="float32", max_len=20, seq_len=8, lin_ftrs=5)
    vocab = Vocab((*SPECIALS, *(f"w{i}" for i in range(40))))
    models = []
    for seed in range(2):
        encoder = AWDLSTM(len(vocab), 6, 7, 2, Dropouts(0, 0, 0, 0, 0))
        models.append(build_classifier(config, encoder, 3))
        for part in (encoder, models[-1].head):
            part.init_weights(torch.Generator().manual_seed(seed))
    classes = "a", "b", "c"
    sizes = [(6, 7, 2)] * 2
    saved = SavedClassifier(models, [False, True], sizes, vocab, classes, "whitespace", config)
    save_classifier(tmp_path / "model", saved)
    runs, said = load(tmp_path)
    rng = np.random.default_rng(0)
    for lengths in ([33, 7, 21, 2], [40], [2, 2]):
        ids = rng.integers(len(said["vocabulary"]), size=sum(lengths)).astype(np.int32)
        docs = Documents(ids, np.cumsum([0, *lengths]))
        tokens = np.ones((max(lengths), len(lengths)), np.int64)
        for i, (start, end) in enumerate(zip(docs.offsets[:-1], docs.offsets[1:], strict=True)):
            tokens[: end - start, i] = ids[start:end]
        for run in runs:
            found = run(tokens, np.array(lengths))
            assert found == pytest.approx(saved.predict_documents(docs), abs=1e-6)


def test_what_cannot_be_exported_is_one_sentence(folder):
    with pytest.raises(InputError, match="holds no classifier"):
        hpsearch.export_model(folder, folder / "model.pt2")
    with pytest.raises(InputError, match=r"neither \.pt2 nor \.onnx: .* such as model\.onnx"):
        hpsearch.export_model(folder, folder / "model.h5")


def test_onnx_without_its_extra_names_it(folder, monkeypatch):
    monkeypatch.setattr("hpsearch.extras.is_installed", lambda module: module != "onnxscript")
    with pytest.raises(MissingExtraError, match=r"pip install 'hpsearch\[onnx\]'"):
        hpsearch.export_model(folder, folder / "model.onnx")
