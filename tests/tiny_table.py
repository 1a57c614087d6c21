"""A table small enough to train on in a second, and a study of it."""

STUDY = """
name = "mine"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
[data]
path = "people.csv"
target = "left"
[settings]
layers = "8"
epochs = 2
[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 1e-2
[presets.quick]
trials = 2
"""
"""`mine-quick` in the store."""


def write_table(folder):
    """people.csv and study.toml in the folder."""
    rows = [f"{i % 50},{i * 7 % 13},{'yes' if i % 50 > 25 else 'no'}" for i in range(200)]
    (folder / "people.csv").write_text("\n".join(["age,visits,left", *rows]))
    (folder / "study.toml").write_text(STUDY)
