import numpy as np
import pytest

torch = pytest.importorskip("torch")

from shortlist.nn.towers import Cross, Head, RatingHead  # noqa: E402


def test_without_layers_the_pooled_embedding_is_the_vector() -> None:
    head, pooled = Head(3, dropout=0.5).eval(), torch.randn(4, 3)
    assert head.is_identity
    assert torch.equal(head(pooled), pooled)


def test_two_layers_by_hand() -> None:
    # [2, -1] -> ReLU([2*1, -1*3]) = [2, 0] -> [2*4 + 1, 0*5 + 1]
    head = Head(2, [2]).eval()
    with torch.no_grad():
        first, first_bias, second, second_bias = head.parameters()
        first.copy_(torch.tensor([[1.0, 0], [0, 3]]))
        first_bias.zero_()
        second.copy_(torch.tensor([[4.0, 0], [0, 5]]))
        second_bias.fill_(1)
    assert head(torch.tensor([[2.0, -1]])).tolist() == [[9, 1]]
    assert not head.is_identity


def test_nothing_is_cut_off_after_the_last_layer() -> None:
    torch.manual_seed(0)
    assert (Head(8, [16])(torch.randn(50, 8)) < 0).any()


@pytest.mark.parametrize("layers", [[], [5]])
def test_normalized_vectors_have_length_one(layers: list[int]) -> None:
    head = Head(3, layers, normalize=True)
    vectors = head(torch.randn(6, 3))
    np.testing.assert_allclose(vectors.norm(dim=1).detach().numpy(), np.ones(6), rtol=1e-6)
    assert not head.is_identity
    assert torch.isfinite(Head(3, normalize=True)(torch.zeros(1, 3))).all()


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    head, pooled = Head(100, dropout=0.5), torch.ones(2, 100)
    assert (head(pooled) == 0).any()
    assert (head.eval()(pooled) == 1).all()


def test_an_empty_batch() -> None:
    assert Head(3, [4], normalize=True)(torch.zeros(0, 3)).shape == (0, 3)
    assert RatingHead(3, [4], dropout=0.0, mean=3.5)(torch.zeros(0, 6)).shape == (0,)


def test_ratings_start_near_the_mean() -> None:
    torch.manual_seed(0)
    ratings = RatingHead(4, [8], dropout=0.0, mean=3.5)(torch.zeros(5, 8))
    assert ratings.shape == (5,)
    assert ratings.detach().numpy() == pytest.approx(np.full(5, 3.5), abs=0.5)


START, BEFORE = torch.tensor([[1.0, -1]]), torch.tensor([[2.0, 1]])


def test_a_full_cross_layer_by_hand() -> None:
    # W x + b = [1*2 + 2*1 + 10, 3*2 + 4*1 + 20] = [14, 30]; times [1, -1]; plus [2, 1]
    cross = Cross(2)
    with torch.no_grad():
        weight, bias = cross.parameters()
        weight.copy_(torch.tensor([[1.0, 2], [3, 4]]))
        bias.copy_(torch.tensor([10.0, 20]))
    assert cross(START, BEFORE).tolist() == [[16, -29]]


def test_a_cross_layer_of_rank_one_by_hand() -> None:
    # V x = 1*2 + 2*1 = 4; U 4 + b = [3*4 + 1, 4*4 + 1] = [13, 17]; times [1, -1]; plus [2, 1]
    cross = Cross(2, rank=1)
    with torch.no_grad():
        inner, outer, bias = cross.parameters()
        inner.copy_(torch.tensor([[1.0, 2]]))
        outer.copy_(torch.tensor([[3.0], [4]]))
        bias.fill_(1)
    assert cross(START, BEFORE).tolist() == [[15, -16]]


@pytest.mark.parametrize("rank", [0, 2])
def test_cross_layers_multiply_with_the_input_of_the_first(rank: int) -> None:
    torch.manual_seed(0)
    head = RatingHead(3, [4], dropout=0.0, mean=3.0, cross_layers=2, cross_rank=rank).eval()
    x = torch.randn(5, 6)
    first, second = head.cross
    once = x * first.weight(x) + x  # type: ignore[operator]
    twice = x * second.weight(once) + once  # type: ignore[operator]
    np.testing.assert_allclose(
        head(x).detach().numpy(), head.layers(twice)[:, 0].detach().numpy(), rtol=1e-6
    )
    numbers = sum(p.numel() for p in first.parameters())
    assert numbers == (6 * rank * 2 + 6 if rank else 6 * 6 + 6)
