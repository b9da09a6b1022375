"""Losses that pull a query towards the item chosen, away from the items not chosen."""

import math
from typing import Any

import torch
from torch import Tensor

from shortlist.errors import ConfigError, ShapeError

_CELLS = 1 << 20  # logits held at a time: 4 MB in float32, near the size of a core's cache


def in_batch_softmax(
    queries: Tensor,
    items: Tensor,
    pair_query: Tensor,
    pair_item: Tensor,
    *,
    item_counts: Tensor | None = None,
    log_frequency: Tensor | None = None,
    weights: Tensor | None = None,
    temperature: float = 1.0,
    mask_repeats: bool = True,
    chunk_cells: int = _CELLS,
) -> Tensor:
    """Cross-entropy where the other items of the batch stand in for the catalogue.

    Row i of the batch is the pair (``pair_query[i]``, ``pair_item[i]``). The loss is that of the
    full (batch, batch) matrix of logits ``q_i . v_j / temperature - log_frequency_j``, target i in
    row i, but each distinct query meets each distinct item once: an item that stands c times in
    the batch counts as c columns by adding log c to its logit. A column that repeats the row's own
    item is no negative (an accidental hit); taking those c - 1 columns out of the sum of
    exponentials is one term per pair. Rows of the matrix are made in chunks, and their gradient
    at once, so the matrix is never stored.

    A popular item turns up as a negative in proportion to its popularity, so its logit is lowered
    by the log of that proportion (Yi et al., RecSys 2019).

    Args:
        queries: (u, dim) distinct query vectors.
        items: (v, dim) distinct item vectors.
        pair_query: (batch,) int64 positions in ``queries``, in rising order.
        pair_item: (batch,) int64 positions in ``items``.
        item_counts: (v,) how many columns each item stands for: its pairs and, where negatives were
            drawn beside them, its draws, at least 1. None counts the pairs.
        log_frequency: (v,) natural log of each item's share of what columns are drawn from (the
            training rows), <= 0. None leaves the logits uncorrected.
        weights: (batch,) weights of the rows, >= 0; None weighs all alike. Where all are 0, so is the loss.
        temperature: divides the dot products; smaller is sharper. Must be positive.
        mask_repeats: whether a row's own item, repeated by other rows, is left out.
        chunk_cells: logits held at a time; changes memory and speed, not the value.

    Returns:
        Scalar: the weighted mean loss, in nats.

    Raises:
        ConfigError: ``temperature`` is not positive.
        ShapeError: the arrays do not line up, or ``pair_query`` falls.
    """
    counts = _check(queries, items, pair_query, pair_item, item_counts, temperature)
    _check_lengths(log_frequency, weights, len(items), len(pair_query))
    column = log_counts = counts.log()
    if log_frequency is not None:
        column = column - log_frequency.to(items.dtype)
    row_weights = (
        torch.ones_like(pair_query, dtype=items.dtype)
        if weights is None
        else weights.to(items.dtype)
    )
    repeats = counts[pair_item] - 1 if mask_repeats else torch.zeros_like(row_weights)
    loss: Tensor = _InBatchSoftmax.apply(  # type: ignore[no-untyped-call]
        queries,
        items,
        pair_query,
        pair_item,
        column,
        log_counts,
        row_weights,
        repeats,
        temperature,
        chunk_cells,
    )
    return loss


def hard_negative_softmax(
    queries: Tensor,
    items: Tensor,
    pair_query: Tensor,
    pair_item: Tensor,
    *,
    hardest: int,
    item_counts: Tensor | None = None,
    log_frequency: Tensor | None = None,
    weights: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """The in-batch softmax with only the ``hardest`` negatives of each row: those that score highest.

    A row's own item is never one of its negatives, and an item that stands c times counts as one
    negative of weight c.

    Args:
        queries: (u, dim) distinct query vectors.
        items: (v, dim) distinct item vectors.
        pair_query: (batch,) int64 positions in ``queries``, in rising order.
        pair_item: (batch,) int64 positions in ``items``.
        hardest: negatives kept per row, at least 1.
        item_counts: (v,) as for :func:`in_batch_softmax`.
        log_frequency: (v,) as for :func:`in_batch_softmax`.
        weights: (batch,) as for :func:`in_batch_softmax`.
        temperature: divides the dot products. Must be positive.

    Returns:
        Scalar: the weighted mean loss, in nats.

    Raises:
        ConfigError: ``temperature`` is not positive or ``hardest`` is below 1.
        ShapeError: as for :func:`in_batch_softmax`.
    """
    counts = _check(queries, items, pair_query, pair_item, item_counts, temperature)
    _check_lengths(log_frequency, weights, len(items), len(pair_query))
    if hardest < 1:
        msg = f"hardest must be at least 1; got {hardest}"
        raise ConfigError(msg)
    scores = queries @ items.T / temperature  # (u, v)
    if log_frequency is not None:
        scores = scores - log_frequency.to(items.dtype)
    own = scores[pair_query, pair_item]  # (batch,)
    rows = (scores + counts.log())[pair_query]  # (batch, v)
    rows = rows.scatter(1, pair_item[:, None], -torch.inf)
    negatives = rows.topk(min(hardest, rows.shape[1]), dim=1).values  # (batch, hardest)
    loss = torch.logsumexp(torch.cat([own[:, None], negatives], dim=1), dim=1) - own
    return _mean(loss, weights)


def full_softmax(
    queries: Tensor,
    items: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    chunk_cells: int = _CELLS,
) -> Tensor:
    """Cross-entropy over the whole catalogue, whose logits are made in chunks and never stored.

    Args:
        queries: (n, dim).
        items: (n_items, dim).
        targets: (n,) int64 item rows.
        weights: (n,) weights of the queries, >= 0; None weighs all alike.
        chunk_cells: logits held at a time; changes memory and speed, not the value.

    Returns:
        Scalar: the weighted mean of ``logsumexp_j(q_i . v_j) - q_i . v_target``, in nats.
    """
    return in_batch_softmax(
        queries,
        items,
        torch.arange(len(queries), device=queries.device),
        targets,
        item_counts=torch.ones_like(
            items[:, 0]
        ),  # each item is one column, the target's as well
        weights=weights,
        mask_repeats=False,
        chunk_cells=chunk_cells,
    )


def sampled_softmax(
    queries: Tensor,
    items: Tensor,
    targets: Tensor,
    drawn: Tensor,
    *,
    n_items: int,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy over the target and some items drawn evenly, which stand for all the others.

    Each of m draws stands for ``n_items / m`` items, whose log is added to its logit: logQ for even
    draws. A draw that is the query's own target is no negative. So the sum of exponentials is, on
    average, that of the whole catalogue.

    Args:
        queries: (n, dim).
        items: (v, dim) the items that are met.
        targets: (n,) int64 positions in ``items``.
        drawn: (m,) int64 positions in ``items``, shared by all queries; at least one.
        n_items: what they are drawn from.
        weights: (n,) weights of the queries, >= 0; None weighs all alike.

    Returns:
        Scalar: the weighted mean loss, in nats.
    """
    own = (queries * items[targets]).sum(dim=1)  # (n,)
    others = queries @ items[drawn].T + math.log(n_items / len(drawn))  # (n, m)
    others = others.masked_fill(drawn[None, :] == targets[:, None], -torch.inf)
    loss = torch.logsumexp(torch.cat([own[:, None], others], dim=1), dim=1) - own
    return _mean(loss, weights)


def _mean(loss: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return loss.mean()
    norm = weights.sum().clamp(min=torch.finfo(loss.dtype).tiny)  # all may weigh 0
    return (loss * weights).sum() / norm


def _check(
    queries: Tensor,
    items: Tensor,
    pair_query: Tensor,
    pair_item: Tensor,
    item_counts: Tensor | None,
    temperature: float,
) -> Tensor:
    # the number of columns each item stands for, once everything lines up
    if not temperature > 0:
        msg = f"temperature must be positive; got {temperature}"
        raise ConfigError(msg)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        msg = f"queries {tuple(queries.shape)} and items {tuple(items.shape)} must have the same width"
        raise ShapeError(msg)
    if pair_query.shape != pair_item.shape:
        msg = f"{tuple(pair_query.shape)} query positions for {tuple(pair_item.shape)} item positions"
        raise ShapeError(msg)
    if (pair_query[1:] < pair_query[:-1]).any():
        msg = "pair_query must rise; sort the pairs by query first: order = pair_query.argsort(stable=True)"
        raise ShapeError(msg)
    if item_counts is None:
        return torch.bincount(pair_item, minlength=len(items)).to(items.dtype)
    if item_counts.shape != (len(items),):
        msg = f"item_counts {tuple(item_counts.shape)} must hold one number for each of {len(items)} items"
        raise ShapeError(msg)
    return item_counts.to(items.dtype)


def _check_lengths(
    log_frequency: Tensor | None, weights: Tensor | None, items: int, batch: int
) -> None:
    if log_frequency is not None and log_frequency.shape != (items,):
        msg = f"log_frequency {tuple(log_frequency.shape)} must hold one number for each of {items} items"
        raise ShapeError(msg)
    if weights is not None and weights.shape != (batch,):
        msg = f"weights {tuple(weights.shape)} must hold one number for each of {batch} pairs"
        raise ShapeError(msg)


class _InBatchSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        items: Tensor,
        pair_query: Tensor,
        pair_item: Tensor,
        column: Tensor,
        log_counts: Tensor,
        weights: Tensor,
        repeats: Tensor,
        temperature: float,
        chunk_cells: int,
    ) -> Tensor:
        query_grad, item_grad = torch.empty_like(queries), torch.zeros_like(items)
        step = max(1, chunk_cells // max(1, len(items)))
        ends = torch.searchsorted(
            pair_query, torch.arange(0, len(queries) + step, step, device=pair_query.device)
        ).tolist()
        total = queries.new_zeros(())
        for number, start in enumerate(range(0, len(queries), step)):
            some, pairs = slice(start, start + step), slice(ends[number], ends[number + 1])
            here, own, weight = pair_query[pairs] - start, pair_item[pairs], weights[pairs]
            logits = torch.addmm(
                column, queries[some], items.T, alpha=1 / temperature
            )  # (step, v)
            own_logit = logits[here, own] - log_counts[own]  # one column of the item, not all c
            peak = logits.amax(1, keepdim=True)
            mass = logits.sub_(peak).exp_()  # (step, v)
            sums = mass.sum(1)
            lse = (peak.squeeze(1) + sums.log())[here]  # (pairs,)
            # one column of the own item: from the masses, as exp(own_logit - lse) loses digits
            share = mass[here, own] / (sums[here] * log_counts[own].exp())
            left = (1 - repeats[pairs] * share).clamp(min=share)  # mass without the repeats
            total += (weight * (lse + left.log() - own_logit)).sum()
            pull = sums.new_zeros(len(sums)).index_add_(0, here, weight / left)
            grad = mass.mul_((pull / sums).unsqueeze(1))
            grad.index_put_(
                (here, own), -weight * (1 + repeats[pairs] * share / left), accumulate=True
            )
            query_grad[some] = grad @ items
            item_grad.addmm_(grad.T, queries[some])
        norm = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)  # all may weigh 0
        ctx.save_for_backward(
            query_grad / (norm * temperature), item_grad / (norm * temperature)
        )
        return total / norm

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, item_grad = ctx.saved_tensors
        return (grad_output * query_grad, grad_output * item_grad, *[None] * 8)
