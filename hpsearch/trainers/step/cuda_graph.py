"""A step as one CUDA graph: the kernels of a step are launched together, not one by one.

A step of a language model is some hundreds of kernels of a few microseconds each; queueing them
from Python takes longer than running them. A CUDA graph is recorded once for inputs of one shape
and replayed from then on. Nothing is recorded on a processor, where a step is simply called.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]

_ONE_AT_A_TIME = threading.Lock()
"""CUDA records one graph at a time in a process; replaying needs no lock."""


class Graph(Protocol):
    """A recorded step."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the step returned; `replay` writes into the same tensors."""

    def replay(self) -> None:
        """Do what was recorded, with what the tensors hold now."""


class Recorder(Protocol):
    """Runs and records steps: CUDA does, and a substitute in the tests."""

    def run(self, step: Step, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Call the step in the ordinary way, on the stream that graphs are recorded on."""

    def record(
        self, step: Step, inputs: Sequence[Tensor], generators: Sequence[torch.Generator]
    ) -> Graph:
        """Record the step as a graph, without computing anything.

        Raises:
            RuntimeError: The step cannot be recorded.
        """


class CapturedStep:
    """A function `step(*inputs) -> outputs` of tensors, recorded once for each shape of its inputs.

    The first `warm` calls with inputs of new shapes are ordinary calls. The next call records the
    step. That call and all later ones replay the recording, with the same result to the bit. Calls
    stay ordinary for inputs of further shapes once `most` shapes are recorded, and for all inputs
    once a recording has failed; `fallback` then holds the reason.

    The step must keep three rules:
    - It does not wait for the device, and copies nothing between the device and main memory.
    - It reads and writes only tensors that live as long as this object, such as weights and
      states, and changes nothing else. `generators` are those that it draws random numbers from.
      Between calls they may be given a new seed or state, but not be replaced.
    - A number in main memory that it reads is recorded with its value: such a number may depend
      on the shapes of the inputs only.

    The next call overwrites the outputs. It may also overwrite any memory that the step allocated
    and freed. Several threads may each have steps of their own.
    """

    def __init__(
        self,
        step: Step,
        *,
        device: torch.device | str,
        generators: Sequence[torch.Generator] = (),
        warm: int = 2,
        most: int = 8,
        recorder: Recorder | None = None,
    ) -> None:
        self._step, self._generators = step, generators
        self._warm, self._most = warm, most
        device = torch.device(device)
        self._recorder = recorder or (_Cuda(device) if device.type == "cuda" else None)
        self._calls: dict[tuple[object, ...], int] = {}
        self._graphs: dict[tuple[object, ...], tuple[list[Tensor], Graph]] = {}
        self.fallback: str | None = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self._recorder is None:
            return self._step(*inputs)
        shapes = tuple((x.shape, x.dtype) for x in inputs)
        if shapes not in self._graphs and self._records(shapes):
            self._record(shapes, inputs, self._recorder)
        if shapes not in self._graphs:
            return self._recorder.run(self._step, inputs)
        static, graph = self._graphs[shapes]
        for mine, given in zip(static, inputs, strict=True):
            mine.copy_(given)
        graph.replay()
        return graph.outputs

    def _records(self, shapes: tuple[object, ...]) -> bool:
        """Count this call; returns whether it is the one to record."""
        self._calls[shapes] = self._calls.get(shapes, 0) + 1
        room = len(self._graphs) < self._most and self.fallback is None
        return room and self._calls[shapes] > self._warm

    def _record(
        self, shapes: tuple[object, ...], inputs: Sequence[Tensor], recorder: Recorder
    ) -> None:
        static = [x.clone() for x in inputs]
        try:
            self._graphs[shapes] = static, recorder.record(self._step, static, self._generators)
        except RuntimeError as error:
            self._graphs.clear()
            reason = str(error).strip().splitlines()[0]
            self.fallback = (
                f"A training step could not be recorded as a CUDA graph ({reason}); "
                "it goes on without one, slower and with the same results."
            )
            warnings.warn(self.fallback, RuntimeWarning, stacklevel=4)


_side = threading.local()


def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which this thread runs and records steps.

    It is the current stream, unless that is the default stream, which cannot be recorded. Then it
    is another stream, and always the same one: cuBLAS keeps 32 MB for each stream that it has seen.
    """
    here = torch.cuda.current_stream(device)
    if here != torch.cuda.default_stream(device):
        return here
    streams: dict[torch.device, torch.cuda.Stream] = _side.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return streams[device]


class _Cuda:
    """Recording on a side stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _side_stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, step: Step, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        # Each stream waits for the other, so that no memory is given away while it is in use.
        with torch.cuda.stream(self._stream):
            outputs = step(*inputs)
        here.wait_stream(self._stream)
        return outputs

    def record(
        self, step: Step, inputs: Sequence[Tensor], generators: Sequence[torch.Generator]
    ) -> Graph:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        recording = torch.cuda.graph(
            graph,
            pool=self._pool,
            stream=self._stream,
            capture_error_mode="thread_local",  # other threads may allocate meanwhile
        )
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        try:
            # The outer block puts the stream back where the recording fails.
            with _ONE_AT_A_TIME, torch.cuda.stream(self._stream), recording:
                outputs = step(*inputs)
        except RuntimeError:
            for generator in generators:  # else it still counts for the recording that broke off
                generator.graphsafe_set_state(generator.clone_state())
            raise
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return _CudaGraph(graph, outputs)


class _CudaGraph:
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: tuple[Tensor, ...]) -> None:
        self._graph, self.outputs = graph, outputs

    def replay(self) -> None:
        self._graph.replay()
