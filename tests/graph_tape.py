"""A stand-in for CUDA graphs on a processor, for the tests of steps that are captured.

It records the kernels of a step with the tensors that they read and write, as a CUDA graph does,
and replays them on the same tensors. So a number that the step took from the host stays what it
was, a tensor that the host puts in place of another is not followed, what the step returned is
overwritten by the next replay, and a step that asks for a value cannot be recorded.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.equal,
}  # fmt: skip
MAKES_NOTHING = {aten.empty, aten.empty_like, aten.new_empty, aten.empty_strided}


def tensors_of(tree):
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


def storages(tensors):
    return {t.untyped_storage()._cdata for t in tensors}


class _Recording(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.kernels = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket in WAITS:
            raise RuntimeError(f"{func.overloadpacket} waits for the device")
        out = func(*args, **kwargs)
        given = storages(tensors_of((args, kwargs)))
        # Of what comes out, that which is neither an argument nor a view of one.
        made = [
            (i, t.detach())
            for i, t in enumerate(tensors_of(out))
            if t.untyped_storage()._cdata not in given
        ]
        if func._schema.is_mutable or (made and func.overloadpacket not in MAKES_NOTHING):
            # oneDNN rounds otherwise where no gradient is wanted.
            self.kernels.append((func, args, kwargs, made, torch.is_grad_enabled()))
        return out


class TapeGraph:
    def __init__(self, kernels, outputs, tape):
        self._kernels, self.outputs, self._tape = kernels, outputs, tape
        self._computed = True  # recording on CUDA computes nothing; here it did

    def replay(self):
        self._tape.replayed += 1
        if self._computed:
            self._computed = False
            return
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, made, grad in self._kernels:
                with torch.set_grad_enabled(grad):
                    out = tensors_of(func(*args, **kwargs))
                for i, kept in made:
                    kept.copy_(out[i])


class Tape:
    """The `recorder` of a CapturedStep; counts what it did."""

    def __init__(self):
        self.ran = self.recorded = self.replayed = 0

    def run(self, step, inputs):
        self.ran += 1
        return step(*inputs)

    def record(self, step, inputs, generators):
        with _Recording() as recording:
            outputs = step(*inputs)
        self.recorded += 1
        return TapeGraph(recording.kernels, outputs, self)
