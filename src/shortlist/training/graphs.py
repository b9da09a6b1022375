"""Dense parts of a model as ONNX graphs: of lines in float64, so that answers do not depend on the batch."""

import copy
import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from onnx import ModelProto

Input: TypeAlias = tuple[
    Tensor, Mapping[int, str]
]  # an example, axis -> name of a size that varies


def export_graph(module: nn.Module, width: int) -> bytes:
    """Export a module of one input and one output.

    Args:
        module: takes (n, width).
        width: of the input.

    Returns:
        The bytes of an ONNX model with input ``x`` (n, width) float64 and output ``y``.

    Raises:
        MissingExtraError: ``onnx`` or ``onnxscript`` is not installed.
        TrainingError: torch cannot export the module.
    """
    module = copy.deepcopy(module).cpu().double().eval()
    example = torch.zeros(2, width, dtype=torch.float64)
    return bytes(_exported(module, {"x": (example, {0: "n"})}).SerializeToString())


def export_open(module: nn.Module, inputs: Mapping[str, Input]) -> bytes:
    """Export a module whose parameters are further inputs, to be filled in by :func:`filled`.

    Writing a graph takes seconds, filling one in a millisecond; so a model that is written after
    every epoch is exported once.

    Args:
        module: takes ``inputs``; answers in float32.
        inputs: name -> an example, and the names of the sizes that vary, by axis.

    Returns:
        The bytes of an ONNX model with output ``y``.

    Raises:
        MissingExtraError: ``onnx`` or ``onnxscript`` is not installed.
        TrainingError: torch cannot export the module.
    """
    weights: dict[str, Input] = {
        name: (value.detach(), {}) for name, value in module.named_parameters()
    }
    opened = _Open(module, list(weights)).eval()
    return bytes(_exported(opened, {**inputs, **weights}).SerializeToString())


def filled(graph: bytes, weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Give a graph of :func:`export_open` its parameters.

    Args:
        graph: an ONNX model.
        weights: name -> value, of all its parameters.

    Returns:
        The bytes of an ONNX model whose inputs are the others.
    """
    import onnx

    model = onnx.load_from_string(graph)
    free = [held for held in model.graph.input if held.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(free)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in weights.items()
    )
    return bytes(model.SerializeToString())


class _Open(nn.Module):
    # a module of all its inputs and parameters, which are not its own: the exporter must not see them
    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self._held, self._names = [module.eval()], names

    def forward(self, *given: Tensor) -> Tensor:
        free = len(given) - len(self._names)
        weights = dict(zip(self._names, given[free:], strict=True))
        answer: Tensor = torch.func.functional_call(self._held[0], weights, given[:free])
        return answer


def _exported(module: nn.Module, inputs: Mapping[str, Input]) -> "ModelProto":
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        msg = "saving a network needs onnx and onnxscript: pip install 'shortlist[torch]'"
        raise MissingExtraError(msg) from None
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)  # it warns of torchvision, which this does not need
    sizes = {
        name: torch.export.Dim(name) for _, axes in inputs.values() for name in axes.values()
    }
    shapes = tuple(
        {axis: sizes[name] for axis, name in axes.items()} for _, axes in inputs.values()
    )
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                module,
                tuple(example for example, _ in inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=["y"],
                dynamic_shapes=(shapes,) if isinstance(module, _Open) else shapes,
                verbose=False,
            )
    except Exception as error:  # the exporter's own errors have no public class
        reason = str(error).strip().partition("\n")[0]
        msg = f"torch.onnx.export cannot write {type(module).__name__} as a graph: {reason}"
        raise TrainingError(msg) from error
    finally:
        exporter_log.setLevel(level)
    if program is None:  # only the old exporter gives none
        msg = "torch.onnx.export gave no program; install a torch that has the dynamo exporter"
        raise TrainingError(msg)
    return program.model_proto


def check_graph(module: nn.Module, width: int) -> None:
    """Insist that a module can be a graph at all, in a tenth of the time that writing it takes.

    Args:
        module: takes (n, width).
        width: of the input.

    Raises:
        TrainingError: torch cannot trace the module for any number of lines.
    """
    module = copy.deepcopy(module).cpu().double().eval()
    example = (torch.zeros(2, width, dtype=torch.float64),)
    lines = torch.export.Dim("n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.export(module, example, dynamic_shapes=({0: lines},))
    except Exception as error:  # of torch's inner modules
        reason = str(error).strip().partition("\n")[0]
        msg = f"torch.export cannot trace {type(module).__name__}: {reason}"
        raise TrainingError(msg) from error
