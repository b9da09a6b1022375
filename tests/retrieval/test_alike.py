"""Users alike by their columns: votes by hand, segments, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import shortlist.retrieval.alike
from shortlist.data.catalogue import Catalogue
from shortlist.data.features import Bucket, History
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError
from shortlist.retrieval import Alike, Popularity
from shortlist.testing import small_world
from shortlist.testing.asking import same_bits, through_bytes

# user 0 lives in A and is f; 1 in A, m; 2 in B, f; 3 in B, m
USERS = pl.DataFrame(
    {"user_id": [0, 1, 2, 3], "town": ["A", "A", "B", "B"], "sex": ["f", "m", "f", "m"]}
)
TABLE = pl.DataFrame({"user_id": [0, 0, 1, 2, 3, 3], "item_id": [0, 1, 1, 2, 3, 1]})
BOTH = ("town", "sex")


def people(users: pl.DataFrame | None = USERS) -> Interactions:
    return Interactions(TABLE, Catalogue.of_ids(pl.Series(range(5))), users)


def stranger(**about: object) -> Queries:
    nobody = np.array([-1], np.int32)
    users = pl.DataFrame({name: [value] for name, value in about.items()})
    return replace(
        Queries(nobody, np.array([], np.int32), np.zeros(2, np.int64), np.array([], bool)),
        users=users,
    )


def test_votes_weigh_what_users_are_alike_by_hand() -> None:
    # someone in A who is f: cosine 1 with user 0, 1/2 with users 1 and 2, 0 with user 3
    # item 0: user 0; item 1: users 0 and 1; item 2: user 2; item 3: only user 3; item 4: nobody
    model = Alike(features=BOTH, prior=0).fit(people())
    got = model.score_all(stranger(town="A", sex="f"))[0]
    assert_allclose(got, [1 / 2, 1.5 / 2, 0.5 / 2, 0, 0], atol=1e-6)


def test_the_prior_is_so_many_votes_of_overall_popularity_by_hand() -> None:
    # of four users 1 took item 0, 3 item 1, 1 item 2, 1 item 3
    model = Alike(features=BOTH, prior=4).fit(people())
    got = model.score_all(stranger(town="A", sex="f"))[0]
    assert_allclose(got, [(1 + 1) / 6, (1.5 + 3) / 6, (0.5 + 1) / 6, 1 / 6, 0], atol=1e-6)


def test_only_the_most_alike_vote() -> None:
    model = Alike(features=BOTH, prior=0, neighbours=2).fit(people())
    got = model.score_all(stranger(town="A", sex="f"))[0]
    # users 1 and 2 are equally alike: the lower row votes
    assert_allclose(got, [1 / 1.5, 1.5 / 1.5, 0, 0, 0], atol=1e-6)


def test_nobody_votes_for_themselves() -> None:
    model = Alike(features=BOTH, prior=0).fit(people())
    known = Snapshot.of(people()).queries([0, 3])
    # user 0 is half like 1 and 2; user 3 is half like 1 and 2 as well
    assert_allclose(model.score_all(known), [[0, 0.5, 0.5, 0, 0]] * 2, atol=1e-6)
    apart = people(USERS.with_columns(town=pl.Series(["A", "B", "C", "D"])))
    alone = Alike(features=["town"], prior=0).fit(apart)
    asked = Snapshot.of(apart).queries([0, 3])
    assert_array_equal(alone.score_all(asked), np.zeros((2, 5)))


def test_someone_without_columns_gets_what_is_popular() -> None:
    model = Alike(features=BOTH, prior=4).fit(people())
    asked = stranger(town="nowhere", sex=None)
    assert model.knows(asked).tolist() == [True]
    assert model.knows(stranger(town=None, sex=None)).tolist() == [False]
    overall = [0.25, 0.75, 0.25, 0.25, 0]
    assert_allclose(model.score_all(asked)[0], overall, atol=1e-6)
    bare = replace(asked, users=None)
    assert model.knows(bare).tolist() == [False]
    assert_allclose(model.score_all(bare)[0], overall, atol=1e-6)


@pytest.mark.parametrize("town", ["town 0", "town 3"])
def test_a_segment_of_one_value_is_popularity_within_it(town: str) -> None:
    train = small_world()
    assert train.users is not None
    asked = stranger(town=town, age=None)
    model = Alike(features=["town"], prior=0, neighbours=1000).fit(train)
    inside = train.users.filter(pl.col("town") == town)["user_id"]
    segment = train.subset(train.table["user_id"].is_in(inside.implode()).to_numpy())
    counts = np.bincount(segment.item_rows[segment.liked], minlength=39)
    assert_allclose(model.score_all(asked)[0], counts / len(inside), atol=1e-6)
    popular = Popularity().fit(segment).retrieve(asked, 5)
    assert_array_equal(
        segment.item_vocabulary.decode(popular.rows[0]).to_list(),
        train.item_vocabulary.decode(model.retrieve(asked, 5).rows[0]).to_list(),
    )


def test_an_item_taken_twice_or_not_liked_changes_nothing() -> None:
    rated = TABLE.with_columns(rating=pl.lit(5.0))
    more = pl.concat(
        [rated, rated[:3], pl.DataFrame({"user_id": [1], "item_id": [4], "rating": [1.0]})]
    )
    train = Interactions(more, people().catalogue, USERS, "rating > 3")
    asked = stranger(town="A", sex="m")
    assert_allclose(
        Alike(features=BOTH).fit(train).score_all(asked),
        Alike(features=BOTH).fit(people()).score_all(asked),
        atol=1e-7,
    )


def test_a_users_table_with_gaps_and_strangers() -> None:
    gaps = pl.concat([USERS[1:], pl.DataFrame({"user_id": [99], "town": ["Z"], "sex": ["f"]})])
    model = Alike(features=BOTH, prior=0).fit(people(gaps))
    # user 0 has no line: nothing is known of them, so they are like nobody in A who is m
    got = model.score_all(stranger(town="A", sex="m"))[0]
    assert_allclose(got, [0, (1 + 0.5) / 1.5, 0, 0.5 / 1.5, 0], atol=1e-6)


def test_many_askers_are_answered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    train = small_world()
    model = Alike(features=["town", Bucket("age", 3)], neighbours=5).fit(train)
    asked = Snapshot.of(train).queries(train.user_vocabulary.ids)
    whole = model.score_all(asked)
    monkeypatch.setattr(shortlist.retrieval.alike, "_CELLS", 7 * len(asked))
    assert_array_equal(model.score_all(asked), whole)


def test_saved_and_loaded() -> None:
    train = small_world()
    model = Alike(features=["town", Bucket("age", 3)], neighbours=5).fit(train)
    loaded = Alike.from_state(through_bytes(model.state()))
    asked = stranger(town="town 2", age=33)
    same_bits(loaded.retrieve(asked, 9), model.retrieve(asked, 9), "loaded, it differs")
    assert (loaded.neighbours, loaded.prior) == (5, 20.0)


def test_without_a_users_table() -> None:
    with pytest.raises(NotReadyError, match="Alike needs a users' table; give users="):
        Alike(features=BOTH).fit(people(None))
    with pytest.raises(ConfigError, match=r"feature 'sax': no such column.*Did you mean 'sex'"):
        Alike(features=["sax"]).fit(people())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"features": []}, "at least one; got"),
        ({"features": ["user_id"]}, "columns of the users' table"),
        ({"features": [History(3)]}, "columns of the users' table"),
        ({"features": "town"}, r"Write features=\['town'\]"),
        ({"features": ["town"], "neighbours": 0}, "neighbours must be at least 1"),
        ({"features": ["town"], "prior": -1}, "prior not negative"),
        ({"features": ["town"], "prior": float("nan")}, "prior not negative"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Alike(**settings)


def test_it_does_not_say_which_items_are_alike() -> None:
    with pytest.raises(ConfigError, match="put EASE, Content or TwoTower first"):
        Alike(features=BOTH).fit(people()).similar(np.array([0], np.int32), 3)
    with pytest.raises(NotReadyError, match="this Alike is not fitted"):
        Alike(features=BOTH).score_all(stranger(town="A", sex="f"))
