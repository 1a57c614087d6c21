"""The commands that make and use single models: train, card, predict, pretrain, generate ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markdown import Markdown
from rich.text import Text

import hpsearch
from hpsearch.cli.options import (
    Data,
    LanguageModel,
    NewItems,
    NewUsers,
    Preset,
    Sets,
    SkipBadRows,
    Storage,
    Study,
    TextColumns,
    TrustCode,
)
from hpsearch.cli.output import console, notes
from hpsearch.core.console import print_lines, say
from hpsearch.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch train imdb-clas --preset cpu --output model[/]; "
        "[bold]hpsearch train imdb-clas --best --set epochs=2 --output model[/]; "
        "[bold]hpsearch train adult --preset quick --trial 7 --output seven[/]"
    )(train)
    app.command(epilog="Example: [bold]hpsearch card model > card.md[/]")(card)
    app.command(
        epilog="Examples: [bold]hpsearch export-model model --output model.pt2[/]; "
        "[bold]hpsearch export-model model --output model.onnx[/]"
    )(export_model)
    app.command(
        epilog="Examples: [bold]hpsearch predict model reviews.csv --output predicted.csv[/]; "
        "[bold]echo 'A fine film.' | hpsearch predict model -[/]; "
        "[bold]hpsearch predict recommender pairs.csv --columns[/]"
    )(predict)
    app.command(
        epilog="Examples: [bold]hpsearch pretrain my-texts/ --name my-domain[/]; "
        "[bold]hpsearch pretrain texte.csv --text body --tokenizer de --name deutsch[/]"
    )(pretrain)
    app.command(epilog="Example: [bold]hpsearch generate imdb-unsup 'This film is' --tokens 40[/]")(
        generate
    )
    app.command(
        "lr-find",
        epilog="Example: [bold]hpsearch lr-find imdb-clas --preset quick --output lr[/]",
    )(lr_find)


def train(
    study: Study,
    output: Annotated[Path, typer.Option(help="A new folder for the model.")],
    preset: Preset = "auto",
    best: Annotated[
        bool, typer.Option("--best", help="With the best trial's values, on all data.")
    ] = False,
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="This trial again, with its seed, settings and data: to the bit on the CPU.",
        ),
    ] = None,
    sets: Sets = None,
    language_model: LanguageModel = None,
    data: Data = None,
    skip_bad_rows: SkipBadRows = False,
    storage: Storage = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or cuda:1; auto takes the faster, by a measurement.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and dropout.")] = 0,
) -> None:
    """Train one model and keep it; the same command goes on with an interrupted training."""
    hpsearch.train(
        study, output, preset=preset, best=best, trial=trial, sets=sets or (),
        language_model=language_model, data=data, skip_bad_rows=skip_bad_rows, storage=storage,
        device=device, seed=seed,
        console=console,
    )  # fmt: skip


def card(
    model: Annotated[Path, typer.Argument(help="A folder that train wrote.")],
) -> None:
    """Show how good a model is beside a simple one, where it is wrong, and how it was made."""
    text = hpsearch.card(model)
    if console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        print_lines(console, Text(text))


def export_model(
    model: Annotated[Path, typer.Argument(help="A folder that train wrote.")],
    output: Annotated[Path, typer.Option(help="A new file whose name ends in .pt2 or .onnx.")],
) -> None:
    """Write a model as a torch.export program, which runs with torch alone, or in ONNX."""
    hpsearch.export_model(model, output)
    say(console, f"Wrote {output}")


def predict(
    model: Annotated[Path, typer.Argument(help="A folder that train wrote.")],
    file: Annotated[
        str, typer.Argument(help="CSV, Parquet, or texts line by line; - reads stdin.")
    ],
    text: TextColumns = None,
    users: NewUsers = None,
    items: NewItems = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[LABEL=]NUMBER",
            help="Of several labels a text: it is given those of at least this probability.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="CSV, JSON or Parquet, by its ending. Default: CSV to stdout."),
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Keep the file's own columns in the output.")
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Predict for texts, table rows or pairs of user and item; a row each, in the file's order."""
    from hpsearch.data.write_tables import write_table

    predicted = hpsearch.predict(
        model, file, text=text or (), users=users, items=items,
        threshold=_threshold(threshold or []), output=output, columns=columns,
        trust_code=trust_code, console=notes,
    )  # fmt: skip
    if output is None:
        write_table(predicted, None)
    else:
        say(console, f"Wrote {len(predicted):,} predictions to {output}")


def _threshold(given: list[str]) -> float | dict[str, float] | None:
    """One number for all labels, or one for each label that is named."""
    parts = [one.rpartition("=") for one in given]
    try:
        named = {name: float(number) for name, _, number in parts}
    except ValueError:
        raise InputError(
            "--threshold takes a number from 0 to 1, or LABEL=NUMBER, as in --threshold drama=0.3."
        ) from None
    if "" not in named:
        return named or None
    if len(parts) > 1:
        raise InputError("--threshold takes one number for all labels, or LABEL=NUMBER for some.")
    return named[""]


def pretrain(
    corpus: Annotated[
        str,
        typer.Argument(
            help="A folder or archive of .txt files, a .txt, CSV or Parquet file, or imdb."
        ),
    ],
    name: Annotated[
        str, typer.Option(help="What to call the model, for --language-model and so on.")
    ],
    text: TextColumns = None,
    split: Annotated[
        str | None, typer.Option(help="Of a known data set, only this part: train or unsup.")
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(
            help="A spaCy language, whitespace, or module:function of a file in the current folder."
        ),
    ] = "en",
    sets: Sets = None,
    half: Annotated[
        bool, typer.Option("--half", help="Keep the weights as 16-bit numbers.")
    ] = False,
) -> None:
    """Train a language model from scratch on any texts, in any language, and name it."""
    hpsearch.pretrain(
        corpus, name, text=text or (), split=split, tokenizer=tokenizer,
        sets=sets or (), half=half, console=console,
    )  # fmt: skip


def generate(
    model: Annotated[str, typer.Argument(help="A language model: a name or a folder.")],
    text: Annotated[str, typer.Argument(help="How the text begins.")],
    tokens: Annotated[int, typer.Option(help="How many tokens to add.")] = 100,
    temperature: Annotated[float, typer.Option(help="Above 1 wilder, below 1 tamer.")] = 1.0,
    min_p: Annotated[
        float, typer.Option(help="Tokens less probable than this never come.")
    ] = 0.001,
    seed: Annotated[int, typer.Option(min=0, help="Of the choices.")] = 0,
    trust_code: TrustCode = False,
) -> None:
    """Go on with a text as the language model would."""
    made = hpsearch.generate(
        model, text, tokens=tokens, temperature=temperature, min_p=min_p, seed=seed,
        trust_code=trust_code, console=notes,
    )  # fmt: skip
    console.print(Text(made), soft_wrap=True)


def lr_find(
    study: Study,
    preset: Preset = "auto",
    stage: Annotated[
        Literal["head", "all"], typer.Option(help="What is thawed: head (the first stage) or all.")
    ] = "head",
    sets: Sets = None,
    data: Data = None,
    output: Annotated[
        Path, typer.Option(help="Where the plots go: OUTPUT.png and OUTPUT.html.")
    ] = Path("lr-find"),
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
) -> None:
    """Raise the learning rate until the loss explodes; print suggestions and draw the curve."""
    hpsearch.find_lr(
        study, preset=preset, stage=stage, sets=sets or (), data=data, output=output, seed=seed,
        console=console,
    )  # fmt: skip
