"""Rough costs: they rise with what costs, and keep slow methods out of short budgets."""

import shortlist as sl
from shortlist.selection import METHODS
from shortlist.selection.costs import rough_seconds


def test_costs_by_hand_and_in_the_right_order() -> None:
    data = sl.datasets.movielens()  # 100,004 rows, 671 users, 9,066 items
    assert abs(rough_seconds("next-item", data) - (1.7 + 0.1 * 9.066**3)) < 0.1
    assert abs(rough_seconds("ease", data) - (0.1 + 0.04 * 0.671**3)) < 0.1
    assert rough_seconds("popularity", data) == 0
    costs = [rough_seconds(name, data) for name in ("als", "two-tower", "sequence")]
    assert costs == sorted(costs)
    assert all(rough_seconds(name, data) >= 0 for name in METHODS)


def test_what_a_budget_cannot_hold_is_not_begun() -> None:
    auto = sl.Auto(seconds=15, methods=["sequence"]).fit(sl.datasets.movielens())
    assert auto.table["remark"][1].startswith("not tried: time: it takes some 6")
    assert auto.why.endswith("15 seconds were too few for 1 other")
