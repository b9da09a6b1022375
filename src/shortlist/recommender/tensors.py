"""Arrays of a safetensors file, memory-mapped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import BundleError

_KINDS = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "BOOL": np.bool_,
}


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
    data = np.memmap(file, np.uint8, mode="r")
    try:
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
