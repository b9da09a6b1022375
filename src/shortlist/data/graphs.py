"""Runs an ONNX graph of one input and one output."""

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray


def run_graph(graph: bytes) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Make a function of a graph.

    Args:
        graph: an ONNX model with input ``x`` and output ``y``.

    Returns:
        A function from (n, width) float64 to the graph's float64 output.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # small products; the caller's BLAS has the cores
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(session.run(["y"], {"x": x})[0], np.float64)

    return run
