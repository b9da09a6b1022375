"""The recommender: always K, exclusions first, the fallback named, the same bits in any batch."""

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever, State
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import (
    ConfigError,
    DataError,
    LikenessError,
    NotReadyError,
    ShapeError,
    ShortlistError,
)
from shortlist.index.select import select_top_k
from shortlist.ranking import Biases, RatingNetwork
from shortlist.recommender import Recommender, load
from shortlist.recommender.rules import Deny, Seen, Where
from shortlist.retrieval import (
    ALS,
    EASE,
    Alike,
    Content,
    GraphFilter,
    Neighbours,
    Popularity,
    TwoTower,
)
from shortlist.testing import small_world

TINY: dict[str, Any] = {"dim": 4, "epochs": 2, "batch_size": 128, "progress": False}
KINDS = ("popularity", "ease", "towers", "blend", "ranked", "network")


@cache
def world() -> Interactions:
    """A small world; "sad" has seen two items and liked neither."""
    made = small_world(positive="rating >= 4")
    sad = {"user_id": ["sad"] * 2, "item_id": ["i0", "i1"], "rating": [1.0, 2.0]}
    rows = pl.DataFrame({**sad, "timestamp": [1_000_000_000, 1_000_000_001]})
    return replace(made, table=pl.concat([made.table, rows.cast(made.table.schema)]))


@cache
def fitted(kind: str) -> Recommender:
    if kind in {"towers", "blend", "network"}:
        pytest.importorskip("torch")
    parts: dict[str, Any] = {
        "popularity": {"retrieve": Popularity()},
        "ease": {"retrieve": EASE(l2=5.0)},
        "towers": {"retrieve": TwoTower(**TINY)},
        "blend": {"retrieve": [EASE(l2=5.0), TwoTower(**TINY, user=["user_id", "town"])]},
        "ranked": {"retrieve": EASE(l2=5.0), "rank": Biases(), "candidates": 3},
        "network": {
            "retrieve": [Popularity(), TwoTower(**TINY)],
            "rank": RatingNetwork(**TINY, layers=(4,)),
            "candidates": 2,
        },
    }
    return Recommender(**parts[kind]).fit(world())


def seen_by(user: str) -> set[str]:
    table = world().table
    return set(table.filter(pl.col("user_id") == user)["item_id"])


ITEMS = [f"i{number}" for number in range(39)]
CONDITIONS = [None, "year >= 1980", "'Comedy' in genres", "year < 1900"]


def allowed_by(condition: str | None) -> set[str]:
    table = world().catalogue.table
    if condition == "year >= 1980":
        table = table.filter(pl.col("year") >= 1980)
    elif condition == "'Comedy' in genres":
        table = table.filter(pl.col("genres").list.contains("Comedy"))
    elif condition is not None:
        table = table.clear()
    return set(table["item_id"])


some_items = st.none() | st.lists(st.sampled_from([*ITEMS, "unknown"]), max_size=30)


@pytest.mark.parametrize("kind", KINDS)
def test_always_k_where_k_are_eligible(kind: str) -> None:
    rec = fitted(kind)

    @settings(max_examples=40, deadline=None)
    @given(
        user=st.sampled_from(["u0", "u1", "u47", "sad", "nobody"]),
        k=st.integers(1, 45),
        where=st.sampled_from(CONDITIONS),
        allow=some_items,
        deny=some_items,
        keep_seen=st.booleans(),
    )
    def check(
        *,
        user: str,
        k: int,
        where: str | None,
        allow: list[str] | None,
        deny: list[str] | None,
        keep_seen: bool,
    ) -> None:
        eligible = allowed_by(where) & set(ITEMS if allow is None else allow) - set(deny or ())
        eligible -= set() if keep_seen else seen_by(user)
        table = rec.recommend(
            user=user, k=k, where=where, allow=allow, deny=deny, keep_seen=keep_seen
        )
        assert len(table) == min(k, len(eligible))
        assert set(table["item_id"]) <= eligible
        assert table["item_id"].n_unique() == len(table)
        assert table["rank"].to_list() == list(range(1, len(table) + 1))
        assert table["score"].is_sorted(descending=True)

    check()


@pytest.mark.parametrize("kind", ["ranked", "network"])
def test_few_candidates_still_fill_the_list_and_hold_nothing_seen(kind: str) -> None:
    table = fitted(kind).recommend(users=["u3", "u4"], k=20)
    assert table.group_by("user_id").len().sort("user_id")["len"].to_list() == [20, 20]
    for user in ("u3", "u4"):
        assert not seen_by(user) & set(table.filter(user_id=user)["item_id"])


def test_the_ranker_orders_the_candidates_of_the_retriever() -> None:
    rec = fitted("ranked")
    candidates = fitted("ease").recommend(user="u5", k=3)["item_id"].to_list()
    table = rec.recommend(user="u5", k=3)
    assert sorted(table["item_id"]) == sorted(candidates)
    predicted = rec.predict("u5", table["item_id"])["prediction"]
    assert_array_equal(table["score"], predicted)


@pytest.mark.parametrize("user", ["nobody", "sad"])
def test_whoever_brings_nothing_gets_the_fallback_and_is_told(user: str) -> None:
    table = fitted("ease").recommend(user=user, k=5)
    popular = fitted("popularity").recommend(user=user, k=5)
    assert table["item_id"].to_list() == popular["item_id"].to_list()
    assert set(table["source"]) == {"popularity (fallback)"}
    assert not seen_by(user) & set(table["item_id"])


def test_the_fallback_is_per_line_in_a_mixed_batch() -> None:
    table = fitted("ease").recommend(users=["nobody", "u1", "sad", "u2"], k=4)
    fallback = "popularity (fallback)"
    assert table["user_id"].unique(maintain_order=True).to_list() == [
        "nobody",
        "u1",
        "sad",
        "u2",
    ]
    assert (
        table["source"].to_list()
        == [fallback] * 4 + ["ease"] * 4 + [fallback] * 4 + ["ease"] * 4
    )


def test_places_without_an_item_have_no_source() -> None:
    rec = fitted("ease")
    answer = rec.answer(rec.snapshot.queries(["u1", "nobody"]), 45)
    assert_array_equal(answer.source < 0, answer.top.rows < 0)
    assert (answer.top.rows[:, 39:] == -1).all()


def test_a_guest_gets_items_like_their_history_and_none_of_it() -> None:
    rec = fitted("ease")
    history = ["i0", "i4", "i8"]  # all of cluster 0
    table = rec.recommend(history=history, k=4)
    assert table.columns == ["rank", "item_id", "title", "score", "source"]
    assert {int(item[1:]) % 4 for item in table["item_id"]} == {0}
    assert not set(history) & set(table["item_id"])
    kept = rec.recommend(history=history, k=39, keep_seen=True)
    assert set(history) <= set(kept["item_id"])


def test_a_guest_may_name_titles() -> None:
    rec = fitted("ease")
    titles = rec.snapshot.catalogue.titles[:3].to_list()
    assert rec.recommend(history=titles).equals(rec.recommend(history=["i0", "i1", "i2"]))


def test_a_guest_without_history_gets_the_fallback() -> None:
    table = fitted("ease").recommend(history=[], k=3)
    assert set(table["source"]) == {"popularity (fallback)"}


def test_unknown_history_items_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    rec = fitted("ease")
    with caplog.at_level(logging.WARNING):
        table = rec.recommend(history=["i0", "No Such Film"])
    assert "1 of 2 items are unknown" in caplog.text
    assert "No Such Film" in caplog.text
    assert table.equals(rec.recommend(history=["i0"]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_whatever_the_batch_and_the_order(kind: str) -> None:
    rec = fitted(kind)
    rng = np.random.default_rng(0)
    known = [*rec.snapshot.user_vocabulary.ids, "nobody", "else"]
    asked = pl.Series(rng.choice(known, 2500))  # blocks of 1024 inside
    top = rec.top(asked, 7)
    alone = {user: rec.top(pl.Series([user]), 7) for user in known}
    for line, user in enumerate(asked):
        assert_array_equal(top.rows[line], alone[user].rows[0])
        assert_array_equal(top.scores[line], alone[user].scores[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_top_gives_is_what_recommend_shows(kind: str) -> None:
    rec = fitted(kind)
    users = pl.Series(["u1", "nobody", "u7", "sad"])
    top, table = rec.top(users, 6), rec.recommend(users=users, k=6)
    assert_array_equal(top.rows.ravel(), rec.snapshot.item_vocabulary.rows(table["item_id"]))
    assert_array_equal(top.scores.ravel(), table["score"])
    everyone = rec.top(users, 6, keep_seen=True)
    shown = rec.recommend(users=users, k=6, keep_seen=True)
    assert_array_equal(everyone.scores.ravel(), shown["score"])


def test_every_source_named_is_the_one_that_ranked_the_item_best() -> None:
    rec = fitted("blend")
    users = ["u1", "u2", "u3"]
    queries = rec.snapshot.queries(users)
    seen = Eligible.of(3, excluded=(queries.history_rows, queries.offsets))
    lists = [part.retrieve(queries, 200, seen).rows for part in rec.retrievers]
    table = rec.recommend(users=users, k=8)
    for user, item, source in table.select("user_id", "item_id", "source").iter_rows():
        row = rec.snapshot.item_row(item)
        ranks = [int(np.argmax(one[users.index(user)] == row)) for one in lists]
        assert source == rec.retrievers[int(np.argmin(ranks))].name
    assert set(table["source"]) == {"ease", "two-tower"}


def test_attributes_are_enough_for_towers_that_read_them() -> None:
    made = world()
    assert made.users is not None
    users = pl.concat([made.users, made.users[:1].with_columns(user_id=pl.lit("newcomer"))])
    pytest.importorskip("torch")
    rec = Recommender(TwoTower(**TINY, user=["town"])).fit(replace(made, users=users))
    assert set(rec.recommend(user="newcomer", k=3)["source"]) == {"two-tower"}
    assert set(rec.recommend(user="nobody", k=3)["source"]) == {"popularity (fallback)"}


def test_a_known_users_columns_are_the_same_beside_a_stranger() -> None:
    snapshot = fitted("ease").snapshot
    alone, beside = (
        snapshot.queries(["u1", "sad"]).users,
        snapshot.queries(["u1", "sad", "x"]).users,
    )
    assert alone is not None
    assert beside is not None
    assert alone.equals(beside[:2])
    strangers = snapshot.queries_of_rows(np.array([-1, 0], np.int32)).users
    assert strangers is not None
    assert strangers.schema == alone.schema
    assert strangers.row(0) == (None, None)


def test_k_above_the_catalogue_gives_what_there_is() -> None:
    rec = fitted("blend")
    top = rec.top(pl.Series(["u1"]), 100)
    assert top.rows.shape == (1, 100)
    assert (top.rows >= 0).sum() == 39 - len(seen_by("u1"))
    assert len(rec.recommend(user="u1", k=10**12)) == 39 - len(seen_by("u1"))
    assert len(rec.similar("i1", k=10**12)) == 38
    assert len(rec.audience("i1", k=10**12)) <= 49


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k: int) -> None:
    rec = fitted("ease")
    for ask in (
        lambda: rec.recommend(user="u1", k=k),
        lambda: rec.top(pl.Series(["u1"]), k),
        lambda: rec.similar("i1", k=k),
        lambda: rec.audience("i1", k=k),
    ):
        with pytest.raises(ConfigError, match=f"k must be at least 1; got {k}"):
            ask()


def test_nobody_asking_gets_an_empty_table() -> None:
    rec = fitted("blend")
    table = rec.recommend(users=[], k=3)
    assert len(table) == 0
    assert table.columns == ["user_id", "rank", "item_id", "title", "score", "source"]
    assert rec.top(pl.Series([], dtype=pl.String), 3).rows.shape == (0, 3)


@pytest.mark.parametrize(
    "who", [{}, {"user": "u1", "users": ["u1"]}, {"user": "u1", "history": ["i1"]}]
)
def test_exactly_one_way_of_asking(who: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="exactly one of user=, users= and, for a guest,"):
        fitted("ease").recommend(**who)


@pytest.mark.parametrize("name", ["users", "history", "allow", "deny"])
def test_one_text_where_a_list_belongs_is_refused(name: str) -> None:
    given: dict[str, Any] = {name: "u12"}
    who: dict[str, Any] = {} if name in {"users", "history"} else {"user": "u1"}
    with pytest.raises(ConfigError, match=rf"{name} takes a list of ids; got the text 'u12'"):
        fitted("ease").recommend(**who, **given)


def test_predict_refuses_one_text_too() -> None:
    with pytest.raises(ConfigError, match="items takes a list"):
        fitted("ranked").predict("u1", "i12")


def test_a_missing_id_is_refused() -> None:
    with pytest.raises(DataError, match="the id is missing"):
        fitted("ease").recommend(users=pl.Series(["u1", None]))


@pytest.mark.parametrize("where", ["years > 1990", "year >", "title"])
def test_a_bad_condition_is_a_readable_error(where: str) -> None:
    with pytest.raises(ShortlistError):
        fitted("ease").recommend(user="u1", where=where)


def test_two_retrievers_of_a_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"each kind once; got \['ease', 'ease'\]"):
        Recommender([EASE(), EASE(l2=3.0)])
    with pytest.raises(ConfigError, match="at least one retriever"):
        Recommender([])
    with pytest.raises(ConfigError, match="candidates must be at least 1; got 0"):
        Recommender(EASE(), candidates=0)


def test_an_unfitted_recommender_says_what_to_do() -> None:
    with pytest.raises(NotReadyError, match=r"call fit\(train\) first"):
        Recommender(EASE()).recommend(user="u1")
    assert "not fitted" in repr(Recommender(EASE()))


def test_empty_train_is_refused() -> None:
    with pytest.raises(DataError, match="train has no rows"):
        Recommender(EASE()).fit(replace(world(), table=world().table.clear()))


def test_names_say_what_the_parts_are() -> None:
    assert fitted("ranked").name == "ease > bias"
    assert repr(fitted("ease")) == "Recommender(ease; Snapshot(49 users, 39 items, 482 rows))"


def test_standing_rules_hold_for_everything_but_audiences() -> None:
    rec = Recommender(EASE(l2=5.0), rules=(Seen(), Where("year >= 1980"), Deny(("i3",)))).fit(
        world()
    )
    eligible = allowed_by("year >= 1980") - {"i3"}
    for users in (["u1"], ["nobody"], ["u1", "nobody"]):
        assert set(rec.recommend(users=users, k=39)["item_id"]) <= eligible
    assert set(rec.similar("i0", k=39)["item_id"]) == eligible - {"i0"}
    further = rec.recommend(user="nobody", k=39, where="'Comedy' in genres")
    assert set(further["item_id"]) == eligible & allowed_by("'Comedy' in genres")


def test_without_the_seen_rule_nothing_seen_is_left_out() -> None:
    rec = Recommender(EASE(l2=5.0), rules=()).fit(world())
    assert set(rec.recommend(user="u1", k=39)["item_id"]) == set(ITEMS)


def test_standing_rules_may_be_replaced() -> None:
    rec = Recommender(EASE(l2=5.0)).fit(world())
    assert "i30" in set(rec.recommend(user="nobody", k=39)["item_id"])
    rec.rules = (Deny(("i30",)),)
    assert "i30" not in set(rec.recommend(user="nobody", k=39)["item_id"])


def test_a_rule_that_cannot_be_kept_fails_before_anything_is_trained() -> None:
    rec = Recommender(EASE(), rules=(Where("years >= 1990"),))
    with pytest.raises(ConfigError, match="years"):
        rec.fit(world())
    with pytest.raises(NotReadyError):
        rec.retrievers[0].state()


def test_a_fit_that_fails_answers_nothing_rather_than_half() -> None:
    rec = Recommender(EASE(l2=5.0), Biases()).fit(world())
    unrated = replace(world(), table=world().table.drop("rating"), positive=None)
    with pytest.raises(ShortlistError):
        rec.fit(unrated)
    with pytest.raises(NotReadyError):
        rec.recommend(user="u1")


def test_duplicated_titles_are_shown_and_asked_for_by_id() -> None:
    items = pl.DataFrame({"item_id": [1, 2, 3], "title": ["Twin", "Twin", "Other"]})
    pairs = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (3, 3)]
    rows = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    rec = Recommender(EASE(l2=1.0)).fit(Interactions(rows, Catalogue(items)))
    table = rec.recommend(user=3, k=3, keep_seen=True)
    assert sorted(table["title"]) == ["Other", "Twin", "Twin"]
    assert table["item_id"].dtype == pl.Int64
    assert rec.similar("Other")["title"].to_list() == ["Twin"]  # one edition stands for both
    assert rec.similar(1)["title"].to_list() == ["Other"]  # and is no answer to itself
    with pytest.raises(DataError, match=r"'Twin' belongs to 2 items.*\[1, 2\]"):
        rec.similar("Twin")
    with pytest.raises(DataError, match="belongs to 2 items"):
        rec.recommend(history=["Twin"])


# item to items


@pytest.mark.parametrize("kind", ["ease", "towers", "blend", "network"])
def test_similar_never_holds_the_item_and_keeps_to_the_condition(kind: str) -> None:
    table = fitted(kind).similar("i0", k=39)
    assert table.columns == ["rank", "item_id", "title", "score"]
    assert set(table["item_id"]) == set(ITEMS) - {"i0"}
    assert table["score"].is_sorted(descending=True)
    few = fitted(kind).similar("i0", k=5, where="'Comedy' in genres")
    assert set(few["item_id"]) <= allowed_by("'Comedy' in genres")


def test_similar_items_are_of_the_same_taste() -> None:
    table = fitted("ease").similar("i1", k=4)
    assert {int(item[1:]) % 4 for item in table["item_id"]} == {1}
    title = fitted("ease").snapshot.catalogue.titles[1]
    assert fitted("ease").similar(title, k=4).equals(table)


def test_similar_skips_popularity_and_popularity_alone_says_so() -> None:
    assert len(fitted("network").similar("i0", k=3)) == 3  # popularity stands first there
    with pytest.raises(ConfigError, match="popularity cannot say which items are alike"):
        fitted("popularity").similar("i0")


@pytest.mark.parametrize("method", ["similar", "audience"])
def test_an_unknown_item_is_an_error_with_a_hint(method: str) -> None:
    title = fitted("ease").snapshot.catalogue.titles[5]
    with pytest.raises(DataError, match=r"no item has the id or the title.*Did you mean"):
        getattr(fitted("ease"), method)(title[:-1])


# item to users


class Shifted:
    """Scores ``taste[user] . item`` plus a number of the user's own: a softmax must not see it."""

    name: ClassVar[str] = "shifted"

    def __init__(self, shift: float) -> None:
        self.shift = shift
        self.scores = np.zeros((0, 0), np.float32)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        shape = (len(train.user_vocabulary) + 1, len(train.item_vocabulary))
        rng = np.random.default_rng(0)
        own = self.shift * rng.integers(-8, 9, shape[0])  # eighths: exact in float32
        self.scores = (rng.integers(-16, 17, shape) / 8 + own[:, None]).astype(np.float32)
        return self

    def settled(self) -> Self:
        return self

    def state(self) -> State:
        return State({}, {"scores": self.scores})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls(0.0)

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        return queries.liked_counts > 0

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        scores = self.score_all(queries)
        if eligible is not None:
            eligible.apply(scores)
        return select_top_k(scores, k)

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.take_along_axis(self.score_all(queries), rows, axis=1)

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        return self.scores[queries.user_rows]

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        return TopK.nothing(len(rows), k)


def test_audience_compares_across_users() -> None:
    plain = Recommender(Shifted(0.0)).fit(world()).audience("i5")
    shifted = Recommender(Shifted(0.125)).fit(world()).audience("i5")
    assert shifted["user_id"].to_list() == plain["user_id"].to_list()
    assert_allclose(shifted["score"], plain["score"], rtol=1e-5)


_FIVE = Catalogue(
    pl.DataFrame(
        {
            "item_id": list("abcde"),
            "genres": [["Drama"], ["Drama"], ["Comedy"], ["Western"], ["Comedy"]],
        }
    )
)


def few_people() -> Interactions:
    # by rows: ann has 3 of 5 items, bob 1, cyd 2
    rows = [("ann", "a"), ("ann", "b"), ("ann", "c"), ("bob", "a"), ("cyd", "a"), ("cyd", "b")]
    return Interactions(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"), _FIVE)


def test_similar_asks_on_where_a_retriever_cannot_say() -> None:
    rec = Recommender([Alike(features=["town"]), EASE(l2=2.0)]).fit(world())
    alone = Recommender(EASE(l2=2.0)).fit(world())
    assert rec.similar("i1", k=5).equals(alone.similar("i1", k=5))
    nobody = Recommender([Popularity(), Alike(features=["town"])]).fit(world())
    with pytest.raises(LikenessError, match="popularity cannot say"):
        nobody.similar("i1")


def test_what_nobody_took_is_like_nothing_until_its_description_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train = few_people()  # nobody took e
    rec = Recommender(EASE(l2=1.0)).fit(train)
    with caplog.at_level(logging.WARNING):
        assert rec.similar("e").is_empty()
    assert "nothing like 'e' is known to ease" in caplog.text
    assert len(rec.similar("a")) == 4
    described = Recommender([EASE(l2=1.0), Content()]).fit(train)
    assert described.similar("e", k=1)["item_id"].to_list() == ["c"]  # the other comedy


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "popularity"])
def test_audience_leaves_out_who_has_the_item_and_who_is_not_known(kind: str) -> None:
    rec = fitted(kind)
    everyone = set(rec.snapshot.user_vocabulary.ids)
    has = set(world().table.filter(item_id="i5")["user_id"])
    found, kept = (
        set(rec.audience("i5")["user_id"]),
        set(rec.audience("i5", keep_seen=True)["user_id"]),
    )
    known = everyone - {"sad"}
    assert kept == known
    assert found == known - has
    assert len(rec.audience("i5", k=3)) == 3


def test_popularity_alone_has_no_audience() -> None:
    with pytest.raises(ConfigError, match="no audience to rank; put EASE"):
        fitted("popularity").audience("i5")


def test_a_ranker_can_predict_and_leave_the_lists_alone(tmp_path: Path) -> None:
    ranked, alone = fitted("ranked"), fitted("ease")
    rec = ranked.only_predicting().fit(world())
    assert rec.name == ranked.name.replace(" > ", " | ")
    lists = rec.recommend("u1", k=9)
    assert lists["item_id"].equals(alone.recommend("u1", k=9)["item_id"])
    assert rec.predict("u1").equals(ranked.predict("u1"))
    rec.save(tmp_path / "b")
    assert load(tmp_path / "b").recommend("u1", k=9).equals(lists)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retrieve": EASE}, "is no retriever; give an object such as"),
        ({"retrieve": "ease"}, "'ease' is no retriever"),
        ({"rank": EASE()}, "is no ranker"),
        ({"rules": ["year > 3"]}, "'year > 3' is no rule"),
        ({"fallback": None}, "None is no retriever"),
        ({"explore": "epsilon"}, "'epsilon' is no exploration"),
    ],
)
def test_parts_that_are_no_parts_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recommender(**({"retrieve": EASE()} | change))


def test_a_bare_table_is_no_train() -> None:
    with pytest.raises(
        DataError, match=r"train must be Interactions; got polars\.DataFrame.*read"
    ):
        Recommender(EASE()).fit(world().table)  # type: ignore[arg-type]


def test_nothing_liked_is_nothing_to_learn() -> None:
    with pytest.raises(
        DataError, match=r"none of the .* counts as liked: positive='rating > 99'"
    ):
        Recommender(EASE()).fit(replace(world(), positive="rating > 99"))


def test_the_audience_of_an_item_has_its_taste() -> None:
    table = fitted("ease").audience("i2", k=5, keep_seen=True)
    assert {int(user[1:]) % 4 for user in table["user_id"]} == {2}


# ratings


@pytest.mark.parametrize("kind", ["ranked", "network"])
def test_predict_answers_in_the_order_asked_or_best_first(kind: str) -> None:
    rec = fitted(kind)
    asked = ["i7", "i2", "i38", "i2"]
    table = rec.predict("u1", asked)
    assert table["item_id"].to_list() == asked
    whole = rec.predict("u1")
    assert whole.columns == ["item_id", "title", "prediction"]
    assert set(whole["item_id"]) == set(ITEMS)
    assert whole["prediction"].is_sorted(descending=True)
    by_id = dict(whole.select("item_id", "prediction").iter_rows())
    assert table["prediction"].to_list() == [by_id[item] for item in asked]
    assert len(rec.predict("u1", [])) == 0
    assert np.isfinite(rec.predict("nobody", asked)["prediction"].to_numpy()).all()
    with pytest.raises(DataError, match="no item has the id or the title 'i99'"):
        rec.predict("u1", ["i99"])


@pytest.mark.parametrize("kind", ["ranked", "network"])
def test_pairs_keep_their_order_and_take_unknown_ids(kind: str) -> None:
    rec = fitted(kind)
    rng = np.random.default_rng(1)
    users = rng.choice([f"u{n}" for n in range(48)] + ["sad", "nobody"], 9000)  # two blocks
    items = rng.choice([*ITEMS, "unknown"], 9000)
    predicted = rec.predict_pairs(pl.Series(users), pl.Series(items))
    assert predicted is not None
    assert np.isfinite(predicted).all()
    for place in (0, 1, 2, 8191, 8192, 8999):
        alone = rec.predict_pairs(pl.Series(users[[place]]), pl.Series(items[[place]]))
        assert alone is not None
        assert alone[0] == predicted[place]
        if items[place] != "unknown":
            assert (
                rec.predict(users[place], [items[place]])["prediction"][0] == predicted[place]
            )


def test_a_pair_and_a_prediction_agree_on_a_stranger_with_attributes() -> None:
    pytest.importorskip("torch")
    made = world()
    assert made.users is not None
    users = pl.concat([made.users, made.users[:1].with_columns(user_id=pl.lit("newcomer"))])
    ranker = RatingNetwork(**TINY, layers=(4,), user=["town"])
    rec = Recommender(EASE(), ranker).fit(replace(made, users=users))
    pair = rec.predict_pairs(pl.Series(["newcomer", "u0"]), pl.Series(["i1", "i1"]))
    assert pair is not None
    assert pair[0] == pair[1] == rec.predict("newcomer", ["i1"])["prediction"][0]


def test_pairs_that_do_not_line_up_are_refused() -> None:
    with pytest.raises(ShapeError, match="pair by pair; got 2 and 1"):
        fitted("ranked").predict_pairs(pl.Series(["u1", "u2"]), pl.Series(["i1"]))


def test_without_a_ranker_nothing_is_predicted() -> None:
    assert fitted("ease").predict_pairs(pl.Series(["u1"]), pl.Series(["i1"])) is None
    with pytest.raises(NotReadyError, match="has no ranker"):
        fitted("ease").predict("u1")


# fitting


def test_settled_is_an_unfitted_copy_with_what_validation_chose() -> None:
    pytest.importorskip("torch")
    made = world()
    last = np.arange(len(made)) >= len(made) - 60
    rec = Recommender(TwoTower(**{**TINY, "epochs": 5}), name="mine", candidates=7)
    rec.fit(made.subset(~last), validate=made.subset(last))
    copy = rec.settled()
    assert (copy.name, copy.candidates, copy.rules) == ("mine", 7, rec.rules)
    assert isinstance(copy.retrievers[0], TwoTower)
    assert isinstance(rec.retrievers[0], TwoTower)
    assert copy.retrievers[0].epochs == rec.retrievers[0].chosen_epoch
    with pytest.raises(NotReadyError):
        _ = copy.snapshot


def test_parts_fitted_apart_can_be_joined() -> None:
    made = world()
    retriever: Retriever = EASE(l2=5.0).fit(made)
    rec = Recommender.from_parts(
        Snapshot.of(made),
        retrieve=[retriever],
        rank=None,
        rules=(Seen(),),
        fallback=Popularity().fit(made),
        candidates=200,
        name="ease",
        metrics={"recall": 0.5},
    )
    assert rec.recommend(users=["u1", "nobody"]).equals(
        fitted("ease").recommend(users=["u1", "nobody"])
    )
    assert rec.metrics == {"recall": 0.5}


@pytest.mark.parametrize("kind", ["ease", "als", "neighbours", "graph-filter"])
def test_a_history_of_what_nobody_took_falls_back(kind: str) -> None:
    models: dict[str, Retriever] = {
        "ease": EASE(l2=1.0),
        "als": ALS(dim=4),
        "neighbours": Neighbours(),
        "graph-filter": GraphFilter(rank=2),
    }
    rec = Recommender(models[kind]).fit(few_people())  # nobody took e
    found = rec.recommend(history=["e"], k=2)
    assert set(found["source"]) == {"popularity (fallback)"}
    assert found["item_id"].to_list() == rec.recommend(user="nobody", k=2)["item_id"].to_list()
    assert set(rec.recommend(history=["e", "a"], k=2)["source"]) == {kind}
