"""Where a model trains, and in which precision."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


def default_device() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(wanted: str, device: str) -> torch.dtype:
    """The type of the large products: bfloat16 where the hardware multiplies it natively.

    On a processor without AVX-512 BF16 or AMX, bfloat16 is emulated and slower than float32.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    cpu = torch.backends.cpu.get_cpu_capability()
    flags = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if flags and "AVX512" in cpu else torch.float32


def autocast(device: str, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Large products in `dtype` over a block; float32 ends mixed precision inside it."""
    kind = device.split(":")[0]
    if not torch.amp.is_autocast_available(kind):  # torch's meta device
        return nullcontext()
    return torch.autocast(kind, dtype=dtype, enabled=dtype != torch.float32)


@contextmanager
def one_thread_each(device: str) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that does independent pieces of work side by side, each on one core.

    Two threads on one small product get in each other's way; on two products they do not. On a GPU
    it is the ordinary `map`. Gradient mode and autocast belong to a thread: set them inside.
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
    """Let glibc keep what is freed, on Linux.

    It gives large blocks back to the system at once; a language model's logits are tens of
    megabytes, and having their pages zeroed again at every step costs a third of the time.
    """
    trim_threshold, mmap_threshold, two_gigabytes = -1, -3, 2**31 - 1
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(trim_threshold, two_gigabytes)
        libc.mallopt(mmap_threshold, two_gigabytes)
    except (OSError, AttributeError):
        pass  # another system; it is only slower
