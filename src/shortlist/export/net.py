"""An ONNX graph that grows node by node."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Json
from shortlist.errors import ExportError, MissingExtraError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    _missing = "writing ONNX needs onnx: pip install 'shortlist[export]'"
    raise MissingExtraError(_missing) from None

OPSET, OPSET_ML, IR = 20, 3, 10
_KINDS = {
    "string": TensorProto.STRING,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "bool": TensorProto.BOOL,
}
_LIMIT = 2 << 30  # bytes, of a protocol buffer


class Net:
    """Nodes and numbers of one graph.

    Args:
        weights: how learned numbers are stored until the file is opened; int8 has a scale per line.

    Attributes:
        bytes_each: of a learned number.
        approximations: what was left out to make the file small, in words.
    """

    def __init__(self, weights: str = "float32") -> None:
        self._stored = weights
        self.bytes_each = {"float32": 4, "float16": 2, "int8": 1}[weights]
        self.approximations: list[str] = []
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: dict[str, tuple[str, Sequence[str | int]]] = {}
        self._outputs: dict[str, tuple[str, Sequence[str | int]]] = {}
        self._count = 0

    def input(self, name: str, kind: str, *shape: str | int) -> str:
        """Declare an input.

        Args:
            name: of the input.
            kind: ``"string"`` or ``"int64"``.
            *shape: sizes, or names of sizes that vary.

        Returns:
            The name.
        """
        self._inputs[name] = (kind, shape)
        return name

    def output(self, name: str, value: str, kind: str, *shape: str | int) -> None:
        """Declare an output.

        Args:
            name: of the output.
            value: what it is.
            kind: such as ``"float32"``.
            *shape: sizes, or names of sizes that vary.
        """
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs[name] = (kind, shape)

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output.

        Args:
            kind: of the operator.
            *inputs: names of values.
            domain: of the operator.
            **attributes: of the node.

        Returns:
            The name of its output.
        """
        return self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node of several outputs.

        Args:
            kind: of the operator.
            *inputs: names of values.
            outputs: how many.
            domain: of the operator.
            **attributes: of the node.

        Returns:
            The names of its outputs.
        """
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, domain=domain, **attributes)
        self._nodes.append(node)
        return names

    def cast(self, value: str, kind: str) -> str:
        """Values as another kind.

        Args:
            value: of any shape.
            kind: such as ``"float32"``.

        Returns:
            The same shape.
        """
        return self.op("Cast", value, to=_KINDS[kind])

    def zeros(self, shape: str, kind: type[np.generic]) -> str:
        """Zeros of a shape that varies.

        Args:
            shape: (d,) int64.
            kind: of numpy.

        Returns:
            The name of the zeros.
        """
        zero = numpy_helper.from_array(np.zeros(1, kind))
        return self.op("ConstantOfShape", shape, value=zero)

    def scalar(self, value: str) -> str:
        """One number without a shape.

        Args:
            value: (1,).

        Returns:
            The name of it, ().
        """
        return self.op("Reshape", value, self.constant(np.empty(0, np.int64)))

    def count(self, stop: str) -> str:
        """The numbers 0, 1, ... below one.

        Args:
            stop: (1,) int64.

        Returns:
            (stop,) int64.
        """
        zero, one = (self.constant(np.array(value, np.int64)) for value in (0, 1))
        return self.op("Range", zero, self.scalar(stop), one)

    def ints(self, *values: int) -> str:
        """A constant line of whole numbers.

        Args:
            *values: the numbers.

        Returns:
            Its name; (len(values),) int64.
        """
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A constant number.

        Args:
            value: the number.

        Returns:
            Its name; () float32.
        """
        return self.constant(np.array(value, np.float32))

    def constant(self, value: NDArray[Any]) -> str:
        """Numbers or booleans that are kept as they are.

        Args:
            value: an array.

        Returns:
            Its name.
        """
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            name = self.fresh("constant")
            self._tensors.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
            self._known[key] = name
        return self._known[key]

    def words(self, values: Sequence[str]) -> str:
        """Constant texts.

        Args:
            values: n texts.

        Returns:
            Their name; (n,) string.
        """
        name = self.fresh("words")
        self._tensors.append(numpy_helper.from_array(np.array(values, object), name))
        return name

    def learned(self, value: NDArray[np.floating[Any]]) -> str:
        """Learned numbers, stored as the file's weights are.

        Args:
            value: an array.

        Returns:
            The name of the same in float32.
        """
        exact = np.asarray(value, np.float32, order="C")
        if self._stored == "float32" or exact.ndim < 2:
            return self.constant(exact)
        if self._stored == "float16":
            largest = float(np.finfo(np.float16).max)
            small = self.constant(np.clip(exact, -largest, largest).astype(np.float16))
            return self.cast(small, "float32")
        scale = np.abs(exact).max(axis=-1, keepdims=True, initial=0.0) / 127
        scale[scale == 0] = 1.0
        steps = self.constant(np.rint(exact / scale).astype(np.int8))
        lines = self.constant(scale.astype(np.float32))
        return self.op("Mul", self.cast(steps, "float32"), lines)

    def lookup(self, texts: str, ids: Sequence[str]) -> str:
        """Rows of ids.

        Args:
            texts: ids asked for, of any shape.
            ids: n known ids.

        Returns:
            The name of int64 rows; n where the id is not known.
        """
        if not ids:
            return self.op("Expand", self.ints(0), self.op("Shape", texts))
        return self.op(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(ids),
            values_int64s=list(range(len(ids))),
            default_int64=len(ids),
        )

    def when(
        self, condition: str, then: Callable[[], list[str]], other: Callable[[], list[str]]
    ) -> list[str]:
        """Values of which one of two kinds is computed.

        Args:
            condition: () bool.
            then: adds the nodes of the values where it is true.
            other: adds those where it is not.

        Returns:
            The values' names.
        """
        outer, branches, count = self._nodes, {}, 0
        for name, build in (("then_branch", then), ("else_branch", other)):
            self._nodes = []
            results = [self.op("Identity", one) for one in build()]
            count = len(results)
            told = [onnx.ValueInfoProto(name=one) for one in results]
            branches[name] = helper.make_graph(self._nodes, name, [], told)
        self._nodes = outer
        return self.ops("If", condition, outputs=count, **branches)

    def add(self, node: Any) -> None:
        """Add a node as it is.

        Args:
            node: an ONNX node over values of this graph.
        """
        self._nodes.append(node)

    def model(self, about: Mapping[str, Json]) -> bytes:
        """The finished file.

        Args:
            about: what is kept beside the graph, as JSON.

        Returns:
            Bytes of an ONNX model.

        Raises:
            ExportError: it is too large for one file.
        """

        def values(declared: Mapping[str, tuple[str, Sequence[str | int]]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, _KINDS[kind], list(shape))
                for name, (kind, shape) in declared.items()
            ]

        graph = helper.make_graph(
            self._nodes,
            "shortlist",
            values(self._inputs),
            values(self._outputs),
            self._tensors,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR, producer_name="shortlist"
        )
        helper.set_model_props(
            model, {f"shortlist.{name}": json.dumps(one) for name, one in about.items()}
        )
        if model.ByteSize() >= _LIMIT:
            msg = f"the file would have {model.ByteSize() / 1e9:.1f} GB; ONNX files end at 2 GB. Export with weights int8, or --part user and keep the items in an index"
            raise ExportError(msg)
        return bytes(model.SerializeToString())

    def described(self) -> tuple[dict[str, str], dict[str, str]]:
        """Inputs and outputs in words.

        Returns:
            Name -> type and shape, of the inputs and of the outputs.
        """
        told = [
            {
                name: f"{kind} ({', '.join(map(str, shape))})"
                for name, (kind, shape) in declared.items()
            }
            for declared in (self._inputs, self._outputs)
        ]
        return told[0], told[1]

    def fresh(self, stem: str) -> str:
        """A name that no value has.

        Args:
            stem: its beginning.

        Returns:
            The name.
        """
        self._count += 1
        return f"{stem}_{self._count}"
