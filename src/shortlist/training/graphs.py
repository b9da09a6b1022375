"""Dense parts of a model as ONNX graphs in float64, so that answers do not depend on the batch."""

import copy
import io
import logging
import warnings
from contextlib import redirect_stdout

import torch
from torch import nn

from shortlist.errors import MissingExtraError, TrainingError


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
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        msg = "saving a network needs onnx and onnxscript: pip install 'shortlist[torch]'"
        raise MissingExtraError(msg) from None
    module = copy.deepcopy(module).cpu().double().eval()
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)  # it warns of torchvision, which this does not need
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                module,
                (torch.zeros(2, width, dtype=torch.float64),),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
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
    return bytes(program.model_proto.SerializeToString())


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
