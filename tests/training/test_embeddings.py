"""Touched rows only: the same numbers as torch's own optimizers over whole tables."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from shortlist.training.embeddings import EmbeddingTable, take_csr  # noqa: E402
from shortlist.training.settings import TrainingSettings  # noqa: E402

COLUMNS, DIM = 12, 4


def table(optimizer: str, *, weight_decay: float = 0.0) -> EmbeddingTable:
    settings = TrainingSettings(
        optimizer=optimizer, learning_rate=0.1, weight_decay=weight_decay
    )
    generator = torch.Generator().manual_seed(0)
    return EmbeddingTable(COLUMNS, DIM, settings, generator, torch.device("cpu"))


def random_lines(rng: np.random.Generator, columns: int = COLUMNS) -> sp.csr_array:
    dense = rng.normal(size=(5, COLUMNS)) * (rng.random((5, COLUMNS)) < 0.3)
    dense[:, columns:] = 0
    dense[1] = 0  # an empty line
    return sp.csr_array(dense.astype(np.float32))


def train(own: EmbeddingTable, optimizer: Any, weight: Any, steps: int = 12) -> None:
    rng = np.random.default_rng(1)
    for _ in range(steps):
        lines = random_lines(rng)
        target = torch.from_numpy(rng.normal(size=(5, DIM)).astype(np.float32))
        ((own.pool(lines) - target) ** 2).sum().backward()
        own.step()
        pooled = torch.from_numpy(lines.toarray()) @ weight
        optimizer.zero_grad()
        ((pooled - target) ** 2).sum().backward()
        optimizer.step()


def test_pooling_is_a_product_of_matrices() -> None:
    own, lines = table("adagrad"), random_lines(np.random.default_rng(0))
    assert_allclose(own.pool(lines).detach().numpy(), lines @ own.numpy(), atol=1e-7)
    assert own.pool(lines[:0]).shape == (0, DIM)


def test_adagrad_is_the_dense_optimizer_exactly() -> None:
    own = table("adagrad")
    weight = own.weight.clone().requires_grad_()
    dense = torch.optim.Adagrad([weight], lr=0.1, initial_accumulator_value=0.1, eps=1e-7)
    train(own, dense, weight)
    assert_allclose(own.numpy(), weight.detach().numpy(), rtol=2e-5, atol=2e-6)


def test_adam_is_the_lazy_one_of_torch() -> None:
    own = table("adam")
    weight = own.weight.clone().requires_grad_()
    first, second = torch.zeros(COLUMNS, DIM), torch.zeros(COLUMNS, DIM)
    rng = np.random.default_rng(1)
    for step in range(1, 13):
        lines = random_lines(rng)
        ((own.pool(lines) - 1) ** 2).sum().backward()
        own.step()
        loss = ((torch.from_numpy(lines.toarray()) @ weight - 1) ** 2).sum()
        (grad,) = torch.autograd.grad(loss, weight)
        rows = torch.from_numpy(np.unique(lines.indices).astype(np.int64))
        with torch.no_grad():  # Kingma and Ba, algorithm 1, over the rows of this step
            first[rows] = 0.9 * first[rows] + 0.1 * grad[rows]
            second[rows] = 0.999 * second[rows] + 0.001 * grad[rows] ** 2
            size = (second[rows] / (1 - 0.999**step)).sqrt() + 1e-8
            weight[rows] -= 0.1 * first[rows] / (1 - 0.9**step) / size
    assert_allclose(own.numpy(), weight.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_rows_that_were_not_read_keep_their_bits(optimizer: str) -> None:
    own = table(optimizer, weight_decay=0.5)
    before, rng = own.numpy(), np.random.default_rng(2)
    read: set[int] = set()
    for _ in range(5):
        lines = random_lines(rng, columns=7)
        read |= set(lines.indices.tolist())
        own.pool(lines).sum().backward()
        own.step()
    untouched = sorted(set(range(COLUMNS)) - read)
    assert untouched
    assert_array_equal(own.numpy()[untouched], before[untouched])
    assert (own.numpy()[sorted(read)] != before[sorted(read)]).any(axis=1).all()


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_weight_decay_shrinks_what_was_read_by_hand(optimizer: str) -> None:
    plain, decayed = table(optimizer), table(optimizer, weight_decay=0.5)
    start = plain.numpy()
    for own in (plain, decayed):
        own.pool(sp.csr_array(np.eye(2, COLUMNS, dtype=np.float32))).sum().backward()
        own.step()
    # a step moves alike from either start; 0.1 * 0.5 of the two rows read is gone besides
    assert_allclose(plain.numpy()[:2] - decayed.numpy()[:2], 0.05 * start[:2], atol=1e-7)
    assert_array_equal(plain.numpy()[2:], decayed.numpy()[2:])


def test_reading_without_a_gradient_changes_nothing() -> None:
    own = table("adam", weight_decay=0.5)
    before = own.numpy()
    own.pool(random_lines(np.random.default_rng(3)))
    own.step()
    assert_array_equal(own.numpy(), before)


def test_the_copy_does_not_follow_the_training() -> None:
    own = table("adagrad")
    kept = own.numpy()
    before = kept.copy()
    own.pool(random_lines(np.random.default_rng(4))).sum().backward()
    own.step()
    assert_array_equal(kept, before)


def test_lines_are_taken_in_the_order_asked_for() -> None:
    matrix = random_lines(np.random.default_rng(5))
    taken = take_csr(matrix, np.array([4, 1, 4]))
    assert_array_equal(taken.toarray(), matrix.toarray()[[4, 1, 4]])
    assert take_csr(matrix, np.array([], np.int64)).shape == (0, COLUMNS)
    taken.data[:] = 7  # its own arrays
    assert not (matrix.data == 7).any()


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_rows_read_twice_before_a_step_learn_from_both(optimizer: str) -> None:
    one, two = table(optimizer, weight_decay=0.5), table(optimizer, weight_decay=0.5)
    rng = np.random.default_rng(6)
    for _ in range(3):
        first, second = random_lines(rng), random_lines(rng, columns=8)
        both = sp.csr_array(sp.vstack([first, second], format="csr"))
        ((one.pool(both) - 1) ** 2).sum().backward()
        one.step()
        (((two.pool(first) - 1) ** 2).sum() + ((two.pool(second) - 1) ** 2).sum()).backward()
        two.pool(second)  # and once more, without a gradient
        two.step()
        assert_allclose(two.numpy(), one.numpy(), rtol=1e-4, atol=1e-6)
