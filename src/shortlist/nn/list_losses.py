"""Losses over candidate lists: each pair by itself, taken above not taken, or the list as a whole."""

import torch
import torch.nn.functional as F


def pointwise(scores: torch.Tensor, liked: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of every pair.

    Args:
        scores: (lists, m).
        liked: (lists, m) bool.
        filled: (lists, m) bool, False where a list has ended.

    Returns:
        The mean over filled places.
    """
    each = F.binary_cross_entropy_with_logits(scores, liked.to(scores.dtype), reduction="none")
    return (each * filled).sum() / filled.sum().clamp(min=1)


def pairwise(scores: torch.Tensor, liked: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
    """RankNet (Burges et al., ICML 2005), BPR over lists: ``log(1 + exp(s_not_taken - s_taken))``.

    Args:
        scores: (lists, m).
        liked: (lists, m) bool.
        filled: (lists, m) bool.

    Returns:
        The mean over pairs of a taken and a not taken item of the same list.
    """
    line, place = torch.nonzero(liked & filled, as_tuple=True)
    gaps = scores[line] - scores[line, place][:, None]  # (taken, m)
    counts = (filled & ~liked)[line]
    return (F.softplus(gaps) * counts).sum() / counts.sum().clamp(min=1)


def listwise(scores: torch.Tensor, liked: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
    """ListNet's top-one cross-entropy (Cao et al., ICML 2007): a softmax over each list.

    Args:
        scores: (lists, m).
        liked: (lists, m) bool.
        filled: (lists, m) bool.

    Returns:
        The mean over lists of the mean over their taken items; a list without any counts 0.
    """
    shares = scores.masked_fill(~filled, float("-inf")).log_softmax(dim=1)
    taken = liked & filled
    sums = torch.where(taken, -shares, 0.0).sum(dim=1)
    return (sums / taken.sum(dim=1).clamp(min=1)).mean()
