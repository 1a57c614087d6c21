"""A table of 1,250 rows whose price is its size and as much noise, and a study of it."""

import numpy as np
import pandas as pd

from hpsearch.study.spec import load_spec


def priced_table(folder, text):
    """table.csv in the folder, and the study that `text` declares."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=1250)})
    table["price"] = table["size"] + rng.normal(size=1250)
    table.to_csv(folder / "table.csv", index=False)
    (folder / "study.toml").write_text(text)
    return load_spec(folder / "study.toml")
