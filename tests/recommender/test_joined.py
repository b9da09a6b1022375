"""A copy with other parts keeps everything else, whatever a recommender may hold."""

from dataclasses import fields, replace

import polars as pl
import pytest
from numpy.testing import assert_array_equal

import shortlist as sl
from shortlist.rerank import Diverse, Explore
from shortlist.retrieval import EASE, Popularity
from shortlist.testing.worlds import small_world


@pytest.fixture
def rec() -> sl.Recommender:
    made = sl.Recommender(
        EASE(l2=10.0),
        sl.ranking.Biases(),
        rules=[sl.rules.Seen(), sl.rules.Where("year >= 0")],
        candidates=7,
        name="mine",
        rank_lists=False,
        rerank=Diverse(0.2),
        explore=Explore(slots=1),
    ).fit(small_world(positive=None))
    made.metrics, made.events_through = {"recall": 0.5}, 40
    made.add_items(pl.DataFrame({"item_id": ["new"], "title": ["new"], "year": [1999]}))
    return made


def test_a_copy_holds_what_the_recommender_holds(rec: sl.Recommender) -> None:
    copied = rec.with_parts()
    cached = {"_standing"}  # made again when asked for
    for one in fields(rec):
        if one.name not in cached:
            assert getattr(copied, one.name) is getattr(rec, one.name), one.name
    users = rec.snapshot.user_vocabulary.ids
    assert_array_equal(copied.top(users, 5).rows, rec.top(users, 5).rows)


def test_what_is_replaced_is_replaced_alone(rec: sl.Recommender) -> None:
    popular = Popularity().fit(rec.snapshot.interactions())
    copied = rec.with_parts(retrieve=popular, rank=None, metrics={})
    assert (copied.retrievers, copied.rank, copied.metrics) == ((popular,), None, {})
    assert (copied.name, copied.events_through) == ("mine", 40)
    assert copied.growth is rec.growth
    assert copied.snapshot is rec.snapshot
    assert rec.metrics == {"recall": 0.5}
    assert isinstance(rec.retrievers[0], EASE)


def test_a_copy_that_is_told_of_more_leaves_the_first_alone(rec: sl.Recommender) -> None:
    before, items = rec.snapshot, rec.snapshot.n_items
    copied = rec.with_parts()
    copied.add_items(pl.DataFrame({"item_id": ["newer"], "title": ["newer"], "year": [1999]}))
    assert copied.snapshot.n_items == items + 1
    assert rec.snapshot is before


def test_an_empty_name_is_built_from_the_parts(rec: sl.Recommender) -> None:
    plain = rec.with_parts(rank=None, rerank=(), explore=None, name="")
    assert plain.name == "ease"


def test_other_rows_are_known_by_what_they_are(rec: sl.Recommender) -> None:
    other = replace(rec.snapshot, positive="liked == true")
    assert rec.with_parts(snapshot=other).snapshot is other


def test_a_fit_on_other_rows_forgets_which_events_were_learned(rec: sl.Recommender) -> None:
    # events of a service are in the rows of a refresh only: a fit on a table holds none of them, and
    # whoever was forgotten since must be looked for in it
    rec.fit(small_world(positive=None))
    assert (rec.events_through, rec.metrics, rec.growth) == (0, {}, None)
