"""Losses over lists: by hand, and each against its gradient."""

from math import exp, log
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from shortlist.nn.list_losses import listwise, pairwise, pointwise  # noqa: E402

SCORES = [[1.0, 0.0, 5.0], [0.0, 2.0, 0.0]]
LIKED = [[True, False, True], [False, True, False]]  # the third of the first list is no item
FILLED = [[True, True, False], [True, True, True]]


def given() -> tuple[Any, Any, Any]:
    scores = torch.tensor(SCORES, dtype=torch.float64, requires_grad=True)
    return scores, torch.tensor(LIKED), torch.tensor(FILLED)


def test_pointwise_by_hand() -> None:
    # -log sigmoid of 1 and 2 where taken, -log(1 - sigmoid) of 0, 0 and 0 elsewhere; five places
    want = log(1 + exp(-1)) + log(1 + exp(-2)) + 3 * log(2)
    assert pointwise(*given()).item() == pytest.approx(want / 5)


def test_pairwise_by_hand() -> None:
    # 1 above 0; 2 above 0 twice: three pairs
    want = log(1 + exp(-1)) + 2 * log(1 + exp(-2))
    assert pairwise(*given()).item() == pytest.approx(want / 3)


def test_listwise_by_hand() -> None:
    first = log(exp(1) + 1) - 1
    second = log(2 + exp(2)) - 2
    assert listwise(*given()).item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("loss", [pointwise, pairwise, listwise])
def test_gradients(loss) -> None:  # type: ignore[no-untyped-def]
    scores, liked, filled = given()
    assert torch.autograd.gradcheck(lambda one: loss(one, liked, filled), (scores,))
    loss(scores, liked, filled).backward()
    assert scores.grad[0, 2] == 0.0  # an empty place moves nothing


@pytest.mark.parametrize("loss", [pairwise, listwise])
def test_a_list_without_a_taken_item_counts_nothing(loss) -> None:  # type: ignore[no-untyped-def]
    scores, _, filled = given()
    assert loss(scores, torch.zeros(2, 3, dtype=torch.bool), filled).item() == 0.0
