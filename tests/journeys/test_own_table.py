"""Somebody with a spreadsheet of flats wants to know prices, and what to set."""

from journey import QUICK


def test_from_a_table_to_a_prediction(me):
    flats = [
        (1000 + 3 * i, ("north", "south")[i % 2], 30 + 7 * i % 90, 1 + i % 5, 0) for i in range(150)
    ]
    flats = [(no, at, size, rooms, 900 * size + 20_000 * (at == "south")) for no, at, size, rooms, _ in flats]  # fmt: skip  # noqa: E501
    me.table("flats.csv", ["flat no", "where", "size", "rooms", "price"], flats)
    said = me.types("new", "flats.csv", "--target", "price")
    assert "regression of price from 150 rows" in said
    assert "hpsearch run flats.toml --preset quick" in said
    said = me.types("data", "show", "flats.toml")
    assert "no two of its whole numbers are equal" in said  # flat no
    said = me.types("run", "flats.toml", *QUICK, "--trials", "3")
    assert "best rmse" in said
    said = me.types("show", "flats.toml")
    assert "lower is better" in said
    me.types("train", "flats.toml", "--preset", "quick", "--best", "--output", "model")
    me.table("new.csv", ["rooms", "where", "size", "flat no"], [(2, "south", 60, 1), (2, "west", "?", 2)])  # fmt: skip  # noqa: E501
    said = me.types("predict", "model", "new.csv", "--output", "made.csv")
    assert "1 of 2 rows have a where that the training rows lack, such as 'west'" in said
    first, second = me.reads("made.csv")
    assert 40_000 < float(first["prediction"]) < 110_000
    assert (second["prediction"], second["reason"]) == ("", "size: '?' is no number")
    me.table("short.csv", ["where"], [("south",)])
    assert "no columns 'rooms', 'size'" in me.is_told("predict", "model", "short.csv")
