import numpy as np
import pytest

torch = pytest.importorskip("torch")

from shortlist.nn.towers import Head, RatingHead  # noqa: E402


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
