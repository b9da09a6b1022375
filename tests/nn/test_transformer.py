"""The transformer: no place reads what comes after it, padding is as good as absent."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from shortlist.nn.transformer import CausalTransformer, LastPlace  # noqa: E402

DIM, LENGTH = 6, 7


def transformer(seed: int = 0, dropout: float = 0.0) -> CausalTransformer:
    torch.manual_seed(seed)
    net = CausalTransformer(DIM, layers=2, heads=3, length=LENGTH, dropout=dropout)
    for weights in net.parameters():  # biases, distances and gains that are not 0 or 1
        torch.nn.init.normal_(weights, std=0.5)
    return net.double().eval()


def vectors(seed: int, places: int) -> Any:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(1, places, DIM)))


def told(net: CausalTransformer, x: Any, padding: int = 0) -> Any:
    there = torch.arange(x.shape[1])[None, :] >= padding
    with torch.no_grad():
        return net(x, there)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    places=st.integers(1, LENGTH),
    changed=st.integers(0, LENGTH - 1),
)
def test_what_comes_later_changes_nothing_before(seed: int, places: int, changed: int) -> None:
    changed = min(changed, places - 1)
    net, x = transformer(), vectors(seed, places)
    other = x.clone()
    other[:, changed:] = vectors(seed + 1, places)[:, changed:]
    before, after = told(net, x), told(net, other)
    assert_allclose(before[:, :changed], after[:, :changed], atol=1e-12)
    assert (
        (before[:, changed:] != after[:, changed:]).all(2).all()
    )  # and does change what follows


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1), places=st.integers(1, 4), padding=st.integers(1, LENGTH - 4)
)
def test_padding_does_not_change_the_answer(seed: int, places: int, padding: int) -> None:
    net, x = transformer(), vectors(seed, places)
    padded = torch.cat([vectors(seed + 1, padding), x], dim=1)
    assert_allclose(told(net, padded, padding)[:, padding:], told(net, x), atol=1e-12)


def test_nothing_but_padding_is_answered_with_finite_numbers() -> None:
    assert torch.isfinite(told(transformer(), vectors(0, 3), padding=3)).all()


def test_order_matters() -> None:
    net, x = transformer(), vectors(5, 3)
    swapped = x[:, [1, 0, 2]]
    assert (told(net, x)[:, 2] - told(net, swapped)[:, 2]).abs().max() > 1e-3


def test_the_last_place_reads_rows() -> None:
    net = transformer()
    items = vectors(6, 9)[0]
    rows = torch.tensor([[-1, -1, 4, 8], [2, 2, 0, 1]])
    with torch.no_grad():
        got = LastPlace(net)(rows, items)
    assert_allclose(got[0], told(net, items[[4, 8]][None])[0, -1], atol=1e-12)
    assert_allclose(got[1], told(net, items[[2, 2, 0, 1]][None])[0, -1], atol=1e-12)


def test_dropout_only_while_training() -> None:
    net, x = transformer(dropout=0.5), vectors(7, 4)
    assert (told(net, x) == told(net, x)).all()
    net.train()
    assert (told(net, x) != told(net, x)).any()
