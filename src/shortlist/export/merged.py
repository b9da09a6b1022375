"""Another graph's nodes inside the one that grows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from shortlist.errors import ExportError
from shortlist.export.net import OPSET, Net


def merged(net: Net, graph: bytes, inputs: Mapping[str, str], *, single: bool = True) -> str:
    """The nodes of another graph.

    Args:
        net: that grows.
        graph: an ONNX model with output ``y``, in float32 or float64.
        inputs: its inputs -> values of this graph.
        single: whether it becomes one of float32; else it stays as it is.

    Returns:
        The name of its output.

    Raises:
        ExportError: it is of another version of ONNX's operators, or has functions of its own.
    """
    model = onnx.load_from_string(graph)
    version = next(one.version for one in model.opset_import if one.domain == "")
    if version > OPSET or model.functions:
        msg = f"a graph in the bundle is of opset {version}, or has functions; this export reads plain graphs up to opset {OPSET}. Train the model again with this version"
        raise ExportError(msg)
    prefix = net.fresh("merged")
    named = dict(inputs)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        real = single and np.issubdtype(value.dtype, np.floating)
        named[tensor.name] = net.learned(value) if real else net.constant(value)
    for node in model.graph.node:
        for result in node.output:
            named[result] = f"{prefix}.{result}" if result else ""
        node.input[:] = [named.get(one, one) for one in node.input]
        node.output[:] = [named[one] for one in node.output]
        if single:
            _in_single(node)
        net.add(node)
    return named["y"]


def _in_single(node: Any) -> None:
    # what a node makes or turns into float64 becomes float32
    for attribute in node.attribute:
        if attribute.name in {"to", "dtype"} and attribute.i == TensorProto.DOUBLE:
            attribute.i = TensorProto.FLOAT
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.DOUBLE:
            value = numpy_helper.to_array(attribute.t).astype(np.float32)
            attribute.t.CopyFrom(numpy_helper.from_array(value))
