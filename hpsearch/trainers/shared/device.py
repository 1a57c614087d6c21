"""Where a model trains, and in which precision."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from hpsearch.errors import InputError
from hpsearch.trainers.shared import DETERMINISTIC

torch.backends.cudnn.deterministic = DETERMINISTIC
# Its LSTM would multiply float32 in TF32, with 10 of the 23 bits: float32 is what is said.
torch.backends.cudnn.allow_tf32 = False

_CUDNN_WITH_BFLOAT16_LSTM = 91300
"""Before 9.13 torch made a bfloat16 LSTM of single kernels, slower than cuDNN's float32 one."""


def resolve_precision(wanted: str, device: str) -> torch.dtype:
    """Choose the type of the large products: bfloat16 where the hardware multiplies it natively.

    A processor without AVX-512 BF16 or AMX emulates bfloat16, which is slower than float32.

    Args:
        wanted: "auto", "bfloat16" or "float32".

    Raises:
        InputError: bfloat16 is wanted of a processor that can only emulate it.
    """
    if wanted == "bfloat16" and device == "cpu" and not multiplies_bfloat16():
        raise InputError(
            'precision = "bfloat16" needs a GPU or a processor that multiplies it (AVX-512), and '
            'this one does not; leave it at "auto" or set it to "float32".'
        )
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        lstm = (version or 0) >= _CUDNN_WITH_BFLOAT16_LSTM
        return torch.bfloat16 if native and lstm else torch.float32
    flags = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if flags and multiplies_bfloat16() else torch.float32


def multiplies_bfloat16() -> bool:
    """Whether oneDNN has bfloat16 products for this processor: on x86 it has, from AVX-512 on.

    Where it has none, torch emulates them. Then an LSTM takes 8 times as long as in float32, and a
    matrix product 100 times.
    """
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def one_thread_each(device: str) -> Iterator[Callable[..., Iterable[Any]]]:
    """Gives a `map` that does independent pieces of work at the same time, each on one core.

    Two threads that share one small product slow each other down; with a product each they do not.
    On a GPU it is the ordinary `map`. Gradient mode belongs to a thread, so set it in the function.
    """
    threads = torch.get_num_threads()
    if device != "cpu" or threads == 1:
        yield map
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Let glibc keep memory that is freed, on Linux.

    Otherwise glibc gives large blocks back to the system at once. The logits of a language model
    are tens of megabytes, and zeroing their pages again at every step costs a third of the time.
    """
    trim_threshold, mmap_threshold, two_gigabytes = -1, -3, 2**31 - 1
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(trim_threshold, two_gigabytes)
        libc.mallopt(mmap_threshold, two_gigabytes)
    except (OSError, AttributeError):
        pass  # another system; it is only slower
