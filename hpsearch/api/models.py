"""Single models: train and pretrain them, and use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.extras import require

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from hpsearch.trainers.shared.lr_finder import LrCurve


def train(
    study: str | Path,
    output: str | Path,
    *,
    preset: str = "auto",
    best: bool = False,
    trial: int | None = None,
    params: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    language_model: str | None = None,
    data: str | Path | None = None,
    skip_bad_rows: bool = False,
    storage: str | None = None,
    device: str = "auto",
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, float]:
    """Train one model of a study and keep it in a folder.

    It has all data to train on but what it is measured on, also where the trials had less. A
    `trial` is repeated with what it had.

    The same call goes on with an interrupted training.

    Args:
        study: a built-in name such as "imdb-clas", or the path of a study.toml.
        output: a new folder for the model.
        preset: how large the model is: "quick", "cpu" or "full"; "auto" asks the device, and with
            `best` or `trial` it is the preset that ran.
        best: take the values of the study's best trial in the store.
        trial: train this trial of the study in the store again, with its seed, settings and data:
            to the bit on the processor that it ran on.
        params: values of hyperparameters. None: the study's defaults.
        sets: further settings, as "key=value": "epochs=2", "language_model.lr=1e-3".
        language_model: what a classifier starts from: a name, a folder, or "best" (of the study
            imdb-lm in the store).
        data: your own copy of the data: a folder, an archive, a CSV, Parquet or JSON file.
        skip_bad_rows: leave out rows of your own data that cannot be used, as for `run`.
        storage: database URL of what is read from a store. None: HPSEARCH_STORAGE, else
            sqlite:///hpsearch.db.
        device: "cpu", "cuda" or "cuda:1"; "auto" takes the faster one, by a measurement.
        seed: of weights, order and dropout.
        console: where the progress is printed. None: standard output.

    Returns:
        The model's metrics by name, on the test data where there is any.

    Raises:
        InputError: for what was given wrongly, such as a folder that holds something else, or more
            than one of `best`, `trial` and `params`.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> metrics = hpsearch.train(
        ...     "movielens", "model", preset="quick", data="ratings.csv", sets=["epochs=1"],
        ...     console=Console(quiet=True),
        ... )
        >>> sorted(metrics)
        ['mae', 'mse', 'r2', 'rmse']
    """
    from hpsearch.models.train import TrainOptions
    from hpsearch.models.train_or_repeat import train_or_repeat
    from hpsearch.search.plan.stored_function import naming_stored
    from hpsearch.study.spec import load_spec

    options = TrainOptions(
        preset=preset, best=best, trial=trial, params=params, sets=sets,
        language_model=language_model, data_path=None if data is None else Path(data),
        device=device, seed=seed,
    )  # fmt: skip
    with naming_stored(study, storage):
        spec = load_spec(study)
    spec = spec.without_bad_rows() if skip_bad_rows else spec
    return train_or_repeat(spec, Path(output), options, storage, console)


def predict(
    model: str | Path,
    file: str | Path,
    *,
    text: Sequence[str] = (),
    users: str | Path | None = None,
    items: str | Path | None = None,
    threshold: float | Mapping[str, float] | None = None,
    output: str | Path | None = None,
    columns: bool = False,
    trust_code: bool = False,
    console: Console | None = None,
) -> pd.DataFrame:
    """Predict for texts, rows of a table, or pairs of user and item.

    Args:
        model: a folder that `train` wrote.
        file: CSV or Parquet, or a file of texts, one a line; "-" reads texts from standard input.
        text: columns of the texts. Default: those that the classifier was trained on.
        users: of a recommender: a file that describes new users.
        items: of a recommender: a file that describes new items.
        threshold: of a classifier of several labels a text: the probability from which on a text is
            given a label, for all of them, or for those that are named, as in {"drama": 0.3}.
            Default: that of the training.
        output: where to write the predictions: a .csv, .json or .parquet file. None: nowhere.
        columns: keep the file's own columns in front of the predictions.
        trust_code: import and run the tokenizer "module:function" that the model names.
        console: where the progress is printed. None: standard error.

    Returns:
        One row for each row of `file`, in its order. Where there can be no prediction it is empty,
        and a column `reason` says why. Several labels of a text are one prediction, as in
        drama|comedy, which is empty where it is given none.

    Raises:
        InputError: if the folder holds no such model, or the file does not fit it.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> quiet = Console(quiet=True)
        >>> metrics = hpsearch.train(
        ...     "movielens", "model", preset="quick", data="ratings.csv", console=quiet
        ... )
        >>> predicted = hpsearch.predict("model", "ratings.csv", console=quiet)
        >>> predicted.shape, list(predicted)
        ((144, 1), ['prediction'])
    """
    require("torch")
    from hpsearch.data.write_tables import check_output, write_table
    from hpsearch.models.predict import PredictOptions
    from hpsearch.models.predict import predict as predict_rows

    paths = (None if one is None else Path(one) for one in (users, items, output))
    new_users, new_items, written = paths
    check_output(written)
    table = predict_rows(
        Path(model), str(file),
        PredictOptions(text, new_users, new_items, threshold, trust_code),
        columns=columns, console=console,
    )  # fmt: skip
    if written is not None:
        write_table(table, written)
    return table


def pretrain(
    corpus: str,
    name: str,
    *,
    text: Sequence[str] = (),
    split: str | None = None,
    tokenizer: str = "en",
    sets: Sequence[str] = (),
    half: bool = False,
    console: Console | None = None,
) -> Path:
    """Train a language model from scratch on any texts, in any language, and name it.

    The same call goes on with an interrupted training. Two texts in a hundred are held out, at most
    500.

    Args:
        corpus: a folder or archive of .txt files, a .txt, CSV or Parquet file, or "imdb".
        name: what to call the model, for `language_model` and so on.
        text: columns of the texts in a table.
        split: of a known data set only this part: "train" or "unsup".
        tokenizer: a spaCy language, "whitespace", or "module:function" of a file in the current
            folder.
        sets: settings of the model and its training, as "key=value": "epochs=1", "emb=400".
        half: keep the weights as 16-bit numbers.
        console: where the progress is printed. None: standard output.

    Returns:
        The model's folder, below HPSEARCH_HOME.

    Raises:
        InputError: for a name that is taken or not a name, and for a corpus with too few texts or
            words.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> texts = [f"film number {i} is as fine as film {i - 1}" for i in range(200)]
        >>> _ = Path("films.csv").write_text("\\n".join(["review", *texts]))
        >>> folder = hpsearch.pretrain(
        ...     "films.csv", "films", text=["review"], tokenizer="whitespace",
        ...     sets=["emb=8", "hidden=8", "epochs=1", "min_freq=1", "bs=4"],
        ...     console=Console(quiet=True),
        ... )
        >>> folder.name
        'films'
    """
    require("torch")
    from hpsearch.models.pretrain import PretrainOptions
    from hpsearch.models.pretrain import pretrain as pretrain_model

    options = PretrainOptions(tokenizer, sets, half)
    return pretrain_model(
        corpus, name, options, text_columns=tuple(text), split=split, console=console
    )


def generate(
    model: str,
    text: str,
    *,
    tokens: int = 100,
    temperature: float = 1.0,
    min_p: float = 0.001,
    seed: int = 0,
    trust_code: bool = False,
    console: Console | None = None,
) -> str:
    """Go on with a text as a language model would.

    Args:
        model: a language model: a name or a folder.
        text: how the text begins.
        tokens: how many tokens to add.
        temperature: above 1 the text gets wilder, below 1 tamer.
        min_p: tokens with a lower probability than this never come.
        seed: of the choices; the same seed gives the same text.
        trust_code: import and run the tokenizer "module:function" that the model names.
        console: where the progress is printed. None: standard error.

    Returns:
        The text with what was added.

    Raises:
        InputError: if there is no such model, or a number is out of its range.

    Example:
        >>> made = hpsearch.generate("imdb-unsup", "This film is", tokens=5)
        >>> made.startswith("This film is")
        True
    """
    require("torch")
    from hpsearch.models.generate import generate_text, open_model

    saved = open_model(model, trust_code, console)
    return generate_text(
        saved, text, tokens=tokens, temperature=temperature, min_p=min_p, seed=seed
    )


def find_lr(
    study: str | Path,
    *,
    preset: str = "auto",
    stage: str = "head",
    sets: Sequence[str] = (),
    data: str | Path | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> LrCurve:
    """Raise the learning rate until the loss explodes, and suggest a rate.

    Args:
        study: a built-in name such as "imdb-clas", or the path of a study.toml.
        preset: how large the model is: "quick", "cpu" or "full"; "auto" asks the device.
        stage: what is thawed: "head" (the top layer group) or "all".
        sets: settings, as "key=value".
        data: your own copy of the data: a folder, an archive, a CSV, Parquet or JSON file.
        output: draw the curve into OUTPUT.png and OUTPUT.html. None: draw nothing.
        seed: of weights and batches.
        console: where the progress and the suggestions are printed. None: standard output.

    Returns:
        Rates and losses, both of shape (steps,), and the suggested rates by name.

    Raises:
        InputError: for a stage or a setting that there is not, and for a study whose trials train
            two models.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> curve = hpsearch.find_lr(
        ...     "movielens", preset="quick", data="ratings.csv", console=Console(quiet=True)
        ... )
        >>> len(curve.lrs) == len(curve.losses)
        True
    """
    from hpsearch.models.find_lr import find_and_draw
    from hpsearch.models.train import TrainOptions
    from hpsearch.study.spec import load_spec

    data_path, drawn = (None if one is None else Path(one) for one in (data, output))
    options = TrainOptions(preset=preset, sets=sets, data_path=data_path, seed=seed)
    return find_and_draw(load_spec(study), drawn, stage, options, console)
