"""Rules: what each allows, what is refused, and what is only warned about."""

import logging

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError
from shortlist.recommender.rules import (
    Allow,
    Deny,
    Rule,
    Seen,
    Where,
    joint_mask,
    listed,
    rule_from_json,
)

SNAPSHOT = Snapshot.of(
    Interactions(
        pl.DataFrame({"user_id": [1, 1], "item_id": [10, 20]}),
        Catalogue(
            pl.DataFrame(
                {
                    "item_id": [10, 20, 30, 40],
                    "title": ["Ten", "Twin", "Twin", None],
                    "year": [1980, 1990, None, 2000],
                    "genres": [["Comedy"], ["Drama", "Comedy"], [], None],
                }
            )
        ),
    )
)


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (Where("year >= 1990"), [20, 40]),  # an unknown year is not above 1990
        (Where("'Comedy' in genres and year < 1990"), [10]),
        (Allow([10, 40]), [10, 40]),  # type: ignore[arg-type]  # any list is taken
        (Allow(("10", "40")), [10, 40]),
        (Allow(("Ten",)), [10]),
        (Allow(()), []),
        (Deny((10, "Ten")), [20, 30, 40]),
        (Deny(()), [10, 20, 30, 40]),
    ],
    ids=repr,
)
def test_what_a_rule_allows(rule: Rule, allowed: list[int]) -> None:
    mask = rule.mask(SNAPSHOT)
    assert mask is not None
    assert SNAPSHOT.item_vocabulary.ids.filter(pl.Series(mask)).to_list() == allowed


def test_seen_depends_on_the_asker() -> None:
    assert Seen().mask(SNAPSHOT) is None  # type: ignore[func-returns-value]


def test_rules_together_allow_what_all_of_them_allow() -> None:
    mask = joint_mask([Seen(), Where("year >= 1980"), Deny((20,))], SNAPSHOT)
    assert_array_equal(mask, [True, False, False, True])
    assert joint_mask([Seen()], SNAPSHOT) is None
    assert joint_mask([], SNAPSHOT) is None


@pytest.mark.parametrize("rule", [Seen(), Where("year >= 1990"), Allow((10, "a")), Deny((3,))])
def test_a_rule_is_rebuilt_from_its_settings(rule: Rule) -> None:
    assert rule_from_json(rule.kind, rule.to_json()) == rule


def test_numpy_ids_become_plain_ones() -> None:
    rule = Allow(np.array([10, 20]))  # type: ignore[arg-type]
    assert [type(item) for item in rule.items] == [int, int]


@pytest.mark.parametrize("kind", [Allow, Deny])
def test_one_text_is_not_a_list(kind: type[Allow | Deny]) -> None:
    with pytest.raises(ConfigError, match=r"list of ids; got the text 'Ten'.*\['Ten'\]"):
        kind("Ten")  # type: ignore[arg-type]


def test_listed_takes_anything_that_can_be_gone_through() -> None:
    assert listed("users", pl.Series([1, 2])) == (1, 2)
    assert listed("users", (str(n) for n in range(2))) == ("0", "1")


def test_unknown_items_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        mask = Deny((10, 99, "No Such Film")).mask(SNAPSHOT)
    assert_array_equal(mask, [False, True, True, True])
    assert "deny: 2 of 3 items are unknown" in caplog.text
    assert "99" in caplog.text


def test_a_title_of_two_items_is_refused() -> None:
    with pytest.raises(DataError, match=r"'Twin' belongs to 2 items.*\[20, 30\]"):
        Deny(("Twin",)).mask(SNAPSHOT)


def test_a_condition_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(ConfigError):
        Where("year >=")


def test_a_condition_is_never_run() -> None:
    with pytest.raises(ConfigError):
        Where("__import__('os').getcwd() == ''")


def test_a_condition_on_a_missing_column_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match="year"):
        Where("years >= 1990").mask(SNAPSHOT)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown rule 'magic'.*allow"):
        rule_from_json("magic", {})
