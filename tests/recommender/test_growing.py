"""Items, users and rows that come after the fit."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.errors import DataError
from shortlist.testing import checkerboard, small_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from shortlist.data.protocols import Retriever

LATE = [f"i{n}" for n in range(30, 36)]


def early() -> tuple[Interactions, pl.DataFrame, Interactions]:
    """The small world before its last six items and eight users came, those items, the rows since."""
    everything = small_world()
    rows, films = everything.table, everything.catalogue.table
    users = pl.Series([f"u{n}" for n in range(40, 48)])
    late_row = pl.col("item_id").is_in(LATE) | pl.col("user_id").is_in(users.implode())
    before = replace(
        everything,
        table=rows.filter(~late_row),
        catalogue=Catalogue(films.filter(~pl.col("item_id").is_in(LATE))),
    )
    since = replace(everything, table=rows.filter(late_row))
    return before, films.filter(pl.col("item_id").is_in(LATE)), since


def grown(*parts: object, **more: object) -> sl.Recommender:
    before, films, since = early()
    rec = sl.Recommender(list(parts), **more).fit(before)  # type: ignore[arg-type]
    rec.add_items(films).update(since)
    return rec


def test_a_new_item_is_the_weighted_mean_of_the_items_it_is_like() -> None:
    before, films, _ = early()
    model = sl.retrieval.EASE(l2=10.0)
    rec = sl.Recommender(model).fit(before).add_items(films)
    growth = rec.growth
    assert growth is not None
    assert growth.alike.sum(axis=1) == pytest.approx(np.ones(len(LATE)), abs=1e-6)
    asked = rec.snapshot.queries(["u0", "u1"])
    old = model.score_all(asked)
    rows = rec.snapshot.item_vocabulary.rows(LATE)
    want = (growth.alike.toarray() @ old.T.astype(np.float64)).T
    got = rec.answering[0].score(asked, np.tile(rows, (2, 1)))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(got, rec.answering[0].score_all(asked)[:, rows])


def test_a_new_item_is_recommended_to_those_who_like_its_kind_at_once() -> None:
    train, _ = checkerboard()
    kinds = [["even"] if n % 2 == 0 else ["odd"] for n in range(len(train.item_vocabulary))]
    films = pl.DataFrame({"item_id": train.item_vocabulary.ids, "genres": kinds})
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(
        replace(train, catalogue=Catalogue(films))
    )
    rec.add_items(pl.DataFrame({"item_id": [101, 100], "genres": [["odd"], ["even"]]}))
    users = rec.snapshot.user_vocabulary.ids
    best = rec.recommend(users=users, k=1, allow=[100, 101])
    assert (best["item_id"] - 100).equals(users % 2)
    everything = rec.recommend(users=users, k=99)
    worst = everything.group_by("user_id", maintain_order=True).last()
    assert ((worst["item_id"] + users) % 2 == 1).all()  # no new item of theirs comes last


def test_new_users_and_rows_count_in_the_next_answer() -> None:
    rec = grown(sl.retrieval.EASE(l2=10.0))
    assert rec.recommend("u40")["source"][0] == "ease"
    seen = rec.snapshot.interactions().table.filter(pl.col("user_id") == "u3")["item_id"]
    assert not set(rec.recommend("u3", k=50)["item_id"]) & set(seen)
    assert rec.audience("i0", k=48)["user_id"].is_in(["u40", "u44"]).any()


def test_rows_of_old_users_and_items_stay() -> None:
    before, films, since = early()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(before)
    users, items = rec.snapshot.user_vocabulary.ids, rec.snapshot.item_vocabulary.ids
    rec.add_items(films).update(since)
    assert rec.snapshot.user_vocabulary.ids[: len(users)].equals(users)
    assert rec.snapshot.item_vocabulary.ids[: len(items)].equals(items)
    assert len(rec.snapshot.histories.item_rows) == len(before) + len(since)


def test_popularity_counts_the_new_rows_and_the_report_says_so() -> None:
    before, films, since = early()
    rec = sl.Recommender([sl.retrieval.Popularity(), sl.retrieval.EASE(l2=10.0)]).fit(before)
    said = rec.add_items(films).update(since)
    everything = sl.Recommender(sl.retrieval.Popularity()).fit(rec.snapshot.interactions())
    ours = rec.retrievers[0].score_all(rec.snapshot.guest([]))
    np.testing.assert_array_equal(
        ours, everything.retrievers[0].score_all(rec.snapshot.guest([]))
    )
    assert said["part"].to_list() == ["popularity", "ease", "popularity"]
    assert said["now"][0] == "fitted again on all rows"
    assert said["now"][1].startswith("answers from all histories at once")


@pytest.mark.parametrize("kind", ["ease", "content", "towers"])
def test_always_k_under_limits_and_the_same_bits_in_any_batch(kind: str) -> None:
    if kind == "towers":
        pytest.importorskip("torch")
    made: dict[str, Callable[[], Retriever]] = {
        "ease": lambda: sl.retrieval.EASE(l2=10.0),
        "content": sl.retrieval.Content,
        "towers": lambda: sl.retrieval.TwoTower(dim=8, epochs=1, batch_size=128),
    }
    rec = grown(made[kind]())
    part, n = rec.answering[0], rec.snapshot.n_items
    asked = rec.snapshot.queries(rec.snapshot.user_vocabulary.ids)
    rng = np.random.default_rng(0)
    mask = rng.random(n) < 0.6
    eligible = Eligible.of(len(asked), excluded=(asked.history_rows, asked.offsets), mask=mask)
    everything = part.retrieve(asked, n)
    limited = part.retrieve(asked, 7, eligible)
    for query in range(len(asked)):
        one = eligible.slice(query, query + 1)
        may = one.allowed(n)
        line = everything.rows[query]
        want = line[may[line]][:7]
        np.testing.assert_array_equal(limited.rows[query][: len(want)], want)
        assert (limited.rows[query][len(want) :] == -1).all()
        alone = part.retrieve(asked.slice(query, query + 1), 7, one)
        np.testing.assert_array_equal(alone.scores[0], limited.scores[query])
    np.testing.assert_array_equal(part.score(asked, everything.rows), everything.scores)


def test_a_bundle_keeps_what_came_later(tmp_path: Path) -> None:
    rec = grown(sl.retrieval.EASE(l2=10.0), rank=sl.ranking.Biases(), rank_lists=False)
    rec.save(tmp_path / "b")
    again = sl.load(tmp_path / "b")
    for ask in (
        {"users": ["u0", "u41"]},
        {"history": ["i31", "i2"]},
        {"users": ["u1"], "explain": True},
    ):
        assert again.recommend(k=20, **ask).equals(rec.recommend(k=20, **ask))
    assert again.predict("u41").equals(rec.predict("u41"))
    assert again.similar("i33").equals(rec.similar("i33"))
    sl.verify(tmp_path / "b")


def test_growing_twice_is_growing_once() -> None:
    before, films, since = early()
    once = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(before)
    once.add_items(films).update(since)
    twice = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(before)
    twice.add_items(films[:3]).add_items(films[3:])
    half = np.arange(len(since)) < len(since) // 2
    twice.update(since.subset(half))
    twice.update(since.subset(~half))
    users = once.snapshot.user_vocabulary.ids
    assert twice.recommend(users=users, k=15).equals(once.recommend(users=users, k=15))


def test_a_new_item_is_explained_and_has_similar_ones() -> None:
    train, _ = checkerboard()
    films = pl.DataFrame(
        {"item_id": range(8), "genres": [["even"] if n % 2 == 0 else ["odd"] for n in range(8)]}
    )
    kept = train.table.filter(pl.col("item_id") < 8)
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(Interactions(kept, Catalogue(films)))
    rec.add_items(pl.DataFrame({"item_id": [100, 101], "genres": [["even"], ["odd"]]}))
    because = rec.recommend(history=[0, 3], allow=[100], explain=True)["because"][0]
    assert because[0]["item_id"] == 0
    assert (rec.similar(101, k=4)["item_id"] % 2 == 1).all()
    assert rec.recommend(history=[100], k=3)["item_id"].is_in([0, 2, 4, 6]).all()


def test_the_predicted_rating_of_a_new_item_is_that_of_its_like() -> None:
    before, films, since = early()
    torch = pytest.importorskip("torch")
    assert torch
    ranker = sl.ranking.RatingNetwork(dim=4, epochs=1, batch_size=128)
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0), ranker).fit(before).add_items(films)
    rec.update(since)
    growth = rec.growth
    assert growth is not None
    old = ranker.predict(
        growth.known(rec.snapshot.queries(["u2"])),
        np.arange(growth.n_items, dtype=np.int32)[None],
    )[0]
    got = rec.predict("u2", LATE)["prediction"].to_numpy()
    np.testing.assert_allclose(got, growth.alike @ old, rtol=1e-5)
    assert len(rec.recommend("u2", k=5)) == 5


def test_an_item_like_none_comes_last_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    before, _, _ = early()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(before)
    rec.add_items(pl.DataFrame({"item_id": ["odd one"], "title": ["Zyx Qwv"]}))
    assert "Zyx Qwv" in caplog.text
    assert rec.recommend("u0", k=99)["item_id"][-1] == "odd one"


def test_bad_growth_is_refused_and_changes_nothing() -> None:
    before, films, since = early()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(before)
    was = rec.recommend("u0")
    with pytest.raises(DataError, match="there already"):
        rec.add_items(before.catalogue.table[:1])
    with pytest.raises(DataError, match="which the catalogue lacks"):
        rec.add_items(films.with_columns(colour=pl.lit("red")))
    with pytest.raises(DataError, match="not of the catalogue's kind"):
        rec.add_items(Catalogue(films.with_columns(year=pl.lit("nineteen"))))
    with pytest.raises(DataError, match="add_items"):
        rec.update(since)
    known = since.subset(~since.table["item_id"].is_in(LATE).to_numpy())
    with pytest.raises(DataError, match="lack column 'timestamp'"):
        rec.update(replace(known, table=known.table.drop("timestamp")))
    assert rec.recommend("u0").equals(was)


def test_without_columns_a_new_item_is_like_none_and_kept(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    train, _ = checkerboard()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    before = rec.snapshot.n_items
    was = rec.recommend(history=[0, 2], k=3)
    rec.add_items(pl.DataFrame({"item_id": [990, 991]}))
    assert "2 items are like nothing known" in caplog.text
    rec.save(tmp_path / "bare")
    for grown in (rec, sl.load(tmp_path / "bare")):
        assert grown.snapshot.n_items == before + 2
        assert grown.recommend(history=[0, 2], k=3).equals(was)
        assert grown.recommend(history=[0, 2], k=99)["item_id"].to_list()[-2:] == [990, 991]
        assert grown.recommend(history=[990], k=3)["source"].unique().to_list() == [
            "popularity (fallback)"
        ]
        assert grown.similar(990).is_empty()
        assert not grown.similar(0, k=99)["item_id"].is_in([990, 991]).any()
        assert len(grown.audience(990, k=5)) == 5


def test_a_catalogue_of_other_columns_describes_new_items_by_them() -> None:
    train, _ = checkerboard()
    ids = train.item_vocabulary.ids
    shops = pl.DataFrame(
        {
            "item_id": ids,
            "brand": ["even" if n % 2 == 0 else "odd" for n in ids],
            "stock": [None for _ in ids],
            "photo": [b"\xff" for _ in ids],  # nothing that can be compared
            "made": [timedelta(days=1) for _ in ids],
        }
    )
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(
        replace(train, catalogue=Catalogue(shops))
    )
    rec.add_items(pl.DataFrame({"item_id": [101, 100], "brand": ["odd", "even"]}))
    users = rec.snapshot.user_vocabulary.ids
    best = rec.recommend(users=users, k=1, allow=[100, 101])
    assert (best["item_id"] - 100).equals(users % 2)


def test_ids_of_another_kind_match_by_their_text() -> None:
    train, held = checkerboard()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    text = held.table.with_columns(pl.all().cast(pl.String))[:5]
    rec.update(Interactions(text))
    assert rec.snapshot.user_vocabulary.ids.dtype == pl.Int64
    assert len(rec.snapshot.histories.item_rows) == len(train) + 5
    stranger = pl.DataFrame({"user_id": ["anna"], "item_id": ["3"]})
    rec.update(Interactions(stranger))
    assert rec.recommend("anna", k=1)["item_id"][0] % 2 == 1
    assert rec.snapshot.user_vocabulary.ids.dtype == pl.String  # ids are text from here on


def test_weights_stay_with_their_rows() -> None:
    train, _ = checkerboard()
    weights = np.arange(len(train), dtype=np.float32) % 7 + 1
    weighted = replace(train, table=train.table.with_columns(weight=pl.Series(weights)))
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(weighted)
    back = rec.snapshot.interactions().table
    pairs = ["user_id", "item_id", "weight"]
    assert back.sort(pairs).select(pairs).equals(weighted.table.sort(pairs).select(pairs))
