"""The parts that `pip install hpsearch` leaves out, and the sentence that names a missing one."""

from __future__ import annotations

from importlib.util import find_spec

from hpsearch.errors import InputError

EXTRAS = {
    "train": {
        "torch": "PyTorch",
        "spacy": "spaCy",
        "matplotlib": "Matplotlib",
        "pooch": "Pooch",
        "safetensors": "safetensors",
    },
    "onnx": {"onnx": "ONNX", "onnxscript": "ONNX Script"},
    "dashboard": {"optuna_dashboard": "the Optuna dashboard"},
    "postgres": {"psycopg": "the driver for postgresql://"},
    "mysql": {"pymysql": "the driver for mysql://"},
    "ray": {"ray": "Ray"},
    "tensorboard": {"tensorboard": "TensorBoard"},
    "mlflow": {"mlflow": "MLflow"},
    "wandb": {"wandb": "Weights & Biases"},
}
"""Of each extra the modules that it brings, and what people call them."""


class MissingExtraError(InputError):
    """A module is not installed that one of the extras brings."""

    def __init__(self, module: str) -> None:
        """`module` is one of those in EXTRAS."""
        extra = next(extra for extra, modules in EXTRAS.items() if module in modules)
        super().__init__(
            f"This needs {EXTRAS[extra][module]}, which is not installed: "
            f"pip install 'hpsearch[{extra}]', then try again."
        )


def is_installed(module: str) -> bool:
    """Whether the module can be imported; it is not."""
    return find_spec(module) is not None


def require(module: str) -> None:
    """Raise MissingExtraError, before any long work, where the module is not installed."""
    if not is_installed(module):
        raise MissingExtraError(module)


def missing_extra(error: BaseException) -> MissingExtraError | None:
    """What to say in the place of an import's error; None where no extra brings the module."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    known = any(name in modules for modules in EXTRAS.values())
    return MissingExtraError(name) if name is not None and known else None
