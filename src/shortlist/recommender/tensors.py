"""Arrays as a safetensors file, and memory-mapped from one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from shortlist.errors import BundleError

_KINDS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def tensor_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of a file.

    Args:
        arrays: by name.

    Returns:
        Bytes in the safetensors format.

    Raises:
        BundleError: an array is of a kind that could not be read again.
    """
    for name, array in arrays.items():
        if array.dtype.newbyteorder("=") not in [np.dtype(kind) for kind in _KINDS.values()]:
            msg = f"array {name!r} holds {array.dtype}; a bundle holds {sorted(_KINDS)}"
            raise BundleError(msg)
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_tensors(file: Path) -> dict[str, NDArray[Any]]:
    """Map a file; nothing is read before it is used, and workers share the pages.

    Args:
        file: in the safetensors format: eight bytes with the header's length, the header (JSON),
            the numbers.

    Returns:
        Read-only arrays by name.

    Raises:
        BundleError: the header does not fit the file.
    """
    try:
        data = np.asarray(np.memmap(file, np.uint8, mode="r"))  # plain arrays over the mapping
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        header = json.loads(data[8:start].tobytes())
        header.pop("__metadata__", None)
        arrays = {}
        for name, one in header.items():
            first, last = one["data_offsets"]
            arrays[name] = (
                data[start + first : start + last]
                .view(_KINDS[one["dtype"]])
                .reshape(one["shape"])
            )
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{file} is not a whole safetensors file ({error}). Restore it, or save the model again"
        raise BundleError(msg) from error
    return arrays
