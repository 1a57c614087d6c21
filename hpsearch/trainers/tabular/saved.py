"""A trained tabular model in a folder: weights as safetensors, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.core.console import Progress, silent
from hpsearch.core.files import write_atomically
from hpsearch.data.own.typed_columns import check_names
from hpsearch.data.write_tables import with_reasons
from hpsearch.errors import InputError
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.weights import check_kind, load_weights, save_weights
from hpsearch.trainers.tabular.config import TabularConfig
from hpsearch.trainers.tabular.network.fit import new_model, outputs
from hpsearch.trainers.tabular.network.model import TabularModel
from hpsearch.trainers.tabular.table.prepare import Encoding

if TYPE_CHECKING:
    import pandas as pd

NAME = "tabular.json"
_WEIGHTS = "tabular.safetensors"
_FORMAT = 2


@dataclass(frozen=True)
class SavedTabular:
    """A network with what is needed to feed it rows of a table, and facts about its training."""

    model: TabularModel = field(repr=False)
    encoding: Encoding = field(repr=False)
    config: TabularConfig
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(
        self,
        table: pd.DataFrame,
        *,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> pd.DataFrame:
        """Row by row as in `table`, with its index: the prediction, and of classes the probability
        of it and of each class. Columns may stand in any order, others beside them.

        A row with a word where the model takes a number or a date has no prediction, and a column
        `reason` says why; without such rows there is no such column.

        Raises InputError if columns are missing, or two have one name.
        """
        check_names([str(name) for name in table.columns], "The table")
        self.encoding.preprocessor.check_columns(table)
        readable, reasons = self.encoding.preprocessor.readable(table)
        made = self._predict(readable, device, progress)
        return with_reasons(made, reasons)

    def _predict(self, table: pd.DataFrame, device: str, progress: Progress) -> pd.DataFrame:
        import pandas as pd

        encoded = self.encoding.preprocessor.transform(table)
        out = outputs(
            self.model, encoded.codes, encoded.numbers, device,
            lambda done: progress("predict", done, len(table)),
        )  # fmt: skip
        classes = self.encoding.target.classes
        if not classes:
            found = out[:, 0]
            scaled = self.config.y_range is None
            numbers = self.encoding.unscale(found) if scaled else found
            return pd.DataFrame({"prediction": numbers}, index=table.index)
        probabilities = torch.softmax(torch.from_numpy(out), 1).numpy()
        return pd.DataFrame(
            {
                "prediction": np.array(classes, object)[probabilities.argmax(1)],
                "probability": probabilities.max(1),
                **{f"p({name})": probabilities[:, i] for i, name in enumerate(classes)},
            },
            index=table.index,
        )


def save_tabular(folder: Path, saved: SavedTabular) -> None:
    """Write the model to `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: w.contiguous().clone().cpu() for name, w in saved.model.flat.weight.items()}
    save_weights({**weights, "statistics": saved.model.statistics.cpu()}, folder / _WEIGHTS)
    content = {
        "format": _FORMAT,
        "config": asdict(saved.config),
        "encoding": saved.encoding.to_json(),
        "facts": dict(saved.facts),
    }
    write_atomically(folder / NAME, json.dumps(content, indent=1))


def load_tabular(folder: Path, device: str = "cpu") -> SavedTabular:
    """The model that `save_tabular` wrote. Raises InputError if it is not there or is damaged."""
    try:
        content = json.loads((folder / NAME).read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise InputError(f"{folder} was written by another version of hpsearch: train again.")
        config = parse_config(TabularConfig, content["config"])
        encoding = Encoding.from_json(content["encoding"])
        preprocessor = encoding.preprocessor
        model = new_model(
            config, preprocessor.n_categories, preprocessor.n_continuous, encoding.n_out, device
        )
        weights = load_weights(folder / _WEIGHTS)
        for name, weight in {**model.flat.weight, "statistics": model.statistics}.items():
            check_kind(name, weights[name], weight)
            weight.copy_(weights[name])
        return SavedTabular(model, encoding, config, dict(content["facts"]))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no tabular model: {error.filename} is not there."
        ) from None
    except Exception as error:  # whatever a stranger's JSON makes of it
        raise InputError(
            f"The model in {folder} is damaged ({type(error).__name__}): train it again."
        ) from error
