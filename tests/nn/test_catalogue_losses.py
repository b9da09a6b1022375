"""Losses over a catalogue: against torch's cross entropy, by hand, and on average."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from shortlist.nn.losses import full_softmax, sampled_softmax  # noqa: E402


def case(seed: int, n: int, n_items: int, scale: float = 1.0) -> list[Any]:
    rng = np.random.default_rng(seed)
    queries, items = (
        torch.from_numpy(rng.normal(size=(rows, 4)) * scale).requires_grad_()
        for rows in (n, n_items)
    )
    targets = torch.from_numpy(rng.integers(0, n_items, n))
    weights = torch.from_numpy(rng.uniform(0.5, 2, n))
    return [queries, items, targets, weights]


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    n_items=st.integers(1, 20),
    chunk=st.sampled_from([1, 30, 10**6]),
    weighed=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_full_softmax_is_cross_entropy_in_value_and_gradient(
    seed: int, n: int, n_items: int, chunk: int, weighed: bool, scale: float
) -> None:
    queries, items, targets, weights = case(seed, n, n_items, scale)
    each = torch.nn.functional.cross_entropy(queries @ items.T, targets, reduction="none")
    want = (each * weights).sum() / weights.sum() if weighed else each.mean()
    got = full_softmax(
        queries, items, targets, weights=weights if weighed else None, chunk_cells=chunk
    )
    assert_allclose(got.item(), want.item(), rtol=1e-10, atol=1e-10)
    wanted = torch.autograd.grad(want, [queries, items])
    for ours, theirs in zip(torch.autograd.grad(got, [queries, items]), wanted, strict=True):
        assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_full_softmax_has_the_gradient_of_finite_differences() -> None:
    queries, items, targets, _ = case(0, 5, 7)
    assert torch.autograd.gradcheck(
        lambda q, v: full_softmax(q, v, targets, chunk_cells=14), (queries, items)
    )


def test_sampled_softmax_by_hand() -> None:
    # q = 1, items 2, 0, 1; target the first, draws: the second and third, of 8 items in all.
    # each draw stands for 8 / 2 = 4 items: loss = log(e^2 + 4 e^0 + 4 e^1) - 2
    items = torch.tensor([[2.0], [0.0], [1.0]])
    got = sampled_softmax(
        torch.ones(1, 1), items, torch.tensor([0]), torch.tensor([1, 2]), n_items=8
    )
    assert got.item() == pytest.approx(math.log(math.e**2 + 4 + 4 * math.e) - 2)


def test_the_own_target_is_no_negative() -> None:
    # the only draw is the target: nothing left to lose to
    items = torch.tensor([[2.0], [0.0]])
    first = torch.tensor([0])
    assert sampled_softmax(torch.ones(1, 1), items, first, first, n_items=2).item() == 0


def test_drawing_every_item_once_is_the_full_softmax() -> None:
    queries, items, targets, weights = case(1, 6, 8)
    every = torch.arange(8)  # each stands for itself
    got = sampled_softmax(queries, items, targets, every, n_items=8, weights=weights)
    want = full_softmax(queries, items, targets, weights=weights)
    assert_allclose(got.item(), want.item(), rtol=1e-12)


def test_on_average_the_draws_have_the_mass_of_the_catalogue() -> None:
    # every pair of draws from 3 items (target the first): the mean of the masses of the negatives,
    # exp(loss + own logit) - exp(own logit), is the mass of the two others
    queries, items, _, _ = case(2, 1, 3)
    logits = (queries @ items.T)[0].detach()
    target = torch.tensor([0])
    masses = []
    for pair in itertools.product(range(3), repeat=2):
        drawn = torch.tensor(pair)
        loss = sampled_softmax(queries, items, target, drawn, n_items=3)
        masses.append((torch.exp(loss + logits[0]) - torch.exp(logits[0])).item())
    assert np.mean(masses) == pytest.approx(torch.exp(logits[1:]).sum().item())
