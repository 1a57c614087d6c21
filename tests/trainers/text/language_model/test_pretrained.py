"""A pretrained model by name or place: which one is taken, and what is said if there is none."""

import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from hpsearch.data.named.download import Archive
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import pretrained
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.language_model.pretrained import (
    find_pretrained,
    load_pretrained,
    pretrained_names,
)
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

VOCAB = Vocab((*SPECIALS, "der", "die", "das"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No cache, no HPSEARCH_DATA, no shipped models, no proxy."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def save(folder, *, backward=False, seed=0, dtype=torch.float32):
    """A small model with the weights of `seed`."""
    folder.mkdir(parents=True)
    config = LanguageModelConfig(emb=4, hidden=6, layers=2, backward=backward, seed=seed)
    model = new_language_model(config, len(VOCAB))
    save_language_model(folder, SavedLanguageModel(model, VOCAB, config, "de"), dtype)
    return model


def archive_bytes(seed, backward=False):
    """fast.ai's archive of a one-layer model."""
    draw = torch.Generator().manual_seed(seed)
    embedding = torch.randn(len(VOCAB), 4, generator=draw)
    state = {"0.encoder.weight": embedding, "0.encoder_dp.emb.weight": embedding}
    state["0.rnns.0.weight_hh_l0_raw"] = torch.randn(16, 4, generator=draw)
    state["0.rnns.0.module.weight_ih_l0"] = torch.randn(16, 4, generator=draw)
    state["0.rnns.0.module.bias_ih_l0"] = torch.randn(16, generator=draw)
    state["0.rnns.0.module.bias_hh_l0"] = torch.randn(16, generator=draw)
    state |= {"1.decoder.weight": embedding, "1.decoder.bias": torch.ones(len(VOCAB))}
    weights, whole = io.BytesIO(), io.BytesIO()
    torch.save(state, weights)
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        name = "lstm_bwd.pth" if backward else "lstm_fwd.pth"
        for member, content in (
            (name, weights.getvalue()),
            ("itos_wt103.pkl", pickle.dumps(list(VOCAB.tokens))),
        ):
            info = tarfile.TarInfo(f"wt103/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return whole.getvalue(), embedding


def refused(name, *words, backward=False, error=InputError):
    with pytest.raises(error) as caught:
        load_pretrained(str(name), backward=backward)
    assert "\n" not in str(caught.value)
    for word in words:
        assert str(word) in str(caught.value)


def embedding_of(found):
    return found.weights["encoder.embedding.weight"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_folder_of_our_own_gives_back_what_was_saved(tmp_path, dtype):
    model = save(tmp_path / "mine", dtype=dtype)
    for name in (str(tmp_path / "mine"), "mine", "./mine"):
        found = load_pretrained(name)
        assert found.sizes == (4, 6, 2)
        assert (found.vocab, found.tokenizer, found.backward) == (VOCAB, "de", False)
        assert set(found.weights) == set(model.state_dict())
        for key, value in model.state_dict().items():
            assert found.weights[key].dtype == torch.float32
            assert not found.weights[key].requires_grad
            assert torch.equal(found.weights[key], value.to(dtype).float())


def test_of_a_pair_the_one_is_taken_that_reads_the_way_asked_for(home, tmp_path):
    for root in (tmp_path, home / "models", pretrained.SHIPPED):
        name = f"german-{root.name}"
        place = str(root / name) if root == tmp_path else name
        save(root / name, seed=1)
        save(root / f"{name}-backward", seed=2, backward=True)
        assert find_pretrained(place) == root / name
        assert find_pretrained(place, backward=True) == root / f"{name}-backward"
        assert find_pretrained(f"{place}-backward", backward=True) == root / f"{name}-backward"
        assert load_pretrained(place, backward=True).backward
        refused(f"{place}-backward", "reads backward, but one that reads forward is asked for")


def test_a_model_without_a_twin_is_not_read_the_other_way(home):
    save(home / "models" / "german")
    refused("german", "reads forward, but one that reads backward is asked for", backward=True)
    save(home / "models" / "persian", backward=True)
    refused("persian", "reads backward, but one that reads forward is asked for")
    assert load_pretrained("persian", backward=True).backward


def test_the_users_own_model_goes_before_a_shipped_one_of_the_same_name(home):
    save(pretrained.SHIPPED / "german", seed=1)
    assert find_pretrained("german") == pretrained.SHIPPED / "german"
    mine = save(home / "models" / "german", seed=2)
    assert torch.equal(
        embedding_of(load_pretrained("german")), mine.state_dict()["encoder.embedding.weight"]
    )


def test_an_unknown_name_is_met_with_the_nearest(home):
    save(home / "models" / "german")
    refused("germna", "'germna' (did you mean german?)", "use german, wikitext-103")
    refused("wikitext103", "did you mean wikitext-103?")
    for name in ("x" * 5_000, "a\0b"):
        refused(name, "There is no pretrained language model")


def test_a_place_without_a_model_is_named(tmp_path):
    refused(tmp_path / "nowhere", tmp_path / "nowhere", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "empty", "holds no language model")
    (tmp_path / "notes.txt").write_text("hello")
    refused("notes.txt", "notes.txt holds no language model")


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.json", "config.json"])
def test_a_folder_of_our_own_with_a_bad_file_is_named(tmp_path, file):
    save(tmp_path / "mine")
    path = tmp_path / "mine" / file
    content = path.read_bytes()
    for length in (0, 20, len(content) - 5):
        path.write_bytes(content[:length])
        refused(tmp_path / "mine", tmp_path / "mine", "cannot be read", error=HpsearchError)
    path.unlink()
    refused(tmp_path / "mine", tmp_path / "mine", "cannot be read", error=HpsearchError)


def test_the_listing_names_every_model_with_its_place(home):
    assert [(m.name, m.place) for m in pretrained_names()] == [
        ("wikitext-103", "downloaded when it is first used (105 MB each way)")
    ]
    save(pretrained.SHIPPED / "shipped")
    save(home / "models" / "german")
    save(home / "models" / "german-backward", backward=True)
    (home / "models" / "german.lock").touch()
    (home / "models" / "no-model").mkdir()
    german, shipped, _ = pretrained_names()
    assert german.what == "emb 4, hidden 6, layers 2, 12 tokens, forward and backward"
    assert german == ("german", german.what, str(home / "models" / "german"))
    assert shipped.what == "emb 4, hidden 6, layers 2, 12 tokens, forward"
    (home / "models" / "german" / "config.json").write_text("{")
    assert "damaged" in pretrained_names()[0].what


@pytest.mark.parametrize("backward", [False, True])
def test_wikitext_is_found_in_hpsearch_data(tmp_path, monkeypatch, backward):
    content, embedding = archive_bytes(5, backward)
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("HPSEARCH_DATA", str(data))
    archive = data / ("wt103-bwd.tgz" if backward else "wt103-fwd.tgz")
    archive.write_bytes(content)
    found = load_pretrained("wikitext-103", backward=backward)
    assert torch.equal(embedding_of(found), embedding)
    assert (found.tokenizer, found.backward, found.sizes) == ("en", backward, (4, 4, 1))
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    archive.unlink()
    (tmp_path / "wt103").rename(data / archive.stem)  # as fastai leaves it in ~/.fastai/models
    assert find_pretrained("wikitext-103", backward=backward) == data / archive.stem
    assert torch.equal(embedding_of(load_pretrained("wikitext-103", backward=backward)), embedding)


@pytest.fixture
def server(monkeypatch):
    """Publishes a small model in the place of fast.ai's; `content` may be changed."""

    class Handler(BaseHTTPRequestHandler):
        content = b""
        requests = 0

        def do_GET(self):
            Handler.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(Handler.content)))
            self.end_headers()
            self.wfile.write(Handler.content)

        def log_message(self, *_):
            pass

    Handler.content, Handler.embedding = archive_bytes(9)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        url = f"http://127.0.0.1:{listening.server_port}/wt103-fwd.tgz"
        md5 = hashlib.md5(Handler.content).hexdigest()
        published = Archive(url, len(Handler.content), md5)
        monkeypatch.setitem(pretrained.PUBLISHED, False, published)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield Handler
        listening.shutdown()
        thread.join()


def test_wikitext_is_downloaded_once_and_kept_in_our_own_format(home, server):
    said = []
    found = load_pretrained("wikitext-103", say=said.append)
    assert torch.equal(embedding_of(found), server.embedding)
    assert (found.tokenizer, found.backward, found.sizes) == ("en", False, (4, 4, 1))
    kept = home / "models" / "wikitext-103"
    assert sorted(file.name for file in kept.iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocab.json",
    ]
    assert [file.name for file in Path(home / "models").iterdir() if file != kept] == [
        "wikitext-103.lock"
    ]
    assert "Getting wikitext-103 from http://127.0.0.1" in said[0]
    again = load_pretrained("wikitext-103", say=said.append)
    assert all(torch.equal(again.weights[key], value) for key, value in found.weights.items())
    assert again.vocab == found.vocab
    assert (server.requests, len(said)) == (1, 1)
    assert pretrained_names()[0].place == str(kept)


def test_a_download_with_another_checksum_is_refused(home, server):
    server.content = server.content[:-9] + b"#" + server.content[-8:]
    refused("wikitext-103", "md5", "bring wt103-fwd.tgz", error=HpsearchError)
    assert [file.name for file in (home / "models").iterdir()] == ["wikitext-103.lock"]


def test_a_published_archive_that_is_no_model_leaves_nothing_behind(home, server, monkeypatch):
    server.content = b"something else"
    md5 = hashlib.md5(server.content).hexdigest()
    published = Archive(pretrained.PUBLISHED[False].url, len(server.content), md5)
    monkeypatch.setitem(pretrained.PUBLISHED, False, published)
    refused("wikitext-103", "damaged or not a .tgz")
    assert [file.name for file in (home / "models").iterdir()] == ["wikitext-103.lock"]


def test_without_network_the_way_out_is_said(monkeypatch):
    nobody = Archive("http://127.0.0.1:9/wt103-bwd.tgz", 10, "0" * 32)
    monkeypatch.setitem(pretrained.PUBLISHED, True, nobody)
    words = "could not be downloaded", "bring wt103-bwd.tgz", "HPSEARCH_DATA"
    refused("wikitext-103", *words, backward=True, error=HpsearchError)
