"""Somebody doubts a rule and has it verified by new runs in pairs."""

from journey import QUICK, stars


def test_a_rule_is_decided_by_pairs_of_new_runs(me):
    me.table("stars.csv", ["user", "item", "rating"], stars())
    me.types("new", "stars.csv")
    me.shortens("stars.toml")
    me.types("run", "stars.toml", *QUICK, "--trials", "4")
    verify = ("verify", "stars-quick", "--param", "lr", "--value", "0.02", "--against", "0.001")
    said = me.types(*verify, "--pairs", "3", "--workers", "1").lower()
    verdicts = ("confirmed", "refuted", "inconclusive", "smaller than claimed")
    assert any(word in said for word in verdicts)
    assert "over 3 pairs" in said
    again = me.types(*verify, "--pairs", "3", "--workers", "1")
    assert "over 6 pairs" in again  # all pairs of the contrast together
