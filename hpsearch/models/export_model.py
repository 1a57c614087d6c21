"""`export-model`: a trained model for torch.export or in ONNX, which runs without hpsearch.

Each program is written in torch's own layers, takes batches of any size, and returns what `predict`
does: probabilities, or numbers in units of the target. It computes in float32.
"""

from __future__ import annotations

import inspect
import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.export import Dim, export, save
from torch.nn import functional

from hpsearch.core.files import write_atomically
from hpsearch.errors import InputError
from hpsearch.extras import require

if TYPE_CHECKING:
    from hpsearch.trainers.collab.saved import SavedCollab
    from hpsearch.trainers.tabular.saved import SavedTabular
    from hpsearch.trainers.text.classifier.saved import SavedClassifier
    from hpsearch.trainers.text.networks.classifier import TextClassifier

FACTS = "hpsearch.json"
"""What the inputs and the output are: a file in a .pt2, an entry of the metadata of an .onnx."""
MOST_OF_ONNX = 2**31
"""How many bytes protobuf allows a message, which an ONNX file is."""
BN_EPS = 1e-5
ROWS = Dim("rows", min=1)
STEPS = Dim("steps", min=2)
EXAMPLE_ROWS, EXAMPLE_STEPS = 3, 5


@dataclass(frozen=True)
class Program:
    """A module, examples of its inputs with the sizes that may vary, and what a user must know."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    sizes: tuple[dict[int, Any], ...]
    facts: Mapping[str, Any]


def export_model(folder: Path, output: Path) -> None:
    """Write the model in `folder` to `output`: a .pt2 for torch.export.load, or an .onnx.

    Raises InputError if the folder holds no model that can be exported, for an `output` of another
    kind, and if it cannot be written.
    """
    if output.suffix not in FORMATS:
        raise InputError(
            f"{output} ends in neither .pt2 nor .onnx: give the program a name such as "
            f"{output.stem or 'model'}.onnx."
        )
    if output.suffix == ".onnx":
        require("onnxscript")
    write_atomically(output, FORMATS[output.suffix](program_of(folder)))


def _as_torch_export(program: Program) -> bytes:
    with torch.no_grad():
        made = export(program.module.eval(), program.inputs, dynamic_shapes=program.sizes)
    buffer = io.BytesIO()
    save(made, buffer, extra_files={FACTS: json.dumps(program.facts, ensure_ascii=False)})
    return buffer.getvalue()


def _as_onnx(program: Program) -> bytes:
    module = program.module.eval()
    tensors = [*module.parameters(), *module.buffers()]
    if sum(tensor.nbytes for tensor in tensors) >= MOST_OF_ONNX:
        raise InputError("The model is above the 2 GB of an ONNX file: export it as .pt2.")
    names = list(inspect.signature(module.forward).parameters)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of torchvision's operators, which no model has
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own use of what torch deprecates
            made = torch.onnx.export(
                module, program.inputs, dynamic_shapes=program.sizes, verbose=False,
                input_names=names, output_names=["output"],
            )  # fmt: skip
    finally:
        exporter.setLevel(level)
    assert made is not None
    made.model.metadata_props[FACTS] = json.dumps(program.facts, ensure_ascii=False)
    written: bytes = made.model_proto.SerializeToString()
    return written


FORMATS: dict[str, Callable[[Program], bytes]] = {".pt2": _as_torch_export, ".onnx": _as_onnx}


def program_of(folder: Path) -> Program:
    """The program of the model in `folder`, whatever its kind."""
    if (folder / "tabular.json").is_file():
        from hpsearch.trainers.tabular.saved import load_tabular

        return _of_table(load_tabular(folder))
    if (folder / "recommender.json").is_file():
        from hpsearch.trainers.collab.saved import load_collab

        return _of_ratings(load_collab(folder))
    if (folder / "classifier.json").is_file():
        from hpsearch.trainers.text.classifier.saved import load_classifier

        return _of_texts(load_classifier(folder))
    raise InputError(
        f"{folder} holds no classifier, tabular model or recommender: give a folder that "
        "`hpsearch train` wrote."
    )


class TableProgram(nn.Module):
    """codes (rows, C) int64 and numbers (rows, N) -> probabilities (rows, classes), or (rows,)."""

    def __init__(self, saved: SavedTabular) -> None:
        super().__init__()
        model, target = saved.model, saved.encoding.target
        self.n_codes, self.n_layers = len(model.sizes.n_categories), len(model.sizes.layers)
        self.has_numbers, self.y_range = bool(model.sizes.n_continuous), model.y_range
        self.is_class = bool(target.classes)
        self.scale = (target.std, target.mean) if saved.config.y_range is None else (1.0, 0.0)
        self.names = {name: name.replace(".", "_") for name in model.flat.weight}
        for name, weight in model.flat.weight.items():
            self.register_buffer(self.names[name], weight.detach().clone())
        for i, (mean, variance) in enumerate(model.running):
            self.register_buffer(f"mean_{i}", mean.detach().clone())
            self.register_buffer(f"variance_{i}", variance.detach().clone())

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        parts = [
            functional.embedding(codes[:, i], self._weight(f"embedding.{i}"))
            for i in range(self.n_codes)
        ]
        x = torch.cat([*parts, self._norm(0, numbers)] if self.has_numbers else parts, 1)
        for i in range(self.n_layers):
            x = torch.relu(functional.linear(x, self._weight(f"linear.{i}")))
            x = self._norm(i + 1, x)
        out = functional.linear(x, self._weight("out"), self._weight("out.bias"))
        if self.is_class:
            return torch.softmax(out, 1)
        if self.y_range is not None:
            low, high = self.y_range
            out = torch.sigmoid(out) * (high - low) + low
        return out[:, 0] * self.scale[0] + self.scale[1]

    def _weight(self, name: str) -> Tensor:
        return self.get_buffer(self.names[name])

    def _norm(self, i: int, x: Tensor) -> Tensor:
        return functional.batch_norm(
            x, self.get_buffer(f"mean_{i}"), self.get_buffer(f"variance_{i}"),
            self._weight(f"norm.{i}.weight"), self._weight(f"norm.{i}.bias"), False, 0.0, BN_EPS,
        )  # fmt: skip


def _of_table(saved: SavedTabular) -> Program:
    preprocessor, target = saved.encoding.preprocessor, saved.encoding.target
    codes = torch.zeros(EXAMPLE_ROWS, len(preprocessor.n_categories), dtype=torch.int64)
    numbers = torch.zeros(EXAMPLE_ROWS, preprocessor.n_continuous)
    facts = {
        "inputs": "codes and numbers of rows, as the encoding makes them",
        "encoding": saved.encoding.to_json(),
        "output": list(target.classes) or target.name,
    }
    return Program(TableProgram(saved), (codes, numbers), ({0: ROWS}, {0: ROWS}), facts)


class RatingsProgram(nn.Module):
    """Numbers of users (pairs,) and of items (pairs,) -> predictions (pairs,)."""

    def __init__(self, saved: SavedCollab) -> None:
        super().__init__()
        self.model, self.link = saved.model.eval(), saved.link

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return self.link.predict(self.model(users, items))


def _of_ratings(saved: SavedCollab) -> Program:
    pairs = torch.ones(EXAMPLE_ROWS, dtype=torch.int64)
    facts = {
        "inputs": "numbers of users and of items: places in these lists from 1 on, 0 for others",
        "users": saved.user_ids.names,
        "items": saved.item_ids.names,
        "output": "probability" if saved.implicit else "rating",
    }
    sizes = ({0: ROWS}, {0: ROWS})
    return Program(RatingsProgram(saved), (pairs, pairs.clone()), sizes, facts)


class TextsProgram(nn.Module):
    """tokens (steps, texts) int64, padded at the end, and lengths (texts,) -> probabilities (texts,
    classes), the mean over the directions."""

    def __init__(self, saved: SavedClassifier) -> None:
        super().__init__()
        self.ways = nn.ModuleList(_TextWay(model) for model in saved.models)
        self.backward_ways = list(saved.backward)
        self.several = saved.several

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        found = []
        step = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
        for way, backward in zip(self.ways, self.backward_ways, strict=True):
            turned = (lengths - 1 - step).clamp(min=0)
            given = tokens.gather(0, turned) if backward else tokens
            logits = way(given, lengths)
            found.append(torch.sigmoid(logits) if self.several else torch.softmax(logits, 1))
        return torch.stack(found).mean(0)


class _TextWay(nn.Module):
    """One direction: embedding, LSTM layers, pools over the last tokens, head -> logits."""

    def __init__(self, model: TextClassifier) -> None:
        super().__init__()
        self.max_len, self.embedding, self.head = model.max_len, model.encoder.embedding, model.head
        self.rnns = model.encoder.rnns

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for rnn in self.rnns:
            x = _read(x, rnn)
        step = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
        inside = ((step < lengths) & (step >= lengths - self.max_len))[..., None]
        top = x.masked_fill(~inside, -torch.inf).amax(0)
        mean = (x * inside).sum(0) / lengths.clamp(max=self.max_len)[:, None]
        last = x.gather(0, (lengths - 1)[None, :, None].expand(1, -1, x.shape[2]))[0]
        logits: Tensor = self.head(torch.cat([last, top, mean], 1), None)
        return logits


def _read(x: Tensor, layer: Any) -> Tensor:  # noqa: ANN401
    """The outputs (steps, texts, H) of an LSTM layer.

    torch's own LSTM would be written out step by step, for one number of steps.
    """
    gates = functional.linear(x, layer.weight_ih, layer.bias_ih + layer.bias_hh)

    def step(
        state: tuple[Tensor, Tensor], of_input: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        hidden, cell = state
        found = of_input + functional.linear(hidden, layer.weight_hh)
        enter, forget, new, leave = found.chunk(4, -1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        hidden = torch.sigmoid(leave) * torch.tanh(cell)
        return (hidden, cell), hidden.clone()

    start = x.new_zeros(x.shape[1], layer.n_out)
    outputs: Tensor = scan(step, (start, start.clone()), gates)[1]
    return outputs


def _of_texts(saved: SavedClassifier) -> Program:
    tokens = torch.full((EXAMPLE_STEPS, EXAMPLE_ROWS), 2, dtype=torch.int64)
    lengths = torch.tensor([EXAMPLE_STEPS, EXAMPLE_STEPS - 1, 2])
    facts = {
        "inputs": "tokens of texts as numbers: their places in this vocabulary, from 0 on",
        "tokenizer": saved.tokenizer,
        "vocabulary": saved.vocab.tokens,
        "max_tokens": saved.config.max_tokens,
        "output": list(saved.classes),
        **({"thresholds": list(saved.thresholds)} if saved.several else {}),
    }
    sizes = ({0: STEPS, 1: ROWS}, {0: ROWS})
    return Program(TextsProgram(saved).eval(), (tokens, lengths), sizes, facts)
