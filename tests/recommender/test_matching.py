"""Stated preferences in, ranked items with reasons out."""

import polars as pl
import pytest

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError
from shortlist.recommender.recommender import Recommender
from shortlist.retrieval.popularity import Popularity


def asked() -> Recommender:
    items = pl.DataFrame(
        {
            "item_id": [1, 2, 3, 4],
            "title": ["Heat", "Fargo", "Clue", "Saw"],
            "genres": [["Crime", "Drama"], ["Crime", "Comedy"], ["Comedy"], ["Horror"]],
            "year": [1995, 1996, 1985, None],
        }
    )
    rows = pl.DataFrame({"user_id": [1, 2, 3, 4, 5, 6], "item_id": [1, 1, 1, 3, 3, 2]})
    return Recommender(Popularity()).fit(Interactions(rows, Catalogue(items)))


def test_shares_of_the_wish_by_hand() -> None:
    # Fargo has both genres (1), Heat and Clue one of two (1/2), Saw none. Popularity only adds
    # .1 * order / 4, least chosen first: Saw 0, Fargo 1, Clue 2, Heat 3.
    top = asked().match({"genres": ["Crime", "Comedy"]})
    assert top["title"].to_list() == ["Fargo", "Heat", "Clue", "Saw"]
    assert top["score"].to_list() == pytest.approx([1.025, 0.575, 0.55, 0.0])
    assert top["reasons"][0] == "genres: Crime, Comedy; chosen 1 times"


def test_years_outside_the_range_count_less_the_farther_they_are() -> None:
    # inside 1, ten years off 1/e, unknown 0; each with the popularity of above
    top = asked().match({"year": (1995, 1999)})
    assert top["title"].to_list() == ["Heat", "Fargo", "Clue", "Saw"]
    assert top["score"].to_list() == pytest.approx(
        [1.075, 1.025, 0.36788 + 0.05, 0.0], abs=1e-4
    )
    assert top["reasons"][2] == "year: 1985 (near); chosen 2 times"


def test_conditions_hold_and_what_must_not_be_is_not() -> None:
    top = asked().match(
        {"genres": ["Crime"]}, must=["year > 1980"], must_not=["'Drama' in genres"]
    )
    assert top["title"].to_list() == ["Fargo", "Clue"]
    assert top["relaxed"].to_list() == ["", ""]


def test_the_fewest_conditions_are_dropped_when_nothing_meets_all() -> None:
    must = ["year > 1990", "'Horror' in genres", "'Crime' in genres"]
    top = asked().match({}, must=must)
    # without the Horror condition two films are left; without any other single one, none
    assert top["title"].to_list() == ["Heat", "Fargo"]
    assert set(top["relaxed"]) == {"'Horror' in genres"}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"genre": ["Crime"]}, r"'genre', which is not there.*Did you mean 'genres'"),
        ({"genres": []}, r"like\['genres'\] is empty"),
        ({"year": [1990]}, r"\(low, high\)"),
        ({"year": (2000, 1990)}, r"\(low, high\)"),
    ],
)
def test_wishes_that_cannot_be_read(like: dict[str, list[object]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked().match(like)
