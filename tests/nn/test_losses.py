"""The in-batch softmax: by hand, against the plain full matrix, against finite differences."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shortlist.errors import ConfigError, ShapeError

torch = pytest.importorskip("torch")

from shortlist.nn.losses import hard_negative_softmax, in_batch_softmax  # noqa: E402

EYE = torch.eye(2)
PAIRS = torch.arange(2)
Case = tuple[Any, Any, Any, Any, dict[str, Any]]


def full_matrix(
    queries: Any,
    items: Any,
    pair_query: Any,
    pair_item: Any,
    *,
    log_frequency: Any = None,
    weights: Any = None,
    temperature: float = 1.0,
    mask_repeats: bool = True,
) -> Any:
    """The same loss as it is usually written: one row and one column per pair."""
    logits = queries[pair_query] @ items[pair_item].T / temperature  # (batch, batch)
    if log_frequency is not None:
        logits = logits - log_frequency[pair_item]
    if mask_repeats:
        same = pair_item[:, None] == pair_item[None, :]
        same &= ~torch.eye(len(pair_item), dtype=torch.bool)
        logits = logits.masked_fill(same, float("-inf"))
    target = torch.arange(len(pair_item))
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    if weights is None:
        return losses.mean()
    return (weights * losses).sum() / weights.sum()


def random_case(
    seed: int, batch: int, n_queries: int, n_items: int, *, scale: float = 1.0, dim: int = 3
) -> Case:
    rng = np.random.default_rng(seed)
    pair_query, pair_item = (
        np.unique(rng.integers(0, n, batch), return_inverse=True)[1]
        for n in (n_queries, n_items)
    )
    pair_query = np.sort(pair_query)
    sizes = pair_query.max() + 1, pair_item.max() + 1
    queries, items = (torch.from_numpy(rng.normal(size=(n, dim)) * scale) for n in sizes)
    extras = {
        "log_frequency": torch.from_numpy(np.log(rng.uniform(0.001, 1, sizes[1]))),
        "weights": torch.from_numpy(rng.uniform(0, 2, batch) + 0.01),
    }
    return queries, items, torch.from_numpy(pair_query), torch.from_numpy(pair_item), extras


def value_and_gradients(function: Any, case: Case, dtype: Any, **options: Any) -> list[Any]:
    queries, items = (t.detach().to(dtype).clone().requires_grad_() for t in case[:2])
    loss = function(queries, items, *case[2:4], **options)
    loss.backward()
    return [loss.detach(), queries.grad, items.grad]


def test_two_orthogonal_rows_by_hand() -> None:
    # logits = [[1, 0], [0, 1]] -> each row: -log(e / (e + 1))
    loss = in_batch_softmax(EYE, EYE, PAIRS, PAIRS)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_temperature_divides_the_logits_by_hand() -> None:
    loss = in_batch_softmax(EYE, EYE, PAIRS, PAIRS, temperature=0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)


def test_popularity_correction_lowers_the_popular_column_by_hand() -> None:
    # shares 0.8 and 0.2: logits [[1 - ln .8, 0 - ln .2], [0 - ln .8, 1 - ln .2]]
    want = [
        math.log(1 + math.exp(-math.log(0.2) - (1 - math.log(0.8)))),
        math.log(1 + math.exp(-math.log(0.8) - (1 - math.log(0.2)))),
    ]
    share = torch.tensor([0.8, 0.2])
    loss = in_batch_softmax(EYE, EYE, PAIRS, PAIRS, log_frequency=share.log())
    assert loss.item() == pytest.approx(sum(want) / 2, abs=1e-6)


def test_weights_by_hand() -> None:
    # rows lose log(1 + 1/e) and, with the second query doubled, log(1 + 1/e^2)
    queries = torch.tensor([[1.0, 0], [0, 2]])
    loss = in_batch_softmax(queries, EYE, PAIRS, PAIRS, weights=torch.tensor([3.0, 1.0]))
    want = (3 * math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 4
    assert loss.item() == pytest.approx(want, abs=1e-6)


def test_a_repeat_of_the_positive_is_not_a_negative() -> None:
    one = torch.zeros(2, dtype=torch.int64)
    loss = in_batch_softmax(EYE, EYE[:1], PAIRS, one)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)  # nothing left to lose to
    loss = in_batch_softmax(EYE, EYE[:1], PAIRS, one, mask_repeats=False)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)  # two equal columns


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 24),
    n_queries=st.integers(1, 10),
    n_items=st.integers(1, 10),
    logq=st.booleans(),
    weighted=st.booleans(),
    mask_repeats=st.booleans(),
    temperature=st.sampled_from([0.05, 0.5, 1.0, 3.0]),
    chunk_cells=st.sampled_from([1, 7, 16, 1 << 20]),
)
def test_value_and_gradient_are_those_of_the_full_matrix(
    seed: int,
    batch: int,
    n_queries: int,
    n_items: int,
    logq: bool,
    weighted: bool,
    mask_repeats: bool,
    temperature: float,
    chunk_cells: int,
) -> None:
    case = random_case(seed, batch, n_queries, n_items)
    options: dict[str, Any] = {
        "log_frequency": case[4]["log_frequency"] if logq else None,
        "weights": case[4]["weights"] if weighted else None,
        "temperature": temperature,
        "mask_repeats": mask_repeats,
    }
    want = value_and_gradients(full_matrix, case, torch.float64, **options)
    options["chunk_cells"] = chunk_cells
    got = value_and_gradients(in_batch_softmax, case, torch.float64, **options)
    for ours, theirs in zip(got, want, strict=True):
        assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mask_repeats", [True, False])
def test_gradient_matches_finite_differences(mask_repeats: bool) -> None:
    queries, items, pair_query, pair_item, extras = random_case(0, 9, 4, 3)
    assert torch.autograd.gradcheck(
        lambda q, v: in_batch_softmax(
            q, v, pair_query, pair_item, mask_repeats=mask_repeats, temperature=0.7, **extras
        ),
        (queries.requires_grad_(), items.requires_grad_()),
    )


def test_the_gradient_follows_the_gradient_of_what_comes_after() -> None:
    case = random_case(1, 8, 3, 4)
    once = value_and_gradients(in_batch_softmax, case, torch.float64)
    three = value_and_gradients(
        lambda *tensors: 3 * in_batch_softmax(*tensors), case, torch.float64
    )
    assert_allclose(three[1].numpy(), 3 * once[1].numpy())
    assert_allclose(three[2].numpy(), 3 * once[2].numpy())


@pytest.mark.parametrize("mask_repeats", [True, False])
def test_float32_is_near_float64(mask_repeats: bool) -> None:
    case = random_case(2, 4096, 300, 200, dim=16)
    options = {"mask_repeats": mask_repeats, **case[4]}
    exact = value_and_gradients(in_batch_softmax, case, torch.float64, **options)
    got = value_and_gradients(in_batch_softmax, case, torch.float32, **options)
    assert_allclose(got[0].numpy(), exact[0].numpy(), rtol=1e-5)
    for ours, theirs in zip(got[1:], exact[1:], strict=True):
        assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_an_item_that_fills_the_batch_keeps_float32_near_float64(temperature: float) -> None:
    # one item in 20,000 of 20,010 rows: all but a sliver of each row's mass is its repeats
    rng = np.random.default_rng(3)
    pair_item = np.append(np.zeros(20_000, np.int64), np.arange(1, 11))
    pair_query = np.sort(rng.integers(0, 50, len(pair_item)))
    pair_query = np.unique(pair_query, return_inverse=True)[1]
    vectors = rng.normal(size=(61, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    case: Case = (
        torch.from_numpy(vectors[:50]),
        torch.from_numpy(vectors[50:]),
        torch.from_numpy(pair_query),
        torch.from_numpy(pair_item),
        {},
    )
    exact = value_and_gradients(in_batch_softmax, case, torch.float64, temperature=temperature)
    got = value_and_gradients(in_batch_softmax, case, torch.float32, temperature=temperature)
    assert_allclose(got[0].numpy(), exact[0].numpy(), rtol=2e-3)
    for ours, theirs in zip(got[1:], exact[1:], strict=True):
        assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-2 * float(theirs.abs().max()))


@pytest.mark.parametrize("length", [10.0, 100.0, 1000.0])
def test_a_hundred_thousand_repeats_do_not_eat_up_the_loss(length: float) -> None:
    queries = torch.tensor([[1.0, 0.3]]) * length**0.5
    items = torch.tensor([[1.0, 0.1], [0.1, 1.0], [0.2, -0.3]]) * length**0.5
    pair_item = torch.cat([torch.zeros(100_000, dtype=torch.int64), torch.tensor([1, 2])])
    pairs = torch.zeros_like(pair_item), pair_item
    exact = in_batch_softmax(queries.double(), items.double(), *pairs).item()
    assert in_batch_softmax(queries, items, *pairs).item() == pytest.approx(exact, abs=3e-3)


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_long_vectors_stay_finite(scale: float) -> None:
    case = random_case(4, 2000, 40, 8, scale=scale, dim=8)
    got = value_and_gradients(in_batch_softmax, case, torch.float32)
    exact = value_and_gradients(in_batch_softmax, case, torch.float64)
    for ours, theirs in zip(got, exact, strict=True):
        assert torch.isfinite(ours).all()
        assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-3 * float(theirs.abs().max()))


def test_weights_of_zero_teach_nothing() -> None:
    case = random_case(5, 6, 3, 3)
    got = value_and_gradients(
        in_batch_softmax, case, torch.float64, weights=torch.zeros(6, dtype=torch.float64)
    )
    for value in got:
        assert_allclose(value.numpy(), 0.0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_divides_badly(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature must be positive"):
        in_batch_softmax(EYE, EYE, PAIRS, PAIRS, temperature=temperature)


def test_arrays_that_do_not_line_up() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 2\).*\(2, 3\).*same width"):
        in_batch_softmax(EYE, torch.zeros(2, 3), PAIRS, PAIRS)
    with pytest.raises(ShapeError, match=r"\(2,\) query positions for \(1,\) item"):
        in_batch_softmax(EYE, EYE, PAIRS, PAIRS[:1])


def with_drawn_columns(
    queries: Any,
    items: Any,
    pair_query: Any,
    pair_item: Any,
    *,
    drawn: Any,
    log_frequency: Any,
    weights: Any,
    temperature: float,
    mask_repeats: bool,
) -> Any:
    """The plain matrix, with one more column for each negative that was drawn beside the batch."""
    column = torch.cat([pair_item, drawn])
    logits = queries[pair_query] @ items[column].T / temperature - log_frequency[column]
    if mask_repeats:
        same = pair_item[:, None] == column[None, :]
        same &= ~torch.eye(len(pair_item), len(column), dtype=torch.bool)
        logits = logits.masked_fill(same, float("-inf"))
    target = torch.arange(len(pair_item))
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    return (weights * losses).sum() / weights.sum()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 12),
    extra=st.integers(0, 12),
    mask_repeats=st.booleans(),
    chunk_cells=st.sampled_from([1, 9, 1 << 20]),
)
def test_drawn_negatives_are_columns_of_the_plain_matrix(
    seed: int, batch: int, extra: int, mask_repeats: bool, chunk_cells: int
) -> None:
    rng = np.random.default_rng(seed)
    at = np.unique(rng.integers(0, 8, batch + extra), return_inverse=True)[1]
    pair_query = np.unique(np.sort(rng.integers(0, 6, batch)), return_inverse=True)[1]
    n_queries, n_items = int(pair_query.max()) + 1, int(at.max()) + 1
    case: Case = (
        torch.from_numpy(rng.normal(size=(n_queries, 3))),
        torch.from_numpy(rng.normal(size=(n_items, 3))),
        torch.from_numpy(pair_query),
        torch.from_numpy(at[:batch]),
        {},
    )
    options: dict[str, Any] = {
        "log_frequency": torch.from_numpy(np.log(rng.uniform(0.001, 1, n_items))),
        "weights": torch.from_numpy(rng.uniform(0.1, 2, batch)),
        "temperature": 0.5,
        "mask_repeats": mask_repeats,
    }
    drawn = torch.from_numpy(at[batch:])
    want = value_and_gradients(with_drawn_columns, case, torch.float64, drawn=drawn, **options)
    counts = torch.from_numpy(np.bincount(at, minlength=n_items))
    got = value_and_gradients(
        in_batch_softmax,
        case,
        torch.float64,
        item_counts=counts,
        chunk_cells=chunk_cells,
        **options,
    )
    for ours, theirs in zip(got, want, strict=True):
        assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-8, atol=1e-10)


THREE = torch.tensor([[1.0, 0], [2, 0], [0, 1]])  # scores of the query (1, 0): 1, 2, 0
FIRST = torch.zeros(1, dtype=torch.int64)


def test_the_hardest_negative_by_hand() -> None:
    # the own item scores 1; of 2 and 0 the harder is 2: log(e^1 + e^2) - 1 = log(1 + e)
    ones = torch.ones(3)
    loss = hard_negative_softmax(EYE[:1], THREE, FIRST, FIRST, hardest=1, item_counts=ones)
    assert loss.item() == pytest.approx(math.log(1 + math.e), abs=1e-6)
    both = hard_negative_softmax(EYE[:1], THREE, FIRST, FIRST, hardest=2, item_counts=ones)
    assert both.item() == pytest.approx(math.log(1 + math.e + 1 / math.e), abs=1e-6)


def test_a_negative_that_stands_often_is_harder_by_hand() -> None:
    # the third item scores 0 but stands 20 times: 0 + log 20 = 3.0 is more than 2 + log 1
    counts = torch.tensor([5.0, 1, 20])  # the 5 of the own item count for nothing
    loss = hard_negative_softmax(EYE[:1], THREE, FIRST, FIRST, hardest=1, item_counts=counts)
    assert loss.item() == pytest.approx(math.log(1 + 20 / math.e), abs=1e-6)
    # a share of 1/e^3 of the second item raises its logit to 5
    rare = torch.tensor([0.0, -3, 0])
    loss = hard_negative_softmax(
        EYE[:1], THREE, FIRST, FIRST, hardest=1, item_counts=counts, log_frequency=rare
    )
    assert loss.item() == pytest.approx(math.log(1 + math.e**4), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 16),
    n_items=st.integers(1, 8),
    beyond=st.integers(0, 5),
    temperature=st.sampled_from([0.3, 1.0]),
)
def test_where_the_hardest_are_all_it_is_the_in_batch_softmax(
    seed: int, batch: int, n_items: int, beyond: int, temperature: float
) -> None:
    case = random_case(seed, batch, 5, n_items)
    options = {"temperature": temperature, **case[4]}
    want = value_and_gradients(in_batch_softmax, case, torch.float64, **options)
    hardest = max(1, len(case[1]) - 1 + beyond)
    got = value_and_gradients(
        hard_negative_softmax, case, torch.float64, hardest=hardest, **options
    )
    for ours, theirs in zip(got, want, strict=True):
        assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-8, atol=1e-10)


def test_hard_gradient_matches_finite_differences() -> None:
    queries, items, pair_query, pair_item, extras = random_case(0, 9, 4, 6)
    assert torch.autograd.gradcheck(
        lambda q, v: hard_negative_softmax(
            q, v, pair_query, pair_item, hardest=2, temperature=0.7, **extras
        ),
        (queries.requires_grad_(), items.requires_grad_()),
    )


def test_hard_negatives_of_weightless_rows_teach_nothing() -> None:
    case = random_case(5, 6, 3, 3)
    nothing = torch.zeros(6, dtype=torch.float64)
    got = value_and_gradients(
        hard_negative_softmax, case, torch.float64, hardest=2, weights=nothing
    )
    for value in got:
        assert_allclose(value.numpy(), 0.0)


@pytest.mark.parametrize("loss", [in_batch_softmax, hard_negative_softmax])
def test_pairs_and_lengths_are_checked(loss: Any) -> None:
    more = {"hardest": 1} if loss is hard_negative_softmax else {}
    with pytest.raises(ShapeError, match=r"pair_query must rise.*argsort"):
        loss(EYE, EYE, PAIRS.flip(0), PAIRS, **more)
    one = torch.ones(1)
    for name in ("log_frequency", "item_counts", "weights"):
        with pytest.raises(
            ShapeError, match=rf"{name} \(1,\) must hold one number for each of 2"
        ):
            loss(EYE, EYE, PAIRS, PAIRS, **{name: one}, **more)
    with pytest.raises(ConfigError, match="temperature must be positive"):
        loss(EYE, EYE, PAIRS, PAIRS, temperature=0.0, **more)
    nobody = torch.zeros(2, dtype=torch.int64)
    assert loss(EYE, EYE, nobody, PAIRS, **more).isfinite()  # equal queries are in order


def test_at_least_one_hard_negative() -> None:
    with pytest.raises(ConfigError, match="hardest must be at least 1; got 0"):
        hard_negative_softmax(EYE, EYE, PAIRS, PAIRS, hardest=0)
