"""Runs an ONNX graph of one input and one output."""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def run_graph(graph: bytes) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Make a function of a graph.

    ONNX Runtime reports its use to Microsoft and keeps a device number in the home folder unless
    ``ORT_DISABLE_TELEMETRY`` is set before its import; here it is set to 1, unless it is set already.

    Args:
        graph: an ONNX model with input ``x`` and output ``y``.

    Returns:
        A function from (n, width) float64 to the graph's float64 output.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # small products; the caller's BLAS has the cores
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(session.run(["y"], {"x": x})[0], np.float64)

    return run
