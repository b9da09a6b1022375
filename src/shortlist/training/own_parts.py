"""Towers and losses that the user brings: copied, and checked before they cost an hour of training."""

import copy

import torch
from torch import Tensor, nn

from shortlist.errors import ConfigError, TrainingError
from shortlist.training.graphs import check_graph


def own_tower(name: str, given: object, copied: dict[int, object]) -> nn.Module:
    """Copy a tower: a second fit starts where the first did, and the user's module is left alone.

    Args:
        name: of the setting, for messages.
        given: what the user set.
        copied: what was copied before, as of ``copy.deepcopy``: what both towers share stays shared.

    Returns:
        A deep copy.

    Raises:
        ConfigError: it is no module.
    """
    if not isinstance(given, nn.Module):
        msg = f"{name} must be a torch.nn.Module, made already; got {given!r}"
        raise ConfigError(msg)
    return copy.deepcopy(given, copied)


def check_tower(name: str, tower: nn.Module, dim: int, device: torch.device) -> int:
    """Insist that a tower turns pooled embeddings into one vector per line, also as ONNX.

    Args:
        name: of the setting, for messages.
        tower: an own one.
        dim: width of the pooled embeddings.
        device: where the tower lives.

    Returns:
        The width of its vectors.

    Raises:
        ConfigError: it raises, gives another shape, or cannot be exported.
    """
    training = tower.training
    try:
        with torch.no_grad():
            shape: tuple[int, ...] = tuple(
                tower.eval()(torch.zeros(2, dim, device=device)).shape
            )
    except Exception as error:
        msg = f"{name} must take (n, {dim}), the pooled features; it raised {type(error).__name__}: {error}"
        raise ConfigError(msg) from error
    tower.train(training)
    if len(shape) != 2 or shape[0] != 2:
        msg = f"{name} must give one vector per line, (2, width) for (2, {dim}); got {shape}"
        raise ConfigError(msg)
    try:
        check_graph(tower, dim)
    except TrainingError as error:
        msg = (
            f"{name} must be a module that ONNX can hold, as the graph is what answers; {error}"
        )
        raise ConfigError(msg) from error
    return shape[1]


def checked_loss(loss: object) -> Tensor:
    """Insist that an own loss can be learned from.

    Args:
        loss: what the function gave.

    Returns:
        The same.

    Raises:
        ConfigError: it is not one number with a gradient.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else loss
        msg = f"loss must return one number as a tensor, the batch's mean, with a gradient to queries and items; got {got}"
        raise ConfigError(msg)
    return loss.reshape(())
