"""Numbers and dates in the writing of a country, where a column leaves no doubt which."""

import json

import numpy as np
import pandas as pd
import pytest

from hpsearch.data.cells import parse_dates, plainly
from hpsearch.errors import InputError
from hpsearch.trainers.tabular.table.columns import infer_columns
from hpsearch.trainers.tabular.table.preprocess import Preprocessor, Target


def written(**columns):
    return pd.DataFrame(columns).assign(y=["a", "b"] * 15)


def test_numbers_in_europes_and_americas_writing_are_numbers():
    numbers = np.arange(30) * 431.27
    points = [f"{number:,.2f}" for number in numbers]  # 1,293.81
    commas = [one.translate({44: ".", 46: ","}) for one in points]
    unsure = [f"{n // 7},{n:03d}" for n in range(30)]
    table = written(euro=commas, dollar=points, unsure=unsure, code=[*commas[:-1], "12-3"])
    columns = infer_columns(table, "y")
    assert columns.continuous == ("euro", "dollar")
    assert columns.reasons["euro"] == "numbers with fractions, written as 1.234,56"
    assert columns.reasons["dollar"] == "numbers with fractions, written as 1,234.56"
    plain = plainly(table, columns.forms)
    assert plain["euro"].tolist() == pytest.approx(numbers, abs=0.005)
    assert plain["dollar"].tolist() == pytest.approx(numbers, abs=0.005)
    # Categories, with gaps, are no different; a model reads later rows as it learnt to.
    table = pd.concat([table, table.assign(euro=None)], ignore_index=True).astype("category")
    learnt = Preprocessor.fit(table, infer_columns(table, "y"))
    learnt = Preprocessor.from_json(json.loads(json.dumps(learnt.to_json())))
    assert {"euro", "dollar"} <= {*learnt.texts}
    row = table[:1].assign(euro="1.234")
    one = learnt.continuous["euro"]
    assert learnt.transform(row).numbers[0, 0] == pytest.approx((1234 - one.mean) / one.std)
    with pytest.raises(InputError, match="'about 3' is not a number"):
        learnt.transform(row.assign(euro="about 3"))


def test_dates_with_slashes_are_dates_where_a_day_is_above_12():
    days = pd.date_range("2026-01-05", periods=30, freq="D")
    table = written(
        day=days.strftime("%d/%m/%Y"), month=days.strftime("%m/%d/%Y %H:%M"),
        unsure=[f"0{n % 9 + 1}/11/2026" for n in range(30)],
    )  # fmt: skip
    columns = infer_columns(table, "y")
    assert columns.dates == ("day", "month")
    assert columns.categorical == ("unsure",)
    assert columns.reasons["day"] == "texts that are dates, the day first, as in 24/11/2026"
    assert "do not say which is the day" in columns.reasons["unsure"]
    plain = plainly(table, columns.forms)
    assert parse_dates(plain["day"]).tolist() == parse_dates(plain["month"]).tolist() == [*days]
    learnt = Preprocessor.fit(table, columns)
    later = table[:1].assign(day="2/1/2026", month="2026-01-02")
    same = table[:1].assign(day="02/01/2026", month="01/02/2026")
    assert (learnt.transform(later).codes == learnt.transform(same).codes).all()


def test_a_target_in_europes_writing_is_a_number():
    table = written(x=np.arange(30) * 0.5, price=[f"1.{n:03d},50" for n in range(30)])
    columns = infer_columns(table, "price")
    assert (columns.task, columns.forms) == ("regression", {"price": "1.234,56"})
    assert Target.fit(plainly(table, columns.forms), columns).mean == pytest.approx(1015)
    assert infer_columns(table[:30:4], "price", task="classification").forms == {}
