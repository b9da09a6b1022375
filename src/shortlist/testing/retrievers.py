"""What every retriever must do, as small checks over worlds that any retriever can be fitted on."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, DataError, NotReadyError, ShapeError, ShortlistError
from shortlist.testing.asking import (
    allowed,
    askers,
    fitted,
    insist,
    limits,
    order_of,
    refuses,
    same_bits,
    through_bytes,
    well_formed,
    world,
)
from shortlist.testing.forgetting import nothing_of_a_user_stays
from shortlist.testing.knowing import (
    a_history_that_tells_nothing_is_not_known,
    knows_says_who_has_a_personal_answer,
)
from shortlist.testing.worlds import checkerboard

MakeRetriever: TypeAlias = Callable[[], Retriever]


def answers_are_well_formed(make: MakeRetriever) -> None:
    """Shapes, kinds, best first, ties to the lower row, no item twice."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    for k in (1, 5, n_items):
        well_formed(fitted(make).retrieve(queries, k), len(queries), k, n_items)


def every_item_can_be_reached(make: MakeRetriever) -> None:
    """Without limits, a k of the whole catalogue gives the whole catalogue; more is padded."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    top = fitted(make).retrieve(queries, n_items + 7)
    well_formed(top, len(queries), n_items + 7, n_items)
    insist((top.rows[:, :n_items] >= 0).all(), "items are missing though all are eligible")
    insist((top.rows[:, n_items:] == -1).all(), "places beyond the catalogue must hold -1")


def limits_come_before_the_selection(make: MakeRetriever) -> None:
    """Under exclusions and masks the answer is the unlimited one, filtered: always K where K exist."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    model, eligible = fitted(make), limits(len(queries), n_items)
    everything = model.retrieve(queries, n_items)
    may = allowed(eligible, n_items)
    for k in (1, 6, n_items + 2):
        top = model.retrieve(queries, k, eligible)
        well_formed(top, len(queries), k, n_items)
        for query, (line, scores) in enumerate(
            zip(everything.rows, everything.scores, strict=True)
        ):
            keep = may[query, line]
            want, best = line[keep][:k], scores[keep][:k]
            np.testing.assert_array_equal(top.rows[query, : len(want)], want)
            np.testing.assert_array_equal(top.scores[query, : len(want)], best)
            insist((top.rows[query, len(want) :] == -1).all(), "an item that is not eligible")


def limits_of_another_length_are_refused(make: MakeRetriever) -> None:
    """Eligible for n - 1 queries beside n queries is a ShapeError."""
    queries = askers(world())
    refuses(
        ShapeError,
        lambda: fitted(make).retrieve(queries, 3, Eligible.of(len(queries) - 1)),
        "limits of another length than the queries must raise ShapeError",
    )


def k_below_one_is_refused(make: MakeRetriever) -> None:
    """A k of 0 or less is a ConfigError, also without queries."""
    queries = askers(world())
    for asked in (queries, queries.slice(0, 0)):
        for k in (0, -1):
            refuses(
                ConfigError,
                lambda asked=asked, k=k: fitted(make).retrieve(asked, k),  # type: ignore[misc]
                f"a k of {k} must raise ConfigError",
            )


def unfitted_says_so(make: MakeRetriever) -> None:
    """Asking before fit is a NotReadyError; similar may refuse by ConfigError instead."""
    queries, model = askers(world()), make()
    rows = np.zeros((len(queries), 1), np.int32)
    for name, call in (
        ("retrieve", lambda: model.retrieve(queries, 3)),
        ("score", lambda: model.score(queries, rows)),
        ("state", model.state),
    ):
        refuses(NotReadyError, call, f"{name} before fit must raise NotReadyError")
    try:
        model.similar(rows[:1, 0], 3)
    except (NotReadyError, ConfigError):
        return
    insist(False, "similar before fit must raise NotReadyError")


def answers_do_not_depend_on_the_batch(make: MakeRetriever) -> None:
    """One by one, in blocks and shuffled give the same bits, with and without limits."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    model, n = fitted(make), len(queries)
    for eligible in (Eligible.of(n), limits(n, n_items)):
        whole = model.retrieve(queries, 9, eligible)
        for step in (1, 2, 7):
            parts = [
                model.retrieve(
                    queries.slice(i, min(i + step, n)), 9, eligible.slice(i, min(i + step, n))
                )
                for i in range(0, n, step)
            ]
            same_bits(TopK.stack(parts), whole, f"blocks of {step} give other bits")
    order = np.random.default_rng(0).permutation(n)
    whole = model.retrieve(queries, 9)
    shuffled = model.retrieve(order_of(queries, order), 9)
    same_bits(shuffled, TopK(whole.rows[order], whole.scores[order]), "the order changes bits")


def scores_are_those_of_retrieve(make: MakeRetriever) -> None:
    """score() of the rows that retrieve() gave has the same bits; row -1 scores -inf."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    model = fitted(make)
    top = model.retrieve(queries, n_items + 1, limits(len(queries), n_items))
    given = top.rows.copy()
    given.setflags(write=False)
    scores = model.score(queries, given)
    insist(scores.dtype == np.float32, f"scores must be float32; got {scores.dtype}")
    same_bits(TopK(top.rows, scores), top, "score() and retrieve() differ")
    some = model.score(queries.slice(2, 3), given[2:3, :2])
    np.testing.assert_array_equal(some, scores[2:3, :2], err_msg="the batch changes score()")
    insist(model.score(queries, given[:, :0]).shape == (len(queries), 0), "no rows, no scores")


def an_empty_batch_gets_an_empty_answer(make: MakeRetriever) -> None:
    """No queries: shapes (0, k)."""
    nobody = askers(world()).slice(0, 0)
    model = fitted(make)
    well_formed(model.retrieve(nobody, 4), 0, 4, 1)
    well_formed(model.retrieve(nobody, 4, Eligible.of(0)), 0, 4, 1)
    insist(model.score(nobody, np.zeros((0, 2), np.int32)).shape == (0, 2), "score of nobody")
    insist(model.knows(nobody).shape == (0,), "knows of nobody")


def strangers_get_an_answer(make: MakeRetriever) -> None:
    """Unseen users with a history, with attributes only, and with nothing get k items each."""
    train = world()
    queries = askers(train)
    n = len(queries)
    top = fitted(make).retrieve(queries.slice(n - 3, n), 5)
    insist((top.rows >= 0).all() and np.isfinite(top.scores).all(), "a stranger gets no answer")
    snapshot = Snapshot.of(train)
    bare = snapshot.guest(train.catalogue.table["item_id"][:2])
    for asked in (bare, snapshot.guest([])):  # without a users' table at all
        insist((fitted(make).retrieve(asked, 5).rows >= 0).all(), "a guest gets no answer")


def items_that_nobody_took_can_be_asked_for(make: MakeRetriever) -> None:
    """Items with no train row are answered where nothing else is eligible, with finite scores."""
    train = world()
    queries = askers(train)
    counts = np.bincount(train.item_rows, minlength=len(train.item_vocabulary))
    only = np.flatnonzero(counts == 0).astype(np.int32)
    top = fitted(make).retrieve(queries, len(only), Eligible.of(len(queries), mask=counts == 0))
    insist((np.sort(top.rows, axis=1) == only).all(), "an item that nobody took is missing")
    insist(np.isfinite(top.scores).all(), "an item that nobody took has no finite score")


def the_same_seed_gives_the_same_bits(make: MakeRetriever) -> None:
    """Two fits, the same answers; fit returns the model itself and leaves the table alone."""
    train = world()
    before = train.table.clone()
    model = make()
    insist(model.fit(train) is model, "fit must return the model itself")
    insist(before.equals(train.table), "fit changed the table")
    queries = askers(train)
    same_bits(
        model.retrieve(queries, 9), fitted(make).retrieve(queries, 9), "two fits, two answers"
    )


def settled_is_an_unfitted_twin(make: MakeRetriever) -> None:
    """settled() is unfitted, of the same class, and fits to the same answers."""
    train, model = world(), fitted(make)
    queries, twin = askers(train), model.settled()
    insist(type(twin) is type(model), f"settled() of {type(model)} gave {type(twin)}")
    refuses(NotReadyError, lambda: twin.retrieve(queries, 3), "settled() must be unfitted")
    again = twin.fit(train).retrieve(queries, 9)
    same_bits(again, model.retrieve(queries, 9), "settled() has other settings")


def validation_only_chooses(make: MakeRetriever) -> None:
    """Validation rows are taken, also of users and items that train never saw."""
    train = world()
    ids = train.table["item_id"]
    strangers = pl.concat([train.table["user_id"][:20], pl.Series(["nobody", "u0"])])
    table = pl.DataFrame(
        {
            "user_id": strangers,
            "item_id": pl.concat([ids.reverse()[:20], pl.Series(["nothing", ids[0]])]),
            "rating": np.full(22, 5.0),
            "timestamp": np.full(22, train.table["timestamp"].max()),
        }
    )
    rows = Interactions(table, train.catalogue, train.users, train.positive)
    model, queries, n_items = make().fit(train, validate=rows), askers(train), 39
    well_formed(model.retrieve(queries, 4), len(queries), 4, n_items)
    model.settled().fit(train)


def its_state_is_all_it_is(make: MakeRetriever) -> None:
    """Rebuilt from plain arrays, bytes and JSON, it answers with the same bits."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    model = fitted(make)
    rebuilt = type(model).from_state(through_bytes(model.state()))
    eligible = limits(len(queries), n_items)
    top = model.retrieve(queries, 9, eligible)
    same_bits(rebuilt.retrieve(queries, 9, eligible), top, "from_state() answers otherwise")
    twice = type(model).from_state(through_bytes(rebuilt.state()))
    same_bits(twice.retrieve(queries, 9, eligible), top, "saved twice, it answers otherwise")
    np.testing.assert_array_equal(rebuilt.knows(queries), model.knows(queries))
    refuses(
        NotReadyError,
        lambda: rebuilt.settled().retrieve(queries, 1),
        "settled() must be unfitted",
    )


def similar_leaves_the_item_itself_out(make: MakeRetriever) -> None:
    """similar() never gives the item itself, keeps to limits, is empty only where nobody liked it."""
    train = world()
    n_items = len(train.item_vocabulary)
    rows = np.arange(n_items, dtype=np.int32)
    rows.setflags(write=False)
    model, eligible = fitted(make), limits(n_items, n_items, seed=1)
    try:
        top = model.similar(rows, n_items)
    except ConfigError:  # it has said that it cannot
        return
    well_formed(top, n_items, n_items, n_items)
    insist((top.rows != rows[:, None]).all(), "an item is similar to itself")
    silent = np.asarray((top.rows < 0).all(axis=1))
    insist(not silent[train.item_rows[train.liked]].any(), "nothing is like a liked item")
    insist((top.rows[~silent, :-1] >= 0).all(), "the other items must all be reachable")
    limited = model.similar(rows, 5, eligible)
    may = allowed(eligible, n_items)
    may[rows, rows] = False
    for row, line in enumerate(limited.rows):
        want = top.rows[row, :-1][may[row, top.rows[row, :-1]]][:5]
        np.testing.assert_array_equal(line[: len(want)], want)
        insist((line[len(want) :] == -1).all(), "similar() gives an item that is not eligible")
    parts = [
        model.similar(rows[i : i + 1], 5, eligible.slice(i, i + 1)) for i in range(n_items)
    ]
    same_bits(TopK.stack(parts), limited, "one by one, similar() gives other bits")


def a_single_row_is_enough(make: MakeRetriever) -> None:
    """One user, one item: an answer, or an error that says what is missing."""
    train = world()
    one = train.subset(np.flatnonzero(train.liked)[:1])
    one = replace(one, catalogue=Catalogue(one.catalogue.table[:0]))
    try:
        model = make().fit(one)
    except ShortlistError:
        return
    top = model.retrieve(Snapshot.of(one).queries(one.table["user_id"]), 3)
    well_formed(top, 1, 3, 1)


def without_a_liked_row_it_says_so(make: MakeRetriever) -> None:
    """Where no row is liked, fit raises a DataError, or the model answers all the same."""
    train = world()
    disliked = train.subset(np.flatnonzero(~train.liked))
    try:
        model = make().fit(disliked)
    except DataError:
        return
    queries = askers(disliked)
    well_formed(model.retrieve(queries, 3), len(queries), 3, len(disliked.item_vocabulary))


def the_checkerboard_is_solved(make: MakeRetriever) -> None:
    """Even users get even items and odd users odd ones, guests with such a history as well."""
    train, held = checkerboard()
    model, snapshot = make().fit(train), Snapshot.of(train)
    queries = snapshot.queries(snapshot.user_vocabulary.ids)
    seen = Eligible.of(len(queries), excluded=(queries.history_rows, queries.offsets))
    top = model.retrieve(queries, 2, seen)
    users = snapshot.user_vocabulary.ids.to_list()
    for user, line in zip(users, top.rows.tolist(), strict=True):
        want = held.table.filter(held.table["user_id"] == user)["item_id"].to_list()
        insist(sorted(line) == want, f"user {user} must get {want}; got {line}")
    for first in (0, 1):
        guest = snapshot.guest(range(first, 8, 2))
        line = model.retrieve(guest, 10).rows[0]
        insist(
            (line % 2 == first).all(), f"a guest who took {first}, {first + 2}, ... got {line}"
        )


RETRIEVER_CHECKS: tuple[Callable[[MakeRetriever], None], ...] = (
    answers_are_well_formed,
    every_item_can_be_reached,
    limits_come_before_the_selection,
    limits_of_another_length_are_refused,
    k_below_one_is_refused,
    unfitted_says_so,
    answers_do_not_depend_on_the_batch,
    scores_are_those_of_retrieve,
    an_empty_batch_gets_an_empty_answer,
    strangers_get_an_answer,
    knows_says_who_has_a_personal_answer,
    a_history_that_tells_nothing_is_not_known,
    items_that_nobody_took_can_be_asked_for,
    the_same_seed_gives_the_same_bits,
    settled_is_an_unfitted_twin,
    validation_only_chooses,
    its_state_is_all_it_is,
    similar_leaves_the_item_itself_out,
    a_single_row_is_enough,
    without_a_liked_row_it_says_so,
    nothing_of_a_user_stays,
)
PERSONAL_CHECKS: tuple[Callable[[MakeRetriever], None], ...] = (the_checkerboard_is_solved,)
