"""Runs ONNX graphs of one output."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_graph(graph: bytes) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Make a function of a graph.

    Args:
        graph: an ONNX model with input ``x`` and output ``y``.

    Returns:
        A function from (n, width) float64 to the graph's float64 output.
    """
    run = run_named(graph)
    return lambda x: np.asarray(run({"x": x}), np.float64)


def run_named(
    graph: bytes,
) -> Callable[[Mapping[str, NDArray[np.generic]]], NDArray[Any]]:
    """Make a function of a graph that has several inputs.

    ONNX Runtime reports its use to Microsoft and keeps a device number in the home folder unless
    ``ORT_DISABLE_TELEMETRY`` is set before its import; here it is set to 1, unless it is set already.

    Args:
        graph: an ONNX model with output ``y``.

    Returns:
        A function from the inputs by name to the output.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # small products; the caller's BLAS has the cores
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[Any]:
        return np.asarray(session.run(["y"], dict(inputs))[0])

    return run
