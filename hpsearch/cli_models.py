"""The commands that make and use single models: train, predict, pretrain, generate, lr-find."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
Study = Annotated[str, typer.Argument(help="A built-in study or a path to a study.toml.")]
PresetOption = Annotated[
    str, typer.Option(help="How large the model is: quick, cpu, full; auto asks the device.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Your own copy of the data: a folder, an archive, a CSV or Parquet."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="key=value, as often as you like: epochs=2, language_model.lr=1e-3."
    ),
]
StorageOption = Annotated[
    str | None, typer.Option(help="Database URL, as for run.", show_default=False)
]
LanguageModelOption = Annotated[
    str | None,
    typer.Option(help="Start from this one: a name, a folder, or best (of imdb-lm in the store)."),
]

NewUsers = Annotated[
    Path | None, typer.Option(help="Of a recommender: a file that describes new users.")
]
NewItems = Annotated[
    Path | None, typer.Option(help="Of a recommender: a file that describes new items.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch train imdb-clas --preset cpu --output model[/]; "
        "[bold]hpsearch train imdb-clas --best --set epochs=2 --output model[/]; "
        "[bold]hpsearch train adult --preset quick --trial 7 --output seven[/]"
    )(train)
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
    preset: PresetOption = "auto",
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
    sets: SetOption = None,
    language_model: LanguageModelOption = None,
    data: DataOption = None,
    storage: StorageOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and dropout.")] = 0,
) -> None:
    """Train one model and keep it; the same command goes on with an interrupted training."""
    from hpsearch.final import best_params, train_final
    from hpsearch.repeating import repeat_trial
    from hpsearch.store import Store
    from hpsearch.studies import load_spec

    if best and trial is not None:
        raise InputError("--best and --trial exclude each other: drop one.")
    spec = load_spec(study)
    options = {
        "preset": preset, "sets": sets or (), "language_model": language_model,
        "data_path": data, "seed": seed, "console": console,
    }  # fmt: skip
    wants_store = best or trial is not None or (language_model or "").split(":")[0] == "best"
    if not wants_store:
        train_final(spec, output, **options)  # type: ignore[arg-type]
        return
    with Store.open(storage, create=False) as store:
        if trial is not None:
            repeat_trial(
                spec, store, trial, output, preset=preset, sets=sets or (), data_path=data,
                console=console,
            )  # fmt: skip
            return
        params = best_params(store, spec, preset) if best else {}
        train_final(spec, output, params=params, store=store, **options)  # type: ignore[arg-type]


def predict(
    model: Annotated[Path, typer.Argument(help="A folder that train wrote.")],
    file: Annotated[
        str, typer.Argument(help="CSV, Parquet, or texts line by line; - reads stdin.")
    ],
    text: Annotated[
        list[str] | None, typer.Option(help="Column of the texts; repeat for several.")
    ] = None,
    users: NewUsers = None,
    items: NewItems = None,
    output: Annotated[
        Path | None,
        typer.Option(help="CSV, JSON or Parquet, by its ending. Default: CSV to stdout."),
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Keep the file's own columns in the output.")
    ] = False,
) -> None:
    """Predict for texts, table rows or pairs of user and item; a row each, in the file's order."""
    import pandas as pd

    from hpsearch.predicting import check_output, predict_file, write_table
    from hpsearch.search.progress import shown_progress

    check_output(output)
    with shown_progress(notes) as progress:
        table, made = predict_file(
            model, file, text=text or (), users=users, items=items, progress=progress,
            say=lambda sentence: notes.print(Text(sentence), soft_wrap=True),
        )  # fmt: skip
    write_table(pd.concat([table, made], axis=1) if columns else made, output)
    if output is not None:
        console.print(Text(f"Wrote {len(made):,} predictions to {output}"), soft_wrap=True)


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
    text: Annotated[list[str] | None, typer.Option(help="Column of the texts.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Of a known data set, only this part: train or unsup.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="A spaCy language, whitespace, or module:function.")
    ] = "en",
    sets: SetOption = None,
    half: Annotated[
        bool, typer.Option("--half", help="Keep the weights as 16-bit numbers.")
    ] = False,
) -> None:
    """Train a language model from scratch on any texts, in any language, and name it."""
    from hpsearch.pretraining import pretrain as pretrain_model

    pretrain_model(
        corpus, name, text_columns=tuple(text or ()), split=split, tokenizer=tokenizer,
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
) -> None:
    """Go on with a text as the language model would."""
    from hpsearch.search.progress import shown_progress
    from hpsearch.text.generate import generate as generate_text
    from hpsearch.text.lm_stage import open_language_model

    with shown_progress(notes) as progress:
        saved = open_language_model(
            model, progress=progress, say=lambda line: notes.print(Text(line))
        )
    made = generate_text(
        saved, text, tokens=tokens, temperature=temperature, min_p=min_p, seed=seed
    )
    console.print(Text(made), soft_wrap=True)


def lr_find(
    study: Study,
    preset: PresetOption = "auto",
    stage: Annotated[
        str, typer.Option(help="What is thawed: head (the first stage) or all.")
    ] = "head",
    sets: SetOption = None,
    data: DataOption = None,
    output: Annotated[
        Path, typer.Option(help="Where the plots go: OUTPUT.png and OUTPUT.html.")
    ] = Path("lr-find"),
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
) -> None:
    """Raise the learning rate until the loss explodes; print suggestions and draw the curve."""
    from hpsearch.lr_finding import find_and_draw
    from hpsearch.studies import load_spec

    find_and_draw(
        load_spec(study), output, preset=preset, stage=stage, sets=sets or (), data_path=data,
        seed=seed, console=console,
    )  # fmt: skip
