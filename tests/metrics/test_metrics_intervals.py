"""Bootstrap over users: by hand, against plain loops, and by simulating data whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.errors import ConfigError, ShapeError
from shortlist.metrics import intervals
from shortlist.metrics.intervals import (
    Difference,
    Estimate,
    Ratio,
    bootstrap,
    brief,
    paired,
    verdict,
)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_ratio_by_hand() -> None:
    ratio = Ratio(np.array([1.0, 2.0, 0.0]), np.array([4.0, 2.0, 0.0]))
    assert ratio.value == 3 / 6
    assert ratio.n == 2
    assert_array_equal(ratio.per_user, [0.25, 1.0, np.nan])
    assert Ratio(ratio.numerators, ratio.denominators, root=True).value == math.sqrt(0.5)
    assert repr(ratio) == "Ratio(0.5000 of 2 users)"


def test_a_mean_leaves_users_without_a_value_out() -> None:
    ratio = Ratio.mean(np.array([1.0, np.nan, 0.0, 1.0]))
    assert ratio.value == pytest.approx(2 / 3)
    assert ratio.n == 3


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    ratio = Ratio.mean(_rng(1).random(50))
    assert bootstrap([ratio], _rng(7)) == bootstrap([ratio], _rng(7))
    assert bootstrap([ratio], _rng(7)) != bootstrap([ratio], _rng(8))


@given(value=st.floats(-10, 10), n=st.integers(2, 40))
def test_a_constant_has_no_width(value: float, n: int) -> None:
    (found,) = bootstrap([Ratio.mean(np.full(n, value))], _rng(), resamples=50)
    assert_allclose([found.low, found.high], value, atol=1e-12)


def test_resamples_are_the_draws_computed_one_by_one() -> None:
    top, below = _rng(1).random(9), _rng(2).integers(0, 4, 9).astype(np.float64)
    (found,) = bootstrap([Ratio(top, below, root=True)], _rng(3), resamples=200)
    drawn = _rng(3).integers(0, 9, size=(200, 9), dtype=np.uint16)
    values = [math.sqrt(top[users].sum() / below[users].sum()) for users in drawn]
    assert_allclose([found.low, found.high], np.quantile(values, [0.025, 0.975]))


def test_many_blocks_hold_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    ratio = Ratio.mean(_rng(1).random(300))
    (whole,) = bootstrap([ratio], _rng())
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 2_000)
    (parts,) = bootstrap([ratio], _rng())
    assert_allclose([parts.low, parts.high], [whole.low, whole.high], atol=0.005)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    rng, held = _rng(11), 0
    for _ in range(200):
        (found,) = bootstrap([Ratio.mean(rng.exponential(2.0, 150))], rng, resamples=400)
        held += found.low <= 2.0 <= found.high
    assert 0.91 <= held / 200 <= 0.98  # percentile intervals of skewed data fall a little short


def test_rows_of_one_user_are_kept_together() -> None:
    # 40 users err by a constant of their own over 25 rows: as if 1,000 rows were independent, the
    # interval would be five times too narrow
    rng, held = _rng(5), 0
    rows = np.full(40, 25.0)
    for _ in range(200):
        own = rng.normal(0.0, 1.0, 40) ** 2
        (found,) = bootstrap([Ratio(own * rows, rows, root=True)], rng, resamples=400)
        held += found.low <= 1.0 <= found.high
    assert 0.86 <= held / 200 <= 0.98


def test_few_users_have_a_value_but_no_interval() -> None:
    one, none = bootstrap(
        [Ratio.mean(np.array([0.5, np.nan])), Ratio.mean(np.array([np.nan, np.nan]))], _rng()
    )
    assert (one.value, one.n) == (0.5, 1)
    assert math.isnan(one.low)
    assert math.isnan(none.value)
    assert none.n == 0
    assert str(one) == ".5000"
    assert bootstrap([], _rng()) == []
    (empty,) = bootstrap([Ratio.mean(np.array([]))], _rng())
    assert math.isnan(empty.value)


def test_pairs_share_their_resamples() -> None:
    noisy = _rng(1).random(80)
    (found,) = paired([Ratio.mean(noisy + 0.1)], [Ratio.mean(noisy)], _rng())
    assert_allclose([found.value, found.low, found.high], 0.1)  # users' noise cancels
    assert found.p == 1 / 1_000
    assert found.shown


def test_a_system_does_not_differ_from_itself() -> None:
    ratio = Ratio.mean(_rng(1).random(30))
    (found,) = paired([ratio], [ratio], _rng())
    assert found == Difference(0.0, 0.0, 0.0, 1.0, 30)
    assert verdict(found, "A", "B") == "no difference shown: +.0000 [.0000, .0000]"


def test_pairs_use_only_users_that_both_have() -> None:
    first = Ratio.mean(np.array([1.0, 0.0, np.nan]))
    second = Ratio.mean(np.array([np.nan, 1.0, 0.0]))
    (found,) = paired([first], [second], _rng())
    assert (found.value, found.n) == (-1.0, 1)
    assert verdict(found, "A", "B") == "nothing can be shown from 1 shared user"


def test_false_alarms_are_about_one_in_twenty() -> None:
    rng, alarms = _rng(3), 0
    for _ in range(200):
        first, second = rng.random(100), rng.random(100)
        (found,) = paired([Ratio.mean(first)], [Ratio.mean(second)], rng, resamples=400)
        alarms += found.shown
    assert 2 <= alarms <= 20


def test_verdicts_name_the_winner() -> None:
    up, flat = (
        Difference(0.012, 0.008, 0.016, 0.001, 99),
        Difference(0.002, -0.003, 0.007, 0.4, 99),
    )
    assert verdict(up, "A", "B") == "A is better: +.0120 [.0080, .0160]"
    assert verdict(up, "A", "B", better="lower") == "B is better: +.0120 [.0080, .0160]"
    assert verdict(up, "A", "B", better="neither") == "A is higher: +.0120 [.0080, .0160]"
    assert verdict(flat, "A", "B") == "no difference shown: +.0020 [-.0030, .0070]"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.17364, ".1736"), (-0.002, "-.0020"), (9.53, "9.5300"), (10.5, "10.5000"), (-0.00001, ".0000"),
     (1.0, "1.0000"), (0.99999, "1.0000"), (-20.04, "-20.0400"), (math.nan, "n/a")],
)  # fmt: skip
def test_numbers_are_written_shortly(number: float, text: str) -> None:
    assert brief(number) == text


def test_estimates_are_written_with_their_interval() -> None:
    assert str(Estimate(0.5, 0.4, 0.61, 10)) == ".5000 [.4000, .6100]"


def test_bad_settings_are_refused() -> None:
    ratio = Ratio.mean(np.ones(3))
    with pytest.raises(ConfigError, match="resamples must be at least 1; got 0"):
        bootstrap([ratio], _rng(), resamples=0)
    with pytest.raises(ConfigError, match="confidence must be between 0 and 1; got 95"):
        paired([ratio], [ratio], _rng(), confidence=95)
    with pytest.raises(ShapeError, match=r"cover \[3, 4\] users"):
        bootstrap([ratio, Ratio.mean(np.ones(4))], _rng())
    with pytest.raises(ShapeError, match=r"must both be \(n,\)"):
        Ratio(np.ones(2), np.ones(3))
