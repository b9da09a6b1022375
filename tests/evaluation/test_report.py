"""Reports as people and programs read them, and comparisons with their verdicts."""

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shortlist.errors import ConfigError
from shortlist.evaluation.comparison import compare_reports
from shortlist.evaluation.report import Counts, EvaluationProtocol, Report, direction
from shortlist.metrics.intervals import Estimate, Ratio, bootstrap

N = 300
PROTOCOL = EvaluationProtocol((10,), False, 0, 1_000, 600, "f" * 64)
COUNTS = Counts(N, 0, 0, 600, 600, 0, 0, 0, 0, 0)


def _report(
    name: str, shift: float, *, seed: int = 0, protocol: EvaluationProtocol = PROTOCOL
) -> Report:
    """The same noisy users for everybody, moved by a constant and a little noise of one's own."""
    own = np.random.default_rng(seed).normal(shift, 0.05, N)
    values = np.random.default_rng(99).random(N) * 0.4 + own
    ratios = {
        "ndcg@10": Ratio.mean(values),
        "popularity_bias@10": Ratio.mean(values),
        "rmse": Ratio((1.0 + values) ** 2, np.ones(N), root=True),
    }
    rng = np.random.default_rng(0)
    estimates = dict(zip(ratios, bootstrap(list(ratios.values()), rng), strict=True))
    estimates["coverage@10"] = Estimate(0.5, math.nan, math.nan, N)
    return Report(name, pl.Series("user_id", np.arange(N)), ratios, estimates, COUNTS, protocol)


LOW, MIDDLE, HIGH = (
    _report("low", 0.2),
    _report("middle", 0.3, seed=1),
    _report("high", 0.4, seed=2),
)


def test_a_report_is_json_without_nan() -> None:
    text = json.dumps(LOW.to_dict(), allow_nan=False)
    read = json.loads(text)
    assert read["name"] == "low"
    assert read["protocol"]["k"] == [10]
    assert read["counts"]["users"] == N
    assert read["metrics"]["coverage@10"] == {"value": 0.5, "low": None, "high": None, "n": N}
    assert read["metrics"]["ndcg@10"]["value"] == LOW["ndcg@10"].value


def test_the_table_has_a_row_per_metric() -> None:
    table = LOW.table()
    assert table.columns == ["metric", "value", "low", "high", "n"]
    assert table["metric"].to_list() == ["ndcg@10", "popularity_bias@10", "rmse", "coverage@10"]
    assert table["low"][3] is None


def test_a_report_reads_as_a_page() -> None:
    page = str(LOW)
    assert page.startswith(
        "low: 300 users, 600 test rows, seen items excluded; 95 % intervals over users"
    )
    assert str(LOW["ndcg@10"]) in page
    assert f"rmse {LOW['rmse']}" in page
    assert repr(LOW) == "Report(low: 300 users, 4 metrics)"


def test_nothing_to_note_where_nothing_is_odd() -> None:
    assert LOW.notes == []


def test_notes_say_what_the_numbers_cannot() -> None:
    odd = replace(LOW, counts=Counts(80, 1, 2, 600, 500, 30, 4, 5, 6, 7))
    notes = " | ".join(odd.notes)
    for part in (
        "1 of 80 users are new",
        "2 users have no liked row",
        "30 of 600 rows name an item that train never saw",
        "4 of 600 rows name an item that is not in the catalogue",
        "5 of 500 liked rows repeat an item the user had in train; with seen items excluded they cannot be hit",
        "6 rows have no predicted rating",
        "7 lists hold fewer than 10 items",
        "only 80 test users",
    ):
        assert part in notes
        assert part[:40] in str(odd)
    kept = replace(odd, protocol=replace(PROTOCOL, keep_seen=True))
    assert "since seen items were kept" in " ".join(kept.notes)


def test_every_metric_knows_its_better_direction() -> None:
    assert direction("rmse") == direction("mae") == "lower"
    assert direction("ndcg@10") == "higher"
    assert direction("popularity_bias@10") == "neither"


def test_lines_are_set_against_one_of_them() -> None:
    compared = compare_reports([LOW, MIDDLE, HIGH])
    first, second, third = compared.lines
    assert compared.metric == "ndcg@10"
    assert compared.against == "low"
    assert first.difference is None
    assert second.difference is not None
    # 0.1 apart, each with noise of .05: standard error .05 * sqrt(2 / 300) = .004, far below that of the users
    assert second.difference.value == pytest.approx(0.1, abs=0.012)
    assert second.difference.high - second.difference.low == pytest.approx(
        2 * 1.96 * 0.0041, rel=0.2
    )
    assert second.verdict.startswith("middle is better: +.")
    assert [line.best for line in compared.lines] == [False, False, True]
    assert third.best
    assert compared.summary == f"best value of ndcg@10: high, {HIGH['ndcg@10']}"
    assert compared.beaten is None


def test_the_one_set_against_may_be_named() -> None:
    compared = compare_reports([LOW, MIDDLE, HIGH], against="high")
    assert compared.against == "high"
    assert compared.lines[0].verdict.startswith("high is better: -.")
    assert compare_reports([LOW, HIGH], against=-1).against == "high"


def test_lower_is_better_for_errors() -> None:
    compared = compare_reports([LOW, HIGH], metric="rmse", baselines=["low"])
    assert compared.lines[0].best
    assert compared.lines[1].verdict.startswith("low is better: +.")
    assert compared.summary.startswith("the simple model wins: low has rmse ")


def test_the_simple_model_wins_and_it_is_said() -> None:
    compared = compare_reports([HIGH, LOW, MIDDLE], baselines=["high", "absent"])
    assert compared.summary.startswith("the simple model wins: high has ndcg@10 ")
    assert "middle" in compared.summary  # the best of the others
    assert compared.beaten is False
    assert compared.lines[0].baseline


def test_a_gain_that_is_not_shown_is_not_claimed() -> None:
    twin = _report("twin", 0.3, seed=5)
    compared = compare_reports([MIDDLE, twin], baselines=["middle"])
    assert compared.lines[1].verdict.startswith("no difference shown: ")
    assert "twin is not shown to beat the simple middle" in compared.summary
    assert compared.beaten is False


def test_a_model_that_beats_the_simple_ones_is_said_too() -> None:
    compared = compare_reports([LOW, MIDDLE, HIGH], baselines=["low", "middle"])
    assert compared.summary.startswith("high beats the best simple model, middle: ndcg@10 +.")
    assert compared.beaten is True


def test_a_metric_without_a_better_direction_has_no_best() -> None:
    compared = compare_reports([LOW, HIGH], metric="popularity_bias@10", baselines=["low"])
    assert not any(line.best for line in compared.lines)
    assert compared.lines[1].verdict.startswith("high is higher: +.")
    assert "not which is better" in compared.summary


def test_a_comparison_reads_as_tables_json_and_page() -> None:
    compared = compare_reports([LOW, HIGH], baselines=["low"])
    table = compared.table()
    assert table["name"].to_list() == ["low", "high"]
    assert table["difference"][0] is None
    assert table["baseline"].to_list() == [True, False]
    assert compared.overview().columns == ["name", *LOW.estimates]
    assert (
        json.loads(json.dumps(compared.to_dict(), allow_nan=False))["lines"][1]["best"] is True
    )
    assert "high (best value)" in str(compared)
    assert compared.summary in str(compared).replace("\n", " ")
    assert repr(compared) == "Comparison(ndcg@10: low, high)"


def test_the_same_seed_gives_the_same_comparison() -> None:
    assert (
        compare_reports([LOW, HIGH], seed=1).lines == compare_reports([LOW, HIGH], seed=1).lines
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"k": (10, 20)}, "k: \\(10,\\) and \\(10, 20\\)"),
        ({"keep_seen": True}, "keep_seen: False and True"),
        ({"test_rows": 599}, "test_rows: 600 and 599"),
        ({"test_sha256": "0" * 64}, "test_sha256"),
    ],
)
def test_reports_that_were_judged_differently_are_refused(
    changed: dict[str, object], words: str
) -> None:
    other = replace(HIGH, protocol=replace(PROTOCOL, **changed))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"judged differently.*{words}.*same test rows"):
        compare_reports([LOW, other])


def test_another_seed_of_the_intervals_still_compares() -> None:
    compare_reports([LOW, replace(HIGH, protocol=replace(PROTOCOL, seed=5))])


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least two reports; got 1"):
        compare_reports([LOW])
    with pytest.raises(ConfigError, match=r"a name of its own; got \['low', 'low'\]"):
        compare_reports([LOW, LOW])
    with pytest.raises(ConfigError, match="another order"):
        compare_reports([LOW, replace(HIGH, users=HIGH.users.reverse())])
    with pytest.raises(ConfigError, match=r"no 'ndgc@10'.*Did you mean 'ndcg@10'"):
        compare_reports([LOW, HIGH], metric="ndgc@10")
    with pytest.raises(ConfigError, match="coverage is one number"):
        compare_reports([LOW, HIGH], metric="coverage@10")
    with pytest.raises(ConfigError, match=r"no report is named 'hihg'.*Did you mean 'high'"):
        compare_reports([LOW, HIGH], against="hihg")
    with pytest.raises(ConfigError, match=r"a place among the 2 reports.*got 2"):
        compare_reports([LOW, HIGH], against=2)


def test_errors_over_other_rows_do_not_compare() -> None:
    fewer = Ratio(HIGH.ratios["rmse"].numerators, np.full(N, 2.0), root=True)
    other = replace(HIGH, ratios={**HIGH.ratios, "rmse": fewer})
    with pytest.raises(ConfigError, match=r"left unpredicted.*do not compare"):
        compare_reports([LOW, other], metric="rmse")
