"""Language models in the files that fast.ai publishes: a .tgz, or a folder with what is in it.

    lstm_fwd.pth or lstm_bwd.pth    the weights, pickled by torch
    itos_wt103.pkl                  the tokens in the order of their rows, a pickled list

Both are pickles from the network. The weights go through torch's unpickler for tensors alone, the
tokens through our own; an archive is read as a stream, so no member of it is written anywhere.

The list of tokens is read without running anything that is in it. No unpickler is involved. One
that refuses every class (`find_class`) still obeys a file in other ways: it allocates a memo as
large as an index in the file says, builds numbers and containers of any size, and takes extension
codes from a registry that other code fills. `pickletools.genops` only parses, so that here nothing
but strings and one list ever exists, whatever the file asks for.
"""

from __future__ import annotations

import gzip
import io
import pickletools
import re
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hpsearch.core.console import Progress
from hpsearch.core.words import short_reason
from hpsearch.data.named.imdb import OUTSIDE
from hpsearch.errors import InputError
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import UNK_ID, Vocab

MOST_STRINGS = 1_000_000
LONGEST_STRING = 10_000
"""Characters."""

_STRINGS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_MARK = object()


def read_string_list(pickled: bytes) -> list[str]:
    """The list of str that was pickled (protocols 0 to 5).

    Raises ValueError with a few words for people if there is anything else in it, if it is cut
    short, or if it holds more or longer strings than a vocabulary can have.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            _step(opcode.name, argument, stack, memo)
    except (IndexError, KeyError) as error:
        raise ValueError("its pickle is damaged") from error
    if len(stack) != 1 or not isinstance(stack[0], list):
        raise ValueError("it holds no list of strings")
    strings: list[str] = stack[0]
    return strings


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:  # noqa: ANN401
    """Carry out one opcode of those that make a list of strings."""
    if name in _STRINGS:
        if len(argument) > LONGEST_STRING:
            raise ValueError(f"it holds a string of {len(argument):,} characters")
        stack.append(argument)
    elif name in ("EMPTY_LIST", "LIST"):
        stack.append(_popped_to_mark(stack) if name == "LIST" else [])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("APPEND", "APPENDS"):
        items = _popped_to_mark(stack) if name == "APPENDS" else _strings([stack.pop()])
        if not isinstance(stack[-1], list):
            raise ValueError("its pickle is damaged")
        stack[-1].extend(items)
        if len(stack[-1]) > MOST_STRINGS:
            raise ValueError(f"it holds more than {MOST_STRINGS:,} strings")
    elif name == "MEMOIZE" or name in _PUTS:
        memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
    elif name in _GETS:
        stack.append(memo[argument])
    elif name not in ("PROTO", "FRAME", "STOP"):
        raise ValueError(f"it holds more than strings (the pickle opcode {name})")


def _popped_to_mark(stack: list[Any]) -> list[str]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return _strings(items[::-1])


def _strings(items: list[Any]) -> list[str]:
    for item in items:
        if not isinstance(item, str):
            raise ValueError("it holds something other than strings")
    return items


ARCHIVES = (".tgz", ".tar.gz")
WEIGHTS = {False: "lstm_fwd.pth", True: "lstm_bwd.pth"}
"""The file of the model that reads forward (False) and backward (True)."""
TOKENS = "itos_wt103.pkl"
MOST_BYTES = 1 << 30
"""Of one file, and of a whole archive unpacked; the published ones have a fifth of it."""
_MOST_LAYERS = 8
_WAY_OUT = "get it again from where it was published"


def read_fastai(
    place: Path, *, backward: bool, progress: Progress
) -> tuple[dict[str, Tensor], Vocab]:
    """Weights (float32, named as in `LanguageModel.state_dict`) and vocabulary.

    The nine special tokens are moved to the front; one that the file lacks gets the mean row.
    Raises InputError in one sentence if a file is missing, damaged, holds anything but tensors or
    strings, or if the weights are not those of an AWD-LSTM with these tokens.
    """
    names = (WEIGHTS[backward], TOKENS)
    read = _from_archive if place.is_file() else _from_folder
    try:
        content = read(place, names, progress)
    except OSError as error:
        raise InputError(f"{place} cannot be read ({short_reason(error)}): {_WAY_OUT}.") from error
    missing = [name for name in names if name not in content]
    if missing:
        other = WEIGHTS[not backward]
        way = "backward" if backward else "forward"
        raise InputError(
            f"{place} holds no {' and no '.join(missing)}"
            + (f" but {other}, the model that reads the other way" if other in content else "")
            + f": give fast.ai's archive or folder of the model that reads {way}."
        )
    try:
        state = _unpickle_weights(content[names[0]])
        weights = _translate(state)
    except ValueError as error:
        raise InputError(f"{names[0]} in {place} was refused: {error}; {_WAY_OUT}.") from error
    try:
        return _arrange(weights, read_string_list(content[TOKENS]))
    except ValueError as error:
        raise InputError(f"{TOKENS} in {place} was refused: {error}; {_WAY_OUT}.") from error


def rows_by_token(
    weights: Mapping[str, Tensor], ids: Mapping[str, int], tokens: Sequence[str]
) -> dict[str, Tensor]:
    """`weights` with the embedding's rows (V, E) and the decoder's bias (V,) of `tokens`.

    `ids` says in which row a token was; one that has none gets the mean row and the mean bias
    (Howard and Ruder's code, as fastai does).
    """
    rows = torch.tensor([ids.get(token, -1) for token in tokens])
    new = dict(weights)
    for name in ("encoder.embedding.weight", "decoder_bias"):
        old = weights[name]
        new[name] = old[rows.clamp(min=0)]
        new[name][rows < 0] = old.mean(0)
    return new


def _from_folder(place: Path, names: Sequence[str], progress: Progress) -> dict[str, bytes]:
    """The wanted files, and an empty entry for the other direction's weights if they are there."""
    content: dict[str, bytes] = {}
    for i, name in enumerate((*names, *WEIGHTS.values())):
        file = place / name
        if name in content or not file.is_file():
            continue
        if name not in names:
            content[name] = b""
            continue
        progress(f"reading {place.name}", i, len(names))
        _check_size(place, name, file.stat().st_size)
        content[name] = file.read_bytes()
    return content


def _from_archive(place: Path, names: Sequence[str], progress: Progress) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    size = place.stat().st_size
    try:
        with place.open("rb") as raw, gzip.open(raw) as unpacked:
            stream = _Bounded(unpacked, place)
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    name = member.name.rsplit("/", 1)[-1]
                    progress(f"reading {place.name}", raw.tell(), size)
                    _check_size(place, name, member.size)
                    if OUTSIDE.search(member.name):
                        raise InputError(
                            f"{place} holds the path {member.name[:80]!r}, which leads out of the"
                            f" archive's own folder: {_WAY_OUT}."
                        )
                    if member.isreg() and name in (*names, *WEIGHTS.values()):
                        file = archive.extractfile(member)
                        content[name] = file.read() if file and name in names else b""
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{place} is damaged or not a .tgz archive ({short_reason(error)}): {_WAY_OUT}."
        ) from error
    return content


def _check_size(place: Path, name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise InputError(f"{place} is no language model: {name[:80]!r} in it has {size:,} bytes.")


class _Bounded:
    """A stream that ends with an error: a few bytes can unpack to more than the memory holds."""

    def __init__(self, stream: gzip.GzipFile, place: Path) -> None:
        self._stream, self._place, self._left = stream, place, MOST_BYTES

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise InputError(
                f"{self._place} is no language model: it unpacks to more than {MOST_BYTES:,} bytes."
            )
        return piece


class _Inert:
    """Stands for fastcore's list, in which `Learner.save` keeps the optimiser's settings."""


def _unpickle_weights(content: bytes) -> dict[str, Tensor]:
    """The state dict, bare or as `Learner.save` wraps it. Raises ValueError."""
    file = io.BytesIO(content)
    try:
        unpacked = 0
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as members:
                unpacked = sum(member.file_size for member in members.infolist())
        if unpacked <= MOST_BYTES:
            file.seek(0)
            with torch.serialization.safe_globals([(_Inert, "fastcore.foundation.L")]):
                loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has a dozen kinds for files that are not its own
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            raise ValueError(f"it holds {found[1]}, which is no tensor and was not run") from error
        raise ValueError(f"it is cut short or no file of torch ({type(error).__name__})") from error
    if unpacked > MOST_BYTES:
        raise ValueError(f"it unpacks to {unpacked:,} bytes")
    state = loaded.get("model", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ValueError("it holds no named tensors")
    for key, value in state.items():
        _check_tensor(key, value)
    return state


def _check_tensor(key: str, value: object) -> None:
    """A plain tensor of finite numbers that are all in the file. Raises ValueError."""
    plain = type(value) is Tensor and value.layout == torch.strided and not value.is_nested
    if not isinstance(value, Tensor) or not plain or value.device.type != "cpu":
        raise ValueError(f"{key[:80]} is no tensor")
    if not value.is_floating_point():
        raise ValueError(f"{key[:80]} is of type {value.dtype}")
    # Strides of 0 let a few bytes claim to be any number of numbers.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ValueError(f"{key[:80]} claims more numbers than it has")
    if not value.isfinite().all():
        raise ValueError(f"{key[:80]} has numbers that are not finite")


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """fast.ai's names to ours, every shape checked. Raises ValueError."""
    layers = sum(bool(re.fullmatch(r"0\.rnns\.\d+\.weight_hh_l0_raw", key)) for key in state)
    names = {"0.encoder.weight": "encoder.embedding.weight", "1.decoder.bias": "decoder_bias"}
    copies = {"1.decoder.weight": "0.encoder.weight", "0.encoder_dp.emb.weight": "0.encoder.weight"}
    ignored = set()
    for i in range(min(_MOST_LAYERS, max(1, layers))):
        names[f"0.rnns.{i}.weight_hh_l0_raw"] = f"encoder.rnns.{i}.weight_hh"
        ignored.add(f"0.rnns.{i}.module.weight_hh_l0")  # what weight drop left of it
        for part in ("weight_ih", "bias_ih", "bias_hh"):
            names[f"0.rnns.{i}.module.{part}_l0"] = f"encoder.rnns.{i}.{part}"
    if missing := [key for key in (*names, "1.decoder.weight") if key not in state]:
        raise ValueError(f"{_first(missing)} is missing")
    if unexpected := [key for key in state if key not in {*names, *copies, *ignored}]:
        raise ValueError(f"{_first(unexpected)} does not belong there")
    for copy, original in copies.items():
        if copy in state and not torch.equal(state[copy], state[original]):
            raise ValueError(f"{copy} differs from {original}, to which it should be tied")
    new = {name: state[key] for key, name in names.items()}
    keys = {name: key for key, name in names.items()}
    for name, shape in _shapes(new).items():
        if new[name].shape != shape:
            raise ValueError(f"{keys[name]} is {_sizes(new[name].shape)} and not {_sizes(shape)}")
    return {name: value.float().contiguous() for name, value in new.items()}


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """What an AWD-LSTM with this embedding and this first layer consists of."""
    embedding, first = weights["encoder.embedding.weight"], weights["encoder.rnns.0.weight_hh"]
    if embedding.dim() != 2 or first.dim() != 2 or 0 in (*embedding.shape, *first.shape):
        raise ValueError("its embedding or its first layer is no matrix")
    layers = sum(name.endswith(".weight_hh") for name in weights)
    n_tokens, emb = embedding.shape
    shapes: dict[str, tuple[int, ...]] = {"decoder_bias": (n_tokens,)}
    widths = [emb] + [first.shape[1]] * (layers - 1) + [emb]
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        shapes[f"encoder.rnns.{i}.weight_ih"] = (4 * n_out, n_in)
        shapes[f"encoder.rnns.{i}.weight_hh"] = (4 * n_out, n_out)
        for part in ("bias_ih", "bias_hh"):
            shapes[f"encoder.rnns.{i}.{part}"] = (4 * n_out,)
    return shapes


def _first(keys: Sequence[str]) -> str:
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return f"{keys[0][:80]}{more}"


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _arrange(weights: dict[str, Tensor], tokens: list[str]) -> tuple[dict[str, Tensor], Vocab]:
    """Our order of the rows: special tokens first, no token twice. Raises ValueError."""
    n_rows = len(weights["decoder_bias"])
    if len(tokens) != n_rows:
        raise ValueError(f"it has {len(tokens):,} tokens, but the weights have {n_rows:,} rows")
    ids: dict[str, int] = {}
    for i, token in enumerate(tokens):
        ids.setdefault(token, i)
    if SPECIALS[UNK_ID] not in ids:
        raise ValueError(f"it lacks the token {SPECIALS[UNK_ID]}, so it is not of fastai 1 or 2")
    words = (t for t in ids if t not in SPECIALS and t != "xxfake")  # fills up to a multiple of 8
    vocab = Vocab((*SPECIALS, *words))
    return rows_by_token(weights, ids, vocab.tokens), vocab
