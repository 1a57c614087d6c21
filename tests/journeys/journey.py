"""What a journey needs: a folder with somebody's data, and `hpsearch` as it is typed there."""

import csv
import io
import random
import re

from typed import typed

QUICK = ("--preset", "quick", "--workers", "1")
"""What makes a run short."""


class Journey:
    """A person in a folder of their own, who types commands and reads what comes."""

    def __init__(self, folder):
        self.folder = folder

    def table(self, name, header, rows):
        """A CSV file of theirs."""
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])

    def types(self, *command):
        """The command succeeds; everything it prints, on one line."""
        status, out, err = typed(
            self.folder, *command, HPSEARCH_HOME=str(self.folder / "home"), COLUMNS="200"
        )
        assert status == 0, err
        return " ".join((out + err).split())

    def shortens(self, study):
        """Trials of three epochs at most."""
        path = self.folder / study
        few = "epochs = { low = 1, high = 3, default = 2 }"
        path.write_text(re.sub(r"epochs = .*", few, path.read_text()))

    def is_told(self, *command):
        """The command fails; the sentence that it fails with."""
        status, _, err = typed(self.folder, *command, HPSEARCH_HOME=str(self.folder / "home"))
        assert status == 2, err
        assert "Traceback" not in err
        return " ".join(err.split())

    def reads(self, name):
        """The rows of a CSV file as dictionaries."""
        return list(csv.DictReader(io.StringIO((self.folder / name).read_text("utf-8"))))


def stars(seed=0, users=12, items=12):
    """(user, item, stars from 1 to 5) of people with tastes, most pairs of them."""
    rng = random.Random(seed)
    return [
        (f"ann{u}", f"film{i}", min(5, max(1, 3 + (u % 3) - (i % 3) + rng.choice((0, 0, 1)))))
        for u in range(users)
        for i in range(items)
        if rng.random() < 0.9
    ]
