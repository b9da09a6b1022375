"""Boosted trees as plain arrays, and as an ONNX graph: what answers once LightGBM has grown them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Json

_LEAF = -1


@dataclass(frozen=True, eq=False)
class Trees:
    """A sum of binary trees; nodes of all trees stand in one row of arrays.

    Attributes:
        feature: (nodes,) int32 which feature a node asks about; -1 at a leaf.
        threshold: (nodes,) float64; values up to it go left.
        left: (nodes,) int32 the node on the left; a leaf names itself.
        right: (nodes,) int32.
        value: (nodes,) float64 what a leaf adds; elsewhere the mean of what lies below.
        roots: (trees,) int32.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]

    @classmethod
    def of(cls, trees: Sequence[Json], *, share: float = 1.0) -> Self:
        """Read the trees that LightGBM's ``dump_model()["tree_info"]`` tells of.

        Args:
            trees: one dictionary per tree; numeric splits, missing values counted as 0.
            share: of each tree's answer that counts.

        Returns:
            The same trees.
        """
        nodes: list[tuple[int, float, int, int, float]] = []
        roots = [_grow(tree["tree_structure"], nodes) for tree in trees]
        feature, threshold, left, right, value = zip(*nodes, strict=True)
        return cls(
            np.array(feature, np.int32),
            np.array(threshold, np.float64),
            np.array(left, np.int32),
            np.array(right, np.int32),
            share * np.array(value, np.float64),
            np.array(roots, np.int32),
        )

    def contributions(
        self, x: NDArray[np.floating], n_features: int
    ) -> tuple[NDArray[np.float64], float]:
        """What each feature adds to the sums, step by step along the paths that the rows take.

        A step from a node to its child counts for the feature that the node asks about (Saabas,
        "Interpreting random forests", 2014).

        Args:
            x: (n, features).
            n_features: how many features there are.

        Returns:
            (n, features) whose lines sum to the trees' sum less the second number, the mean of all.
        """
        n = len(x)
        added = np.zeros(n * n_features)
        row, at = np.repeat(np.arange(n), len(self.roots)), np.tile(self.roots, n)
        while len(at):  # one level of all trees
            asked = self.feature[at] != _LEAF
            row, node = row[asked], at[asked]
            name = self.feature[node]
            goes_left = x[row, name] <= self.threshold[node]
            at = np.where(goes_left, self.left[node], self.right[node])
            step = self.value[at] - self.value[node]
            added += np.bincount(row * n_features + name, step, minlength=len(added))
        return added.reshape(n, n_features), float(self.value[self.roots].sum())

    def graph(self, n_features: int) -> bytes:
        """The trees as an ONNX graph; needs the package onnx.

        Args:
            n_features: width of the input.

        Returns:
            The bytes of a model with input ``x`` (n, n_features) float64 and output ``y`` (n, 1).
        """
        from onnx import TensorProto, helper, numpy_helper

        tree = np.searchsorted(self.roots, np.arange(len(self.feature)), side="right") - 1
        number = np.arange(len(self.feature)) - self.roots[tree]  # within its tree
        leaf = self.feature == _LEAF
        node = helper.make_node(
            "TreeEnsembleRegressor",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            n_targets=1,
            nodes_treeids=tree.tolist(),
            nodes_nodeids=number.tolist(),
            nodes_featureids=np.where(leaf, 0, self.feature).tolist(),
            nodes_modes=["LEAF" if one else "BRANCH_LEQ" for one in leaf],
            nodes_truenodeids=np.where(leaf, 0, self.left - self.roots[tree]).tolist(),
            nodes_falsenodeids=np.where(leaf, 0, self.right - self.roots[tree]).tolist(),
            # as float64: thresholds between two float32 numbers must not move
            nodes_values_as_tensor=numpy_helper.from_array(self.threshold, "thresholds"),
            target_treeids=tree[leaf].tolist(),
            target_nodeids=number[leaf].tolist(),
            target_ids=[0] * int(leaf.sum()),
            target_weights_as_tensor=numpy_helper.from_array(self.value[leaf], "leaves"),
        )
        lines = helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, n_features])
        sums = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
        model = helper.make_model(
            helper.make_graph([node], "trees", [lines], [sums]),
            opset_imports=[helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)],
            ir_version=8,
        )
        return bytes(model.SerializeToString())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name.

        Returns:
            For :meth:`from_arrays`.
        """
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild.

        Args:
            arrays: among others what :meth:`arrays` gave.

        Returns:
            The same trees.
        """
        return cls(**{name: np.asarray(arrays[name]) for name in cls.__dataclass_fields__})


def _grow(tree: Json, nodes: list[tuple[int, float, int, int, float]]) -> int:
    # appends a node and what lies below it, and gives its number
    at = len(nodes)
    if "split_feature" not in tree:
        nodes.append((_LEAF, 0.0, at, at, float(tree["leaf_value"])))
        return at
    nodes.append((0, 0.0, 0, 0, 0.0))
    left, right = _grow(tree["left_child"], nodes), _grow(tree["right_child"], nodes)
    mean = float(tree["internal_value"])
    nodes[at] = (int(tree["split_feature"]), float(tree["threshold"]), left, right, mean)
    return at
