"""The pairs of earlier verifications, from rows of this version and of those before it."""

from hpsearch.verification.earlier import earlier_pairs
from hpsearch.verification.plan import Contrast
from hpsearch.verification.verdict import Pairs

CONTRAST = Contrast("x", 0.3, 0.8)


def row(payload, value=0.3, against=0.8, **other):
    return {
        "param": "x", "value": value, "against": against, "verdict": "refuted",
        "payload": payload, **other,
    }  # fmt: skip


def test_both_directions_count_and_other_contrasts_do_not():
    gains = {"gains": [1.0, None, 2.0], "lost": [1, 0, 0]}
    rows = [
        row(gains),
        row(gains, value=0.8, against=0.3),
        row(gains, param="y"),
        row(gains, value=0.4),
        row(gains, verdict="planned"),
    ]
    assert earlier_pairs(rows, CONTRAST) == [
        Pairs((1.0, 2.0), lost=1),
        Pairs((-1.0, -2.0), lost_against=1),
    ]


def test_rows_that_do_not_say_whose_run_failed():
    old = row({"gains": [0.1, None, 0.2], "reason": "..."})
    assert earlier_pairs([old], CONTRAST) == [Pairs((0.1, 0.2), lost_both=1)]


def test_what_cannot_be_read_is_a_look_without_pairs():
    rows = [row(None), row([1]), row({"gains": "all"}), row({"gains": [True, "x", 1e999]})]
    found = earlier_pairs(rows, CONTRAST)
    assert len(found) == 4
    assert all(one.gains == () for one in found)
    lies = row({"gains": [1.0], "lost": [-5, 0, 0]})
    assert earlier_pairs([lies], CONTRAST) == [Pairs((1.0,))]
