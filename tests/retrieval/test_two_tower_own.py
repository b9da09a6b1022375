"""Two towers with parts of one's own, and what happens where a loss goes wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from shortlist.data.eligible import Eligible
from shortlist.data.graphs import run_graph
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError, TrainingError
from shortlist.retrieval import TwoTower
from shortlist.testing import checkerboard, small_world
from shortlist.testing.asking import same_bits, through_bytes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from shortlist.nn.losses import in_batch_softmax  # noqa: E402

Loss = Callable[..., Any]


def tiny(**changes: Any) -> TwoTower:
    few: dict[str, Any] = {"dim": 8, "epochs": 2, "batch_size": 64}
    return TwoTower(**(few | changes))


def towers(width: int = 5) -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        user = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Dropout(0.1), nn.Linear(12, width))
        return {"user_tower": user, "item_tower": nn.Linear(8, width)}


def everyone(train: Interactions) -> Queries:
    return Snapshot.of(train).queries_of_rows(
        np.arange(len(train.user_vocabulary), dtype=np.int32)
    )


def margin(
    queries: Tensor, items: Tensor, pair_query: Tensor, pair_item: Tensor, **_: Any
) -> Tensor:
    """Every item of the batch should score 1 less than the one taken."""
    scores = queries[pair_query] @ items.T  # (batch, items)
    own = scores.gather(1, pair_item[:, None])
    return (1 - own + scores).clamp(min=0).mean()


def test_own_towers_and_an_own_loss_in_ten_lines_learn() -> None:
    train, held = checkerboard(users=40)
    model = TwoTower(
        dim=8,
        epochs=40,
        batch_size=64,
        learning_rate=0.02,
        weight_decay=0.0,
        dropout=0.0,
        user_tower=nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 6)),
        item_tower=nn.Linear(8, 6),
        loss=margin,
    ).fit(train)
    queries = everyone(train)
    seen = Eligible.of(len(queries), excluded=(queries.history_rows, queries.offsets))
    top = model.retrieve(queries, 2, seen)
    want: dict[int, set[int]] = {user: set() for user in train.user_vocabulary.ids}
    for user, item in held.table.select("user_id", "item_id").rows():
        want[user].add(item)
    got = [set(line) for line in top.rows.tolist()]
    assert sum(len(a & b) for a, b in zip(got, want.values(), strict=True)) >= 76  # of 80


def test_own_towers_saved_and_loaded_answer_the_same_but_cannot_be_trained() -> None:
    train = small_world()
    model, queries = tiny(**towers(), loss=margin).fit(train), everyone(train)
    assert model.item_vectors.shape == (39, 5)
    state = model.state()
    taken = np.unique(train.item_rows[train.liked])
    pooled = state.arrays["item_table"][taken].astype(np.float64)
    told = run_graph(state.graphs["item"])(pooled)  # ids only: the table is what is pooled
    assert_array_equal(model.item_vectors[taken], told.astype(np.float32))

    loaded = TwoTower.from_state(through_bytes(state))
    same_bits(loaded.retrieve(queries, 9), model.retrieve(queries, 9), "loaded, it differs")
    guest = Snapshot.of(train).guest(["i1", "i2"])
    same_bits(loaded.retrieve(guest, 9), model.retrieve(guest, 9), "a guest differs")
    twice = TwoTower.from_state(through_bytes(loaded.state()))
    for again in (loaded, loaded.settled(), twice):
        match = r"parts of your own \(user_tower, item_tower, loss\)"
        with pytest.raises(ConfigError, match=match):
            again.fit(train)


def test_start_vectors_are_parts_that_a_bundle_does_not_hold() -> None:
    train = small_world()
    model = tiny(start_items=(["i0"], np.ones((1, 8)))).fit(train)
    loaded = TwoTower.from_state(through_bytes(model.state()))
    with pytest.raises(ConfigError, match=r"parts of your own \(start_items\)"):
        loaded.fit(train)


def test_fit_leaves_the_users_module_alone_and_repeats_itself() -> None:
    train, part = small_world(), towers(8)["user_tower"]
    before = [p.detach().clone() for p in part.parameters()]
    model = tiny(user_tower=part, epochs=1)
    first = model.fit(train).item_vectors.copy()
    after = list(part.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)
    assert part.training
    assert_array_equal(model.fit(train).item_vectors, first)
    twin = tiny(user_tower=towers(8)["user_tower"], epochs=1)
    assert_array_equal(twin.fit(train).item_vectors, first)


def test_a_module_in_both_towers_stays_one() -> None:
    with torch.random.fork_rng():
        shared = nn.Linear(8, 4)
    more: dict[str, Any] = {"learning_rate": 0.05, "optimizer": "adagrad"}
    model = tiny(user_tower=shared, item_tower=shared, **more).fit(small_world())
    pooled = np.eye(8)
    user, item = (run_graph(model.state().graphs[side])(pooled) for side in ("user", "item"))
    assert_array_equal(user, item)
    with torch.no_grad():
        before = shared.double()(torch.from_numpy(pooled)).numpy()
    assert (user != before).any()


def test_fit_leaves_the_random_numbers_of_the_caller_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    tiny(layers=(4,), loss=margin).fit(small_world())
    assert torch.equal(torch.rand(3), want)


def test_an_own_loss_gets_what_the_usual_one_gets() -> None:
    train = small_world()
    given: list[dict[str, Any]] = []

    def usual(queries: Tensor, items: Tensor, *pairs: Tensor, **more: Any) -> Tensor:
        given.append({"queries": queries, "items": items, "pairs": pairs, **more})
        return in_batch_softmax(queries, items, *pairs, **more)

    model = tiny(loss=usual, extra_negatives=10).fit(train)
    assert_array_equal(model.item_vectors, tiny(extra_negatives=10).fit(train).item_vectors)
    rows = int(train.liked.sum())
    seen = [len(call["pairs"][0]) for call in given]
    assert sum(seen) == 2 * rows
    assert max(seen) == 64
    for call in given:
        pair_query, pair_item = call["pairs"]
        assert int(pair_query.max()) == len(call["queries"]) - 1
        assert (pair_query.diff() >= 0).all()
        assert int(pair_item.max()) < len(call["items"])
        assert call["item_counts"].shape == call["log_frequency"].shape == (len(call["items"]),)
        assert int(call["item_counts"].sum()) == len(pair_query) + 10
        assert call["weights"] is None


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        msg = "no such thing"
        raise ValueError(msg)


class Forked(nn.Module):
    """Cannot be a graph: which way it goes depends on the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if float(x.sum()) > 3 else x


class Talkative(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x, "and a word"


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"user_tower": nn.Linear(9, 8)}, r"user_tower must take \(n, 8\).*RuntimeError"),
        ({"item_tower": nn.Linear(9, 8)}, r"item_tower must take \(n, 8\).*RuntimeError"),
        ({"user_tower": nn.Linear(8, 5)}, "user_tower gives 5, item_tower 8"),
        (
            {"user_tower": nn.Linear(8, 5), "item_tower": nn.Linear(8, 4)},
            "user_tower gives 5, item_tower 4",
        ),
        ({"item_tower": Broken()}, "item_tower must take .* ValueError: no such thing"),
        ({"item_tower": Talkative()}, "item_tower must take .* AttributeError"),
        ({"user_tower": nn.Flatten(0)}, r"user_tower must give one vector per line.*\(16,\)"),
        ({"user_tower": Forked()}, "user_tower must be a module that ONNX can hold.*Forked"),
        ({"user_tower": nn.ReLU}, r"user_tower must be a torch.nn.Module, made already.*ReLU"),
        ({"user_tower": lambda x: x}, "user_tower must be a torch.nn.Module"),
    ],
)
def test_a_tower_that_does_not_fit_is_named_before_training(
    parts: dict[str, Any], match: str
) -> None:
    def never(*_: object, **__: object) -> Tensor:
        raise AssertionError

    model = tiny(**parts, loss=never)
    with pytest.raises(ConfigError, match=match):
        model.fit(small_world())
    with pytest.raises(NotReadyError):
        model.state()


def test_layers_or_own_towers() -> None:
    with pytest.raises(ConfigError, match="layers, or towers of your own, not both"):
        tiny(**towers(), layers=(4,))


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (lambda q: q.sum(dim=1), r"got \(\d+,\)"),
        (lambda q: 0.5, "got 0.5"),
        (lambda q: None, "got None"),
        (lambda q: torch.tensor(0.5), r"got \(\)"),
    ],
)
def test_a_loss_that_gives_no_number_to_learn_from(
    answer: Callable[[Tensor], object], got: str
) -> None:
    with pytest.raises(ConfigError, match=rf"loss must return one number.*{got}"):
        tiny(loss=lambda queries, *_, **__: answer(queries)).fit(small_world())


class Failing:
    """The margin, until its call number ``bad`` is not a number."""

    def __init__(self, bad: int) -> None:
        self.bad, self.calls = bad, 0

    def __call__(self, *arrays: Tensor, **more: Any) -> Tensor:
        self.calls += 1
        return margin(*arrays, **more) * (float("nan") if self.calls == self.bad else 1)


def test_a_loss_of_nan_in_the_first_epoch_stops_at_once_and_leaves_nothing() -> None:
    train, loss = small_world(), Failing(2)
    model = tiny(loss=loss)
    with pytest.raises(TrainingError, match=r"epoch 1, step 2 .*\(rows \[") as stopped:
        model.fit(train)
    assert loss.calls == 2
    said = str(stopped.value).partition("[")[2].partition("]")[0]
    rows = [int(row) for row in said.split(",")]
    assert len(rows) == 5
    assert train.liked[rows].all()  # rows of the table, and only liked ones teach
    with pytest.raises(NotReadyError):
        model.retrieve(everyone(train), 3)


@pytest.mark.parametrize("validated", [False, True])
def test_a_loss_of_nan_later_keeps_the_last_good_epoch(validated: bool) -> None:
    world = small_world()
    held = np.arange(len(world)) % 5 == 4
    train, later = world.subset(~held), world.subset(held) if validated else None
    steps = -(-int(train.liked.sum()) // 64)
    loss = Failing(2 * steps + 1)
    model = tiny(loss=loss, epochs=9)
    with pytest.raises(TrainingError, match=r"epoch 3, step 1 .*rows \[") as stopped:
        model.fit(train, validate=later)
    assert loss.calls == 2 * steps + 1
    assert len(model.epochs_run) == 2
    kept = model.chosen_epoch
    assert kept is not None
    assert f"of epoch {kept}, the last good one" in str(stopped.value)
    assert kept == 2 or validated
    twin = replace(model, loss=margin, epochs=kept).fit(train)
    queries = everyone(train)
    same_bits(model.retrieve(queries, 9), twin.retrieve(queries, 9), "another model is kept")
