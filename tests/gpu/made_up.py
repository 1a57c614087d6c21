"""Studies of every trainer on made-up data, a second a trial."""

import numpy as np
import pandas as pd
from tiny_corpus import CLASSIFIER_TOML, LANGUAGE_MODEL_STUDY, write_reviews

TABLE_STUDY = """
name = "tiny-table"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
data = { path = "table.csv", target = "big" }
settings = { layers = "20/10", epochs = 2, bs = 32 }
[space.lr]
low = 1e-3
high = 3e-2
log = true
default = 1e-2
[presets.quick]
trials = 16
"""
RATINGS_STUDY = """
name = "tiny-ratings"
trainer = "collab"
metric = "mse"
direction = "minimize"
data = { path = "ratings.csv", rating = "rating" }
settings = { epochs = 2, bs = 64 }
[space.lr]
low = 1e-3
high = 3e-2
log = true
default = 5e-3
[presets.quick]
trials = 8
"""
ULMFIT_STUDY = (
    CLASSIFIER_TOML.replace("text-classifier", "ulmfit").replace("tiny-clas", "tiny-ulmfit")
    + '\n[space.lm_lr]\ntype = "choice"\nchoices = [1e-2, 2e-2]\ndefault = 2e-2\n'
)
STUDIES = {
    "clas": CLASSIFIER_TOML,
    "lm": LANGUAGE_MODEL_STUDY,
    "table": TABLE_STUDY,
    "ratings": RATINGS_STUDY,
    "ulmfit": ULMFIT_STUDY,
}


def write_studies(folder):
    """The studies in the folder, as NAME.toml, and their data."""
    rng = np.random.default_rng(0)
    write_reviews(folder / "reviews.csv", 240, 60)
    color, size = rng.choice(["red", "green"], 600), rng.normal(10, 3, 600)
    big = np.where(size + 3 * (color == "red") > 11, "yes", "no")
    table = pd.DataFrame({"color": color, "size": size, "big": big})
    table.to_csv(folder / "table.csv", index=False)
    users, items = rng.integers(0, 40, 1500), rng.integers(0, 30, 1500)
    value = np.clip(np.round(3 + rng.normal(size=40)[users] + rng.normal(size=30)[items]), 1, 5)
    ratings = pd.DataFrame({"user": users, "item": items, "rating": value})
    ratings.drop_duplicates(["user", "item"]).to_csv(folder / "ratings.csv", index=False)
    for name, text in STUDIES.items():
        (folder / f"{name}.toml").write_text(text)
