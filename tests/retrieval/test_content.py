"""Content: TF-IDF and cosines by hand and against scikit-learn."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.features import Bucket, Category, Feature, Hash, History, Number, Tags, Text
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError
from shortlist.retrieval import Content
from shortlist.testing import small_world

GENRES = [["a", "b"], ["a"], ["b", "c"], ["c"], []]


def films(train_items: list[int] | None = None, **columns: Any) -> Interactions:
    """Five items; user u took item u, for the items that train has."""
    taken = [0, 1, 2, 3, 4] if train_items is None else train_items
    table = pl.DataFrame({"user_id": taken, "item_id": taken})
    columns = columns or {"genres": GENRES}
    return Interactions(table, Catalogue(pl.DataFrame({"item_id": range(5)} | columns)))


def cosines(model: Content, train: Interactions) -> NDArray[np.float32]:
    rows = np.arange(len(train.item_vocabulary), dtype=np.int32)
    return model.fit(train).score_all(Queries.of_items(rows))


def disliking(liked: list[int], disliked: list[int]) -> Queries:
    rows = np.array(liked + disliked, np.int32)
    marks = np.array([True] * len(liked) + [False] * len(disliked))
    return Queries(np.array([-1], np.int32), rows, np.array([0, len(rows)], np.int64), marks)


def test_weights_and_cosines_by_hand() -> None:
    # five items; a, b and c stand in two each: rarity log(6 / 3) + 1 for all, so it cancels
    got = cosines(Content(), films())
    half = 1 / math.sqrt(2)
    want: list[list[float]] = [
        [1, half, 0.5, 0, 0],
        [half, 1, 0, 0, 0],
        [0.5, 0, 1, half, 0],
        [0, 0, half, 1, 0],
        [0, 0, 0, 0, 0],  # of an item without words nothing is known
    ]
    assert_allclose(got, want, atol=1e-6)


def test_a_rare_word_weighs_more_by_hand() -> None:
    # a in three of four items: log(5 / 4) + 1; b in one: log(5 / 2) + 1
    train = films([0, 1, 2, 3], genres=[["a", "b"], ["a"], ["a"], [], ["b"]])
    a, b = math.log(5 / 4) + 1, math.log(5 / 2) + 1
    got = cosines(Content(), train)
    assert got[0, 1] == pytest.approx(a / math.hypot(a, b), abs=1e-6)
    assert got[0, 4] == pytest.approx(b / math.hypot(a, b), abs=1e-6)  # train never had item 4


def test_agrees_with_scikit_learn() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    train = small_world()
    in_train = np.bincount(train.item_rows, minlength=39) > 0
    assert not in_train.all()
    genres = [tags or [] for tags in train.catalogue.table["genres"].to_list()]
    known = sorted(
        {tag for tags, taught in zip(genres, in_train, strict=True) if taught for tag in tags}
    )
    counts = np.array([[tag in tags for tag in known] for tags in genres], float)
    weigh = text.TfidfTransformer(smooth_idf=True, norm="l2").fit(counts[in_train])
    vectors = weigh.transform(counts).toarray()
    assert_allclose(
        cosines(Content(features=["genres"]), train), vectors @ vectors.T, atol=1e-6
    )


def test_what_was_not_liked_counts_against() -> None:
    model = Content(dislike=0.5).fit(films())
    plain = Content(dislike=0.0).fit(films())
    asked = disliking([0], [1])  # likes a and b, not a alone
    # (a + b) / sqrt 2 - a / 2, then of length 1
    taste = np.array([1 / math.sqrt(2) - 0.5, 1 / math.sqrt(2), 0])
    taste /= np.linalg.norm(taste)
    items = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]], float)
    items /= np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    assert_allclose(model.score_all(asked)[0], items @ taste, atol=1e-6)
    assert_allclose(plain.score_all(asked), plain.score_all(disliking([0], [])), atol=1e-6)
    assert model.score_all(asked)[0, 1] < plain.score_all(asked)[0, 1]


def test_only_dislikes_push_away_and_are_not_known() -> None:
    model = Content().fit(films())
    asked = disliking([], [1])
    assert model.knows(asked).tolist() == [False]
    assert model.score_all(asked)[0].tolist() == pytest.approx([-(0.5**0.5), -1, 0, 0, 0])


def test_an_item_that_nobody_took_is_recommended() -> None:
    train = films([0, 1, 2])
    guest = Snapshot.of(train).guest([2])  # b and c
    seen = Eligible.of(1, excluded=(guest.history_rows, guest.offsets))
    top = Content().fit(train).retrieve(guest, 2, seen)
    assert set(top.rows[0].tolist()) == {0, 3}  # 3 is c, which train has through item 2
    assert (top.scores > 0).all()


def test_words_that_train_never_had_say_nothing() -> None:
    got = cosines(Content(), films([0, 1]))  # c is no word of items 0 and 1
    # of item 2, b is left; a is in both (weight 1), b in one: log(3 / 2) + 1
    b = math.log(3 / 2) + 1
    assert got[2, 0] == pytest.approx(b / math.hypot(1, b), abs=1e-6)
    assert_array_equal(got[3], np.zeros(5))


@pytest.mark.parametrize(
    ("feature", "pair"),
    [
        (Bucket("year", 2), [2, 4]),  # the halves of 1950, 1951 and 2000 meet at 1951
        (Category("kind"), [0, 4]),
        (Hash("kind", 100), [0, 4]),
    ],
)
def test_missing_values_make_no_two_items_alike(feature: Feature, pair: list[int]) -> None:
    train = films(year=[1950, None, 1951, None, 2000], kind=["x", None, "y", None, "x"])
    got = cosines(Content(features=[feature]), train)
    alike = (got > 0) & ~np.eye(5, dtype=bool)
    assert np.argwhere(alike).tolist() == [pair, pair[::-1]]
    assert_array_equal(got[1], np.zeros(5))


def test_numbers_are_read_by_their_tenth_of_the_catalogue() -> None:
    train = small_world()
    tenths = cosines(Content(features=[Bucket("year", 10)]), train)
    assert_array_equal(cosines(Content(features=["year"]), train), tenths)
    assert_array_equal(cosines(Content(features=[Number("year")]), train), tenths)


def test_the_usual_columns_are_found_and_others_are_not_read() -> None:
    titles = ["The red fox", "The red hen", "A blue fox", "No word", "Nothing else"]
    train = films(genres=GENRES, title=titles, rating=[1.0, 2, 3, 4, 5], owner=["x"] * 5)
    found = cosines(Content(), train)
    named = cosines(Content(features=["genres", "title"]), train)
    assert_array_equal(found, named)
    assert found[0, 2] > cosines(Content(), films())[0, 2] / 2
    words = cosines(Content(features=[Text("title", 1)]), train)
    assert words[0, 1] > words[0, 2] > words[0, 3] == 0  # two common words, one, none


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (Content(), r"the catalogue has none of .*it has \['price'\].*items table"),
        (Content(features=["prise"]), "feature 'prise': no such column.*Did you mean 'price'"),
        (Content(features=[Tags("genres")]), "feature 'genres': no such column"),
        (Content(features=[History(3)]), "reads columns only"),
    ],
)
def test_a_catalogue_that_cannot_be_read(model: Content, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        model.fit(films(price=[1, 2, 3, 4, 5]))


def test_no_catalogue_at_all() -> None:
    bare = Interactions(pl.DataFrame({"user_id": [1], "item_id": [2]}))
    with pytest.raises(ConfigError, match="the catalogue has none of"):
        Content().fit(bare)


@pytest.mark.parametrize("dislike", [-0.1, float("nan")])
def test_a_dislike_out_of_range(dislike: float) -> None:
    with pytest.raises(ConfigError, match="dislike must not be negative"):
        Content(dislike=dislike)


def test_one_name_is_no_list() -> None:
    with pytest.raises(ConfigError, match=r"Write features=\['genres'\]"):
        Content(features="genres")


def test_unfitted() -> None:
    with pytest.raises(NotReadyError, match="this Content is not fitted"):
        Content().similar(np.array([0], np.int32), 3)


def test_known_users_are_answered_from_their_history_alone() -> None:
    train = small_world()
    asked = Snapshot.of(train).queries(["u4"])
    stranger = replace(asked, user_rows=np.array([-1], np.int32))
    model = Content().fit(train)
    assert_array_equal(model.score_all(asked), model.score_all(stranger))
