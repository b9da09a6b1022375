"""Re-rankers on lists small enough to work out by hand."""

import itertools

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Reranker
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError
from shortlist.rerank.greedy import likeness

GENRES = [["A"], ["A"], ["B"], ["A", "B"], ["C"], []]
DIRECTORS = ["X", "X", "X", "Y", None, "Y"]


def snapshot() -> Snapshot:
    films = pl.DataFrame(
        {
            "item_id": range(6),
            "genres": GENRES,
            "director": DIRECTORS,
            "year": [1990, 1991, 1992, 2020, 2021, 1980],
        }
    )
    rows = pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 2, 4]})
    return Snapshot.of(Interactions(rows, Catalogue(films)))


def listed(*scores: float) -> TopK:
    return TopK(np.arange(len(scores), dtype=np.int32)[None], np.array([scores], np.float32))


def guest(*rows: int) -> Queries:
    return Queries(
        np.array([-1], np.int32),
        np.array(rows, np.int32),
        np.array([0, len(rows)], np.int64),
        np.ones(len(rows), bool),
    )


def order(one: Reranker, top: TopK, k: int, asker: Queries | None = None) -> list[int]:
    shown = one.rerank(snapshot(), asker or guest(), top, k)
    assert shown.rows.shape == top.rows.shape
    return shown.rows[0, :k].tolist()  # type: ignore[no-any-return]


def test_diverse_by_hand() -> None:
    # scores 1, .9, .5, 0: relevance is the same. Item 0 first. strength .5:
    # item 1 (A like A, likeness 1): .5 * .9 - .5 * 1 = -.05; item 2 (B, likeness 0): .25;
    # item 3 (A and B, likeness 1/sqrt 2): 0 - .354. Second is 2; then 1: -.05; 3: 0 - .5 * .707.
    assert order(sl.rerank.Diverse(0.5), listed(1.0, 0.9, 0.5, 0.0), 3) == [0, 2, 1]
    assert order(sl.rerank.Diverse(0.0), listed(1.0, 0.9, 0.5, 0.0), 3) == [0, 1, 2]
    # 0 and 2 first. Third, by the sum of likeness: item 1 is worth 0 - .5 (1 + 0) = -.5, and
    # item 3 .5 * .2 - .5 (.707 + .707) = -.607; by the largest alone it would have been item 3.
    assert order(sl.rerank.Diverse(0.5), listed(1.0, 0.0, 0.9, 0.2), 3) == [0, 2, 1]


def test_likeness_is_the_cosine() -> None:
    like = likeness(snapshot(), "genres", np.arange(6, dtype=np.int32))
    assert like[0, 1] == 1
    assert like[0, 3] == pytest.approx(1 / np.sqrt(2))
    assert like[0, 2] == like[5, 0] == 0
    assert like[5, 5] == 1


def test_determinantal_against_the_determinants_of_every_list() -> None:
    # greedy by the definition: each step compares log det of the whole list so far, from scratch
    top, strength = listed(1.0, 0.95, 0.9, 0.3, 0.2, 0.0), 0.4
    like = likeness(snapshot(), "genres", np.arange(6, dtype=np.int32)) + 1e-3 * np.eye(6)
    good = top.scores[0].astype(float)
    chosen: list[int] = []
    for _ in range(5):
        values = {
            item: (1 - strength) * good[[*chosen, item]].sum()
            + strength * np.linalg.slogdet(like[np.ix_([*chosen, item], [*chosen, item])])[1]
            for item in range(6)
            if item not in chosen
        }
        chosen.append(max(values, key=lambda item: values[item]))
    assert order(sl.rerank.Determinantal(strength), top, 5) == chosen
    assert chosen != [0, 1, 2, 3, 4]


def test_calibrated_finds_the_mix_of_the_history() -> None:
    # the history is half A, half B: of two places, strength 1 gives one of each (or the item of both)
    asker = guest(0, 2)
    best = order(sl.rerank.Calibrated(1.0), listed(1.0, 0.9, 0.8, 0.1, 0.7, 0.6), 2, asker)
    mixes = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]])
    wanted = np.array([0.5, 0.5, 0])

    def apart(items: tuple[int, ...]) -> float:
        mix = mixes[list(items)].sum(axis=0)  # an item without a genre changes no mix
        share = 0.99 * mix / max(mix.sum(), 1e-12) + 0.01 * wanted
        return float((wanted[:2] * np.log(wanted[:2] / share[:2])).sum())

    assert apart(tuple(best)) == pytest.approx(
        min(apart(pair) for pair in itertools.combinations(range(6), 2)), abs=1e-9
    )
    assert best[0] == 3


def test_calibrated_keeps_the_order_without_a_history() -> None:
    assert order(sl.rerank.Calibrated(1.0), listed(1.0, 0.9, 0.8), 3) == [0, 1, 2]


def test_at_most_leaves_out_and_counts_lists_value_by_value() -> None:
    top = listed(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    # X, X | X is too many | Y, none, Y
    assert order(sl.rerank.AtMost(2, "director"), top, 5) == [0, 1, 3, 4, 5]
    # A | A too many | B | A and B too many | C | no genre: never limited
    assert order(sl.rerank.AtMost(1, "genres"), top, 6) == [0, 2, 4, 5, -1, -1]


def test_boost_moves_what_meets_the_condition() -> None:
    top = listed(1.0, 0.9, 0.8, 0.5, 0.0)
    # relevance 1, .9, .8, .5, 0; years from 2020 (items 3 and 4) gain .45: .95 and .45
    assert order(sl.rerank.Boost("year >= 2020", 0.45), top, 5) == [0, 3, 1, 2, 4]
    assert order(sl.rerank.Boost("year >= 2020", -2), top, 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "one",
    [
        sl.rerank.Diverse(0.3),
        sl.rerank.Determinantal(0.3),
        sl.rerank.Calibrated(0.6),
        sl.rerank.AtMost(1, "genres"),
        sl.rerank.Boost("year > 1990"),
    ],
    ids=lambda one: one.kind,
)
def test_padding_empty_lists_and_batches(one: Reranker) -> None:
    rows = np.array([[3, 0, 1, -1], [-1, -1, -1, -1], [5, 2, 4, 0]], np.int32)
    scores = np.where(rows >= 0, np.array([4, 3, 2, 1]), -np.inf).astype(np.float32)
    top, held = TopK(rows, scores), snapshot()
    asked = held.queries([0, 1, 99])
    whole = one.rerank(held, asked, top, 3)
    assert (whole.rows[1] == -1).all()
    for line in range(3):
        some = slice(line, line + 1)
        alone = one.rerank(held, asked.slice(line, line + 1), TopK(rows[some], scores[some]), 3)
        np.testing.assert_array_equal(alone.rows[0], whole.rows[line])
        kept = whole.rows[line][whole.rows[line] >= 0].tolist()
        assert set(kept) <= set(rows[line].tolist())
        assert len(set(kept)) == len(kept)
    assert type(one)(**one.to_json()) == one


def test_settings_out_of_range_and_unknown_columns_are_refused() -> None:
    for make in (sl.rerank.Diverse, sl.rerank.Determinantal, sl.rerank.Calibrated):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            make(1.5)
    with pytest.raises(ConfigError, match="at least 1"):
        sl.rerank.AtMost(0, "genres")
    with pytest.raises(ConfigError, match="Did you mean 'genres'"):
        order(sl.rerank.Diverse(0.5, by="genre"), listed(1.0, 0.5), 2)
