"""Steps that are recorded and replayed compute what plain calls compute, to the bit.

There is no GPU here: `graph_tape` stands in for CUDA's graphs. What needs CUDA is tests/gpu's.
"""

import threading
from contextlib import contextmanager

import pytest
import torch
from graph_tape import Tape
from torch import nn

from hpsearch.trainers.step import cuda_graph
from hpsearch.trainers.step.cuda_graph import CapturedStep


class Training:
    """A small recurrent training: weights, a state that goes on, and dropout."""

    def __init__(self, recorder=None, **options):
        torch.manual_seed(0)
        self.layer = nn.LSTM(3, 4)
        self.state = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
        self.draw = torch.Generator().manual_seed(5)
        self.scale = 1.0
        self.captured = CapturedStep(
            self.gradients, device="cpu", generators=[self.draw], recorder=recorder, **options
        )
        self.losses = []

    def gradients(self, x):
        kept = torch.rand(x.shape, generator=self.draw) < 0.8
        out, state = self.layer(x * kept, self.state)
        loss = out.square().mean() * self.scale
        grads = torch.autograd.grad(loss, list(self.layer.parameters()))
        for mine, new in zip(self.state, state, strict=True):
            mine.copy_(new.detach())
        return loss.detach(), *grads

    def train(self, shapes, lr=0.1):
        for i, steps in enumerate(shapes):
            x = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(i))
            loss, *grads = self.captured(x)
            with torch.no_grad():
                for weight, grad in zip(self.layer.parameters(), grads, strict=True):
                    weight -= lr / (i + 1) * grad
            self.losses.append(loss.item())
        return self

    def same(self, other):
        pairs = zip(self.layer.parameters(), other.layer.parameters(), strict=True)
        return self.losses == other.losses and all(torch.equal(a, b) for a, b in pairs)


def test_replayed_steps_are_plain_ones_to_the_bit():
    tape = Tape()
    replayed, plain = Training(tape).train([5] * 8), Training().train([5] * 8)
    assert replayed.same(plain)
    assert (tape.ran, tape.recorded, tape.replayed) == (2, 1, 6)
    assert len(set(plain.losses)) == 8


def test_every_shape_is_recorded_for_itself_and_the_states_go_on_across_them():
    shapes, tape = [5, 3, 5, 5, 5, 3, 3, 3, 5], Tape()
    replayed = Training(tape, warm=1).train(shapes)
    assert replayed.same(Training().train(shapes))
    assert (tape.ran, tape.recorded, tape.replayed) == (2, 2, 7)


def test_shapes_beyond_the_most_that_are_recorded_run_as_they_are():
    shapes, tape = [5, 5, 3, 3, 3, 5], Tape()
    assert Training(tape, warm=1, most=1).train(shapes).same(Training().train(shapes))
    assert (tape.ran, tape.recorded, tape.replayed) == (4, 1, 2)


def test_on_a_processor_a_step_is_called():
    calls = []
    step = CapturedStep(lambda x: (calls.append(1) or x + 1,), device="cpu")
    for i in range(5):
        assert step(torch.tensor(i))[0] == i + 1
    assert len(calls) == 5


def test_a_number_of_the_host_stays_as_it_was_recorded():
    # Not what one wants, but what a CUDA graph does: the stand-in must show it.
    replayed, plain = Training(Tape()), Training()
    for training in (replayed, plain):
        training.train([5] * 4)
        training.scale = 2.0
        training.train([5])
    assert replayed.losses[:4] == plain.losses[:4]
    assert replayed.losses[4] != plain.losses[4]


def test_a_state_that_is_replaced_instead_of_written_is_not_followed():
    class Replacing(Training):
        def gradients(self, x):
            out, state = self.layer(x, self.state)
            self.state = tuple(s.detach() for s in state)
            return out.detach().sum(), *(torch.zeros(()) for _ in self.layer.parameters())

    replayed, plain = Replacing(Tape()).train([5] * 5), Replacing().train([5] * 5)
    assert replayed.losses[:3] == plain.losses[:3]
    assert replayed.losses[4] != plain.losses[4]


def test_the_next_replay_overwrites_what_was_returned():
    step = CapturedStep(lambda x: (x * 2,), device="cpu", warm=0, recorder=Tape())
    (first,) = step(torch.tensor([1.0]))
    assert first == 2
    (second,) = step(torch.tensor([5.0]))
    assert first == second == 10


def test_a_new_seed_and_a_restored_state_reach_the_recorded_steps():
    replayed, plain = Training(Tape()), Training()
    for training in (replayed, plain):
        training.train([5] * 4)
        before = training.draw.get_state()
        training.draw.manual_seed(99)
        training.train([5] * 2)
        training.draw.set_state(before)
        training.train([5])
    assert replayed.same(plain)


def test_a_step_that_waits_for_the_device_cannot_be_recorded():
    class Asking(Training):
        def gradients(self, x):
            made = super().gradients(x)
            assert made[0].item() > 0
            return made

    with pytest.warns(RuntimeWarning, match=r"could not be recorded .*waits for the device"):
        Asking(Tape()).train([5] * 3)


def test_what_cannot_be_recorded_goes_on_as_it_is_with_the_same_results_and_says_so_once():
    class Full(Tape):
        def record(self, step, inputs, generators):
            if self.recorded:
                raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
            return super().record(step, inputs, generators)

    shapes, tape = [5] * 4 + [3] * 4 + [5] * 2, Full()
    with pytest.warns(RuntimeWarning, match=r"\(CUDA out of memory\.\)") as warned:
        training = Training(tape).train(shapes)
    assert len(warned) == 1
    assert str(warned[0].message) == training.captured.fallback
    assert training.same(Training().train(shapes))
    assert tape.replayed == 2


def test_trials_in_threads_record_and_replay_each_their_own():
    plain, trials = Training().train([5] * 12), [Training(Tape()) for _ in range(3)]
    threads = [threading.Thread(target=trial.train, args=([5] * 12,)) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(trial.same(plain) for trial in trials)


class FakeCuda:
    """What `torch.cuda` offers for graphs, writing down what is asked of it."""

    def __init__(self, monkeypatch, fail=False):
        self.said, self.current, self.fail = [], self.Stream(self, "default"), fail
        default = self.current
        monkeypatch.setattr(cuda_graph, "_side", threading.local())
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self.Stream(self, "side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.current)
        monkeypatch.setattr(torch.cuda, "default_stream", lambda device: default)
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self.Graph(self))
        monkeypatch.setattr(torch.cuda, "graph", self.recording)

    class Stream:
        def __init__(self, cuda, name):
            self.cuda, self.name = cuda, name

        def wait_stream(self, other):
            self.cuda.said.append(f"{self.name} waits for {other.name}")

    class Graph:
        def __init__(self, cuda):
            self.cuda = cuda

        def register_generator_state(self, generator):
            self.cuda.said.append("register")

        def replay(self):
            self.cuda.said.append(f"replay on {self.cuda.current.name}")

    @contextmanager
    def on(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def recording(self, graph, *, pool, stream, capture_error_mode):
        assert (pool, stream.name, capture_error_mode) == ("pool", "side", "thread_local")
        assert cuda_graph._ONE_AT_A_TIME.locked()
        self.said.append(f"record on {self.current.name}")
        yield
        if self.fail:
            raise RuntimeError("capture was invalidated")


class FakeGenerator:
    def __init__(self):
        self.states = ["own"]

    def clone_state(self):
        return "clone"

    def graphsafe_set_state(self, state):
        self.states.append(state)


def test_what_is_asked_of_cuda(monkeypatch):
    cuda, draw, ran_on = FakeCuda(monkeypatch), FakeGenerator(), []

    def step(x):
        ran_on.append(cuda.current.name)
        return (x,)

    captured = CapturedStep(
        step, device="cpu", generators=[draw], warm=1, recorder=cuda_graph._Cuda("cuda")
    )
    for _ in range(3):
        captured(torch.zeros(2))
    around = ["side waits for default", "default waits for side"]
    recorded = ["register", "side waits for default", "record on side", "default waits for side"]
    assert cuda.said == [*around, *recorded, "replay on default", "replay on default"]
    assert ran_on == ["side", "side"]
    assert draw.states == ["own"]


def test_a_thread_has_one_side_stream_and_needs_none_if_it_has_a_stream_of_its_own(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    one, two = (cuda_graph._side_stream("cuda") for _ in range(2))
    assert one is two
    with cuda.on(FakeCuda.Stream(cuda, "own")):
        assert cuda_graph._side_stream("cuda").name == "own"
    others = []
    thread = threading.Thread(target=lambda: others.append(cuda_graph._side_stream("cuda")))
    thread.start()
    thread.join()
    assert others[0] is not one


def test_a_recording_that_breaks_off_leaves_stream_lock_and_generators_as_they_were(monkeypatch):
    cuda, draw = FakeCuda(monkeypatch, fail=True), FakeGenerator()
    captured = CapturedStep(
        lambda x: (x,), device="cpu", generators=[draw], warm=0, recorder=cuda_graph._Cuda("cuda")
    )
    with pytest.warns(RuntimeWarning, match="capture was invalidated"):
        captured(torch.zeros(2))
    assert cuda.current.name == "default"
    assert not cuda_graph._ONE_AT_A_TIME.locked()
    assert draw.states == ["own", "clone"]
    assert captured(torch.ones(2))[0].tolist() == [1, 1]
