"""Somebody with a few reviews wants a classifier of their own."""

SMALL = """
[settings]
seq_len = 8
unfreeze = false
language_model = { emb = 8, hidden = 8, layers = 1, min_freq = 1, epochs = 1, bs = 4, seq_len = 10 }
[presets.quick]
trials = 2
"""
"""A language model that is trained in a second, in the place of the one that comes along."""


def test_from_reviews_to_a_prediction(me):
    words = {"good": ["fine", "lovely", "great"], "bad": ["dull", "poor", "awful"]}
    rows = [
        (f"a {words[label][i % 3]} film and the {i}th that i have seen", label)
        for i in range(60)
        for label in ("good", "bad")
    ]
    me.table("reviews.csv", ["review", "verdict"], [*rows, ("", "good"), ("the only one", "so so")])
    said = me.types("new", "reviews.csv")
    assert "122 texts of 3 classes ('review': 'verdict')" in said
    study = me.folder / "reviews.toml"
    study.write_text(
        study.read_text().replace("# tokenizer =", 'tokenizer = "whitespace" #') + SMALL
    )
    run = (
        "run",
        "reviews.toml",
        "--preset",
        "quick",
        "--workers",
        "1",
        "--trials",
        "1",
        "--fix",
        "epochs=1",
    )
    assert "no text in row 121" in me.is_told(*run)
    assert not (me.folder / "hpsearch.db").exists()
    said = me.types(*run, "--skip-bad-rows")
    assert "left out 2 rows: no text (row 121), a label that occurs once (row 122)" in said
    assert "best accuracy" in said
    train = ("train", "reviews.toml", "--preset", "quick", "--set", "epochs=1", "--output", "model")
    me.types(*train, "--skip-bad-rows")
    me.table("new.csv", ["review"], [("a lovely film",), (" ",)])
    me.types("predict", "model", "new.csv", "--output", "made.csv")
    first, empty = me.reads("made.csv")
    assert first["prediction"] in ("good", "bad")
    assert (empty["prediction"], empty["reason"]) == ("", "no text")
