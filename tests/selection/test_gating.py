"""The gate between a new recommender and the running one."""

import pytest

import shortlist as sl
from shortlist.errors import DataError
from shortlist.selection.gating import gate
from shortlist.testing import checkerboard


def fitted(part: sl.retrieval.EASE | sl.retrieval.Popularity) -> sl.Recommender:
    return sl.Recommender(part).fit(checkerboard(users=30, items=20)[0])


def test_a_worse_one_is_stopped_and_a_better_one_goes_through() -> None:
    held = checkerboard(users=30, items=20)[1]
    good, plain = fitted(sl.retrieval.EASE(l2=10.0)), fitted(sl.retrieval.Popularity())
    down = gate(plain, good, held, k=2)
    assert down.worse
    assert down.verdict.startswith("new is worse than running: ndcg@2 -")
    up = gate(good, plain, held, k=2, names=("today", "yesterday"))
    assert not up.worse
    assert up.verdict.startswith("today is better than yesterday: ndcg@2 +")
    same = gate(good, fitted(sl.retrieval.EASE(l2=10.0)), held, k=2)
    assert not same.worse
    assert same.verdict.startswith("no difference shown between new and running")
    assert gate(good, plain, held, metric="hit_rate@2", k=2).comparison.metric == "hit_rate@2"


def test_nothing_is_shown_from_five_users() -> None:
    held = checkerboard(users=30, items=20)[1]
    good, plain = fitted(sl.retrieval.EASE(l2=10.0)), fitted(sl.retrieval.Popularity())
    users = held.table["user_id"].unique(maintain_order=True)
    for n, worse in ((1, False), (5, False), (6, True)):
        some = held.subset(held.table["user_id"].is_in(users[:n].to_list()).to_numpy())
        found = gate(plain, good, some, k=2)
        gap = found.comparison.lines[0].difference
        assert gap is not None
        assert (gap.n, found.worse) == (n, worse)
        assert found.verdict.startswith("nothing can be shown from") is not worse


def test_one_that_knows_the_answers_is_refused() -> None:
    train, held = checkerboard(users=30, items=20)
    knows = fitted(sl.retrieval.EASE(l2=10.0))
    knows.update(held)
    with pytest.raises(DataError, match="one knows what the other is asked"):
        gate(knows, fitted(sl.retrieval.EASE(l2=10.0)), held, k=2)
    assert len(train)


def test_they_may_be_fitted_on_different_rows() -> None:
    train, held = checkerboard(users=30, items=20)
    half = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train.subset(train.user_rows % 3 > 0))
    assert not gate(fitted(sl.retrieval.EASE(l2=10.0)), half, held, k=2).worse
