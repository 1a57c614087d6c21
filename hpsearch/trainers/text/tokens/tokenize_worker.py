"""A process that tokenises: texts in, their ids out. `tokenize_pool` starts it.

It does not import torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
from typing import IO

from hpsearch.core import own_code
from hpsearch.errors import InputError
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer


def serve(name: str) -> None:
    """Answer each list of texts from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        # The user's function may print or read: not in our pipes.
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        told = 0
        tokenizer: Tokenizer | None = None
        while texts := _request(requests):
            answer: object
            try:
                tokenizer = tokenizer or Tokenizer(name)
                strings, ids, lengths = tokenizer.encode_here(texts)
                answer = (strings[told:], ids, lengths)
                told = len(strings)
            except InputError as error:
                answer = str(error)
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _request(requests: IO[bytes]) -> list[str] | None:
    try:
        texts: list[str] = pickle.load(requests)  # noqa: S301 (from our own process)
    except EOFError:
        return None
    return texts


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        own_code.allow_all(json.loads(sys.argv[2]))
        serve(sys.argv[1])
