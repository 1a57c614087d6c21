"""Studies with a known truth: do rules hold, are they found, does following them pay?

One row, quickly, with a line for it (20 studies of 60 trials take about half a minute):

    OMP_NUM_THREADS=1 .venv/bin/python -m tests.benchmarks.truth --shape cliff --sampler mix \\
        --trials 60 --studies 20 --seeds tuning

Without --shape, --sampler or --trials: all of them. A study that the file of results already has
is not repeated: a long run goes on where it stopped. The file's name holds a hash of hpsearch and
of the studies, so that another version of either begins anew. --table prints, for the lines of the
file (or of --file), the rows for RESULTS.md, by --by; gates stand below with what was reached.
--before FILE puts another version's figures of the same studies beside them, as before / after.

A quadratic regression is asked about every study, since it takes no time. --peers asks Optuna's
fANOVA and PED-ANOVA and a Gaussian process about the same studies, in a file of their own (they
take seconds a study); --table shows them beside ours. --shape svm "nn boston" are tables of
real experiments, from HPSEARCH_DATA.

--seeds tuning is for choosing constants, as often as one likes. --seeds reporting is for the
figures of a release, once; the two share no seed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import hashlib
import itertools
import json
import tempfile
from pathlib import Path

import optuna

import hpsearch
from hpsearch.search.plan import cohorts
from tests.benchmarks.truth.peers import PEERS, ask
from tests.benchmarks.truth.record import said
from tests.benchmarks.truth.report import KEYS, print_table, read
from tests.benchmarks.truth.score import COLUMNS, score, show
from tests.benchmarks.truth.shapes import SHAPES
from tests.benchmarks.truth.studies import FIRST, SAMPLERS, make_study, study_seed
from tests.benchmarks.truth.tables import FOLDER, TABLES, shape_of

SIZES = (60, 120, 250)


def version(*, peers: bool = False) -> str:
    """A hash of the code that makes the lines: hpsearch, the shapes and their studies."""
    here = Path(__file__).parent
    files = [here / name for name in ("shapes.py", "studies.py", "tables.py")]
    if peers:  # of which hpsearch has no part
        files += [here / "peers.py", Path(cohorts.__file__)]
    else:
        files += [here / "record.py", *sorted(Path(hpsearch.__file__).parent.rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]


def default_file(*, peers: bool = False) -> Path:
    home = Path(os.environ.get("HPSEARCH_HOME", tempfile.gettempdir()))
    return home / "truth" / f"{'peers-' * peers}{version(peers=peers)}.jsonl"


def run(args: argparse.Namespace, path: Path) -> None:
    """Simulate and ask what the file does not have, and print a line for each row."""
    known = read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"lines in {path}", flush=True)
    with path.open("a") as file:
        for sampler, trials, shape in itertools.product(args.sampler, args.trials, args.shape):
            lines = []
            for index in range(args.first, args.first + args.studies):
                key = (shape, sampler, trials, args.seeds, index)
                if key not in known:
                    known[key] = dict(zip(KEYS, key, strict=True)) | one(key, args.peers)
                    print(json.dumps(known[key]), file=file, flush=True)
                lines.append(known[key])
            row = score(lines)
            cells = [f"{name} {show(row, name)}" for name in COLUMNS if row.mean(name) is not None]
            print(f"{shape}, {sampler}, {trials}: {row.studies} studies; {'; '.join(cells)}",
                  flush=True)  # fmt: skip


def one(key: tuple, peers: list[str]) -> dict:
    """What is said about one study: by `explain`, or by the peers that are named."""
    name, sampler, trials, seeds, index = key
    shape, seed = shape_of(name), study_seed(seeds, index, name, sampler, trials)
    study = make_study(shape, sampler, trials, seed)
    if peers:
        return {"peers": ask(study, shape, peers, seed)}
    # The regression takes no time, and its power is a gate.
    return said(study, seed) | {"peers": ask(study, shape, ["quadratic"], seed)}


def table(args: argparse.Namespace, path: Path) -> None:
    peers = read(args.peers_file or default_file(peers=True))

    def chosen(file: Path) -> dict:
        return {
            key: line | {"peers": line.get("peers", {}) | peers.get(key, {}).get("peers", {})}
            for key, line in read(file).items()
            if line["seeds"] == args.seeds and line["shape"] in args.shape
            and line["sampler"] in args.sampler and line["trials"] in args.trials
        }  # fmt: skip

    before = None if args.before is None else chosen(args.before)
    print(f"Seeds for {args.seeds}. Rates in percent, with standard errors.\n")
    print_table(chosen(path), args.by, args.columns, before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shape", nargs="+", choices=[*SHAPES, *TABLES], metavar="NAME", default=list(SHAPES)
    )
    parser.add_argument("--sampler", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--trials", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--studies", type=int, default=20, help="in a row")
    parser.add_argument("--first", type=int, default=0, help="index of a row's first study")
    parser.add_argument("--seeds", choices=FIRST, default="tuning")
    parser.add_argument("--file", type=Path, help="of results, instead of that of this version")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[], help="ask them instead")
    parser.add_argument("--peers-file", type=Path)
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    parser.add_argument("--by", nargs="*", default=["shape"], choices=KEYS[:3])
    parser.add_argument(
        "--columns", nargs="+", choices=COLUMNS, metavar="NAME", default=list(COLUMNS)
    )
    parser.add_argument("--before", type=Path, help="another version's file, for its table beside")
    args = parser.parse_args()
    if not TABLES.keys().isdisjoint(args.shape) and not FOLDER.is_dir():
        parser.error("set HPSEARCH_DATA to the folder whose folder `tables` holds them")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = args.file or default_file(peers=bool(args.peers))
    if args.table:
        table(args, path)
    else:
        run(args, path)


if __name__ == "__main__":
    main()
