"""Our tokens beside fastai 2.8's: how far they agree, and how fast each makes them.

    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 \
        /tmp/peers/bin/python tests/benchmarks/bench_tokens.py

The environment /tmp/peers is that of bench_fastai_parity.py; without it, run `.venv/bin/python
tests/benchmarks/bench_tokens.py --ours` for our own speed. Prints the agreement on 1,000 reviews
(tokens in the blocks that difflib matches, over fastai's tokens) with every kind of disagreement,
then reviews tokenised and numbered per second by 2 processes of each, wall time with their start
included, and our memory: the sum of the PSS of all our processes at its highest. Exits with 1 if
tokens agree on less than 99.5%, or we are not 20 times as fast, or all 100,000 reviews take more
than 60 s or 2 GB.
"""

import argparse
import difflib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from hpsearch.data import load_text
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

COMPARED, PEER_REVIEWS, PROCESSES = 1_000, 4_000, 2
AGREEMENT, TIMES_FASTER, SECONDS, BYTES = 0.995, 20, 60, 2e9
MAX_VOCAB, MIN_FREQ = 60_000, 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", action="store_true", help="only our speed, as JSON")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    options = parser.parse_args()
    if options.ours:
        print(json.dumps(our_speed(options.processes)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; wall times suffer from others")
    texts = reviews()
    agreement = compare([texts[i] for i in sample(len(texts), COMPARED)])
    # A process of its own, so that fastai's memory is not counted as ours.
    command = [sys.executable, __file__, "--ours", "--processes", str(options.processes)]
    ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    peer = peer_speed([texts[i] for i in sample(len(texts), PEER_REVIEWS)], options.processes)
    ratio = ours["reviews_per_s"] / peer["reviews_per_s"]
    print(
        f"fastai: {peer['reviews_per_s']:,.0f} reviews/s on {PEER_REVIEWS:,} with "
        f"{options.processes} processes, processor time {1e3 * peer['cpu_s_per_review']:.2f} ms a "
        "review"
    )
    print(
        f"hpsearch: {ours['reviews_per_s']:,.0f} reviews/s on {ours['reviews']:,}, "
        f"{ratio:.1f} times fastai's; {ours['wall_s']:.1f} s in all ({ours['numbering_s']:.1f} s "
        f"of it numbering), processor time {ours['children_cpu_s']:.1f} s in the "
        f"{options.processes} processes and {ours['own_cpu_s']:.1f} s in their parent, "
        f"memory {ours['pss_bytes'] / 1e9:.2f} GB"
    )
    cpu = (ours["children_cpu_s"] + ours["own_cpu_s"]) / ours["reviews"]
    print(
        f"processor time: {1e3 * cpu:.3f} ms a review, {peer['cpu_s_per_review'] / cpu:.1f} times "
        "less than fastai's (to be trusted more than wall time on a busy machine)"
    )
    good = agreement >= AGREEMENT and ratio >= TIMES_FASTER
    sys.exit(0 if good and ours["wall_s"] <= SECONDS and ours["pss_bytes"] <= BYTES else 1)


def reviews():
    data = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
    return data.table["text"].tolist()


def sample(total, wanted):
    return np.random.default_rng(0).permutation(total)[:wanted]


def our_speed(processes):
    """Tokenise and number all reviews once, as the first thing that this process does."""
    texts = reviews()
    with Memory() as memory:
        started, cpu = time.perf_counter(), time.process_time()
        encoded = Tokenizer().encode(texts, processes=processes)
        tokenised = time.perf_counter()
        vocab = Vocab.build(encoded.ids, encoded.strings, max_vocab=MAX_VOCAB, min_freq=MIN_FREQ)
        ids = vocab.numericalise(encoded)
        ended, cpu = time.perf_counter(), time.process_time() - cpu
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "reviews": len(texts),
        "tokens": len(ids),
        "vocabulary": len(vocab),
        "reviews_per_s": len(texts) / (ended - started),
        "wall_s": ended - started,
        "numbering_s": ended - tokenised,
        "own_cpu_s": cpu,
        "children_cpu_s": children.ru_utime + children.ru_stime,
        "pss_bytes": memory.peak,
    }


class Memory:
    """The highest sum of the PSS of this process and its children, looked at twice a second: a
    look costs some milliseconds."""

    def __enter__(self):
        self.peak, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.5):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            self.peak = max(self.peak, sum(map(pss, ["self", *children])))


def pss(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def peer_speed(texts, processes):
    """How fast fastai makes tokens and numbers, the way its TextBlock does."""
    from fastai.text.core import SpacyTokenizer, parallel_tokenize
    from fastai.text.data import Numericalize

    started, cpu = time.perf_counter(), cpu_seconds()
    tokens = dict(parallel_tokenize(texts, SpacyTokenizer("en"), n_workers=processes))
    tokens = [tokens[i] for i in range(len(texts))]
    numericalize = Numericalize(min_freq=MIN_FREQ, max_vocab=MAX_VOCAB)
    numericalize.setup(tokens)
    for of_text in tokens:
        numericalize(of_text)
    return {
        "reviews_per_s": len(texts) / (time.perf_counter() - started),
        "cpu_s_per_review": (cpu_seconds() - cpu) / len(texts),
    }


def cpu_seconds():
    """Of this process and of its children that have ended."""
    used = os.times()
    return sum(used[:4])


def compare(texts):
    """Print how far the tokens agree and where they do not; returns the share that agrees."""
    from fastai.text.core import SpacyTokenizer, TokenizeWithRules

    tokenizer = Tokenizer()
    same = total = equal = 0
    kinds, examples = Counter(), defaultdict(Counter)
    for text, peer in zip(texts, TokenizeWithRules(SpacyTokenizer("en"))(texts), strict=True):
        ours, theirs = tokenizer.tokens(text), list(peer)
        total += len(theirs)
        if ours == theirs:
            same, equal = same + len(theirs), equal + 1
            continue
        for tag, i, j, k, m in difflib.SequenceMatcher(None, ours, theirs, False).get_opcodes():
            if tag == "equal":
                same += j - i
            else:
                kind = kind_of(ours[i:j], theirs[k:m])
                kinds[kind] += max(j - i, m - k)
                examples[kind][f"{ours[i:j]} for {theirs[k:m]}"] += 1
    print(f"tokens that agree on {len(texts):,} reviews: {same / total:.4%} of {total:,}")
    print(f"reviews whose tokens are all the same: {equal:,}")
    for kind, tokens in kinds.most_common():
        print(f"  {kind}: {tokens} tokens")
        for example, times in examples[kind].most_common(4):
            print(f"    {times} x {example[:140]}")
    return same / total


def kind_of(ours, theirs):
    """Why they differ, as far as the tokens tell."""
    both = [*ours, *theirs]
    if any(token.isspace() or "▁" in token for token in both):
        return "runs of white space"
    if {"xxrep", "xxwrep"} & set(both):
        return "repetitions"
    if set(SPECIALS) & set(both):
        return "capitals"
    if any("&" in token for token in both):
        return "HTML entities"
    return "where a word is split"


if __name__ == "__main__":
    main()
