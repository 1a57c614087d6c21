"""Somebody exported runs of another tool, as a spreadsheet of their country writes them."""

import random


def test_a_spreadsheet_of_runs_is_taken_in_and_explained(me):
    rng = random.Random(0)
    lines = ["sep=;", "Name;config/lr;config/layers, all;val_f1_macro;State"]
    for i in range(40):
        lr, layers = 10 ** rng.uniform(-4, -1), rng.randint(1, 4)
        f1 = 0.9 - 40 * (lr - 0.02) ** 2 - 0.01 * layers
        state = "crashed" if i == 7 else "finished"
        cells = (f"run {i}", f"{lr:.6f}", str(layers), "" if i == 7 else f"{f1:.5f}", state)
        lines.append(";".join(cells).replace(".", ","))
    (me.folder / "runs.csv").write_text("\n".join(lines))
    said = me.types("import", "runs.csv", "--study", "theirs", "--metric", "val_f1_macro")
    assert "39 complete, 1 failed" in said
    assert "higher is better" in said
    assert "lr" in me.types("explain", "theirs")
    me.types("export", "theirs", "--output", "theirs.zip")
    assert "40 trials" in me.types("import", "theirs.zip", "--storage", "sqlite:///other.db")
