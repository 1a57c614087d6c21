"""Trained models: judge, export and load what `train` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.extras import require

if TYPE_CHECKING:
    from hpsearch.trainers.collab.recommender.recommend import Recommender
    from hpsearch.trainers.tabular.saved import SavedTabular
    from hpsearch.trainers.text.classifier.saved import SavedClassifier


def card(model: str | Path) -> str:
    """The card of a model: data, metrics beside a simple model's, where it is wrong, settings.

    `train` writes it into the model's folder as model-card.md.

    Args:
        model: a folder that `train` wrote.

    Returns:
        The card as Markdown.

    Raises:
        InputError: if the folder holds no model, or one without a card.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> metrics = hpsearch.train(
        ...     "movielens", "model", preset="quick", data="ratings.csv", sets=["epochs=1"],
        ...     console=Console(quiet=True),
        ... )
        >>> "The simple model is damped means of users and items" in hpsearch.card("model")
        True
    """
    from hpsearch.models.card import read_card

    return read_card(Path(model))


def export_model(model: str | Path, output: str | Path) -> None:
    """Write a model as a torch.export program, which runs with torch alone, or in ONNX.

    A program takes batches of any size and gives what `predict` gives. Its inputs are numbers: the
    codes and numbers of rows, the numbers of users and items, or the tokens of texts. The file
    hpsearch.json in a .pt2, and the metadata "hpsearch.json" of an ONNX file, say how a row becomes
    them.

    Args:
        model: a folder that `train` wrote of a classifier, a tabular model or a recommender.
        output: a new file; its ending, .pt2 or .onnx, says which of both it is.

    Raises:
        InputError: if the folder holds no such model, or the file cannot be written; for ONNX
            without hpsearch[onnx], and for a model above 2 GB.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> metrics = hpsearch.train(
        ...     "movielens", "model", preset="quick", data="ratings.csv", sets=["epochs=1"],
        ...     console=Console(quiet=True),
        ... )
        >>> hpsearch.export_model("model", "model.pt2")
        >>> program = torch.export.load("model.pt2").module()
        >>> program(torch.tensor([1, 2]), torch.tensor([3, 4])).shape
        torch.Size([2])
    """
    require("torch")
    from hpsearch.models.export_model import export_model as write

    write(Path(model), Path(output))


def load_classifier(folder: str | Path, *, trust_code: bool = False) -> SavedClassifier:
    """The classifier of texts that `train` wrote.

    Args:
        folder: where it is kept.
        trust_code: allow importing the tokenizer "module:function" that the folder may name.
            Without this, that code is imported only if a study file of yours, loaded before,
            names the same tokenizer.

    Returns:
        The model; its `predict(texts)` gives probabilities of shape (texts, classes), in the order
        of its `classes`, and `choose` of these the class of each text, or its several labels.

    Raises:
        InputError: if the folder holds no classifier, or its tokenizer is not trusted.

    Example:
        >>> hpsearch.load_classifier("nowhere")
        Traceback (most recent call last):
        hpsearch.errors.InputError: ...
    """
    require("torch")
    from hpsearch.trainers.text.classifier.saved import load_classifier as load

    return load(Path(folder), trust_code=trust_code)


def load_tabular(folder: str | Path) -> SavedTabular:
    """The model of a table that `train` wrote.

    Args:
        folder: where it is kept.

    Returns:
        The model; its `predict(table)` gives a table of predictions, row by row.

    Raises:
        InputError: if the folder holds no tabular model.

    Example:
        >>> hpsearch.load_tabular("nowhere")
        Traceback (most recent call last):
        hpsearch.errors.InputError: ...
    """
    require("torch")
    from hpsearch.trainers.tabular.saved import load_tabular as load

    return load(Path(folder))


def load_recommender(
    folder: str | Path, *, users: str | Path | None = None, items: str | Path | None = None
) -> Recommender:
    """The recommender that `train` wrote.

    Args:
        folder: where it is kept.
        users: a file that describes new users, with the columns of the metadata that the model was
            trained with.
        items: likewise of new items.

    Returns:
        The model with `recommend`, `similar`, `find` and `predict`.

    Raises:
        InputError: if the folder holds no recommender, or it cannot use the files.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12) if i != u]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> metrics = hpsearch.train(
        ...     "movielens", "model", preset="quick", data="ratings.csv",
        ...     console=Console(quiet=True),
        ... )
        >>> recommender = hpsearch.load_recommender("model")
        >>> list(recommender.recommend("3", n=1)["item"])
        ['3']
    """
    require("torch")
    from hpsearch.trainers.collab.recommender.recommend import load_recommender as load

    new_users, new_items = (None if file is None else Path(file) for file in (users, items))
    return load(Path(folder), users=new_users, items=new_items)
