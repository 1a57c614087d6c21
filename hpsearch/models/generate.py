"""`generate`: a text that a language model goes on with."""

from __future__ import annotations

from rich.console import Console

from hpsearch.core import own_code
from hpsearch.core.console import say, shown_progress
from hpsearch.core.terminal import new_console
from hpsearch.trainers.text.language_model.files import SavedLanguageModel
from hpsearch.trainers.text.language_model.generate import generate as generate_text
from hpsearch.trainers.text.language_model.stage import open_language_model

__all__ = ["generate_text", "open_model"]


def open_model(model: str, trust_code: bool, console: Console | None) -> SavedLanguageModel:
    """The language model of that name or in that folder; what is fetched is shown.

    Raises InputError if there is none, or its tokenizer is code that is not trusted.
    """
    console = console or new_console(stderr=True)
    with shown_progress(console) as progress:
        saved = open_language_model(
            model, progress=progress, say=lambda sentence: say(console, sentence)
        )
    own_code.require(saved.tokenizer, f"The language model {model}", trust=trust_code)
    return saved
