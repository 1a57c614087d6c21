"""A shop wants to recommend from the stars that its customers gave."""

from journey import stars


def test_from_ratings_to_recommendations(me):
    rows = [(u, i, 2 * n) for u, i, n in stars()]  # on a scale up to ten
    me.table("stars.csv", ["customer", "film", "stars"], rows)
    said = me.types("new", "stars.csv")
    assert "ratings of 12 users and 12 items, from 2 to 10" in said
    run = (
        "run",
        "stars.toml",
        "--preset",
        "quick",
        "--workers",
        "1",
        "--trials",
        "2",
        "--fix",
        "epochs=5",
    )
    assert "best mse" in me.types(*run)
    me.types("train", "stars.toml", "--preset", "quick", "--best", "--output", "model")
    said = me.types("recommend", "model", "--user", "ann3")
    assert "film" in said
    me.table("pairs.csv", ["customer", "film"], [("ann1", "film2"), ("", "film2")])
    me.types("predict", "model", "pairs.csv", "--output", "made.csv")
    known, nobody = me.reads("made.csv")
    assert 1 < float(known["prediction"]) < 11
    assert nobody == {"prediction": "", "reason": "no user or no item"}
