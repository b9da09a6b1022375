"""Tensors as bytes: what the Open Inference Protocol calls the extension ``binary_tensor_data``.

The body is the JSON, then the raw tensors in the JSON's order; a header tells how long the JSON is, and
``binary_data_size`` how long each tensor. Numbers are little-endian without gaps; an element of BYTES is its
length, four bytes, and then itself.
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from shortlist.serving.http import Response, ok
from shortlist.serving.refusals import Refused
from shortlist.serving.tensors import InferAnswer, Tensor, TensorParameters

HEADER = b"inference-header-content-length"
_NUMBERS = {"INT64": "<i8", "FP32": "<f4"}
_LENGTH = struct.Struct("<I")
_UNLIKE = "the bytes of a tensor must be as many as its datatype and its shape say"


def parted(body: bytes, told: bytes | None) -> tuple[bytes, bytes]:
    """Divide a body into its JSON and the tensors behind it.

    Args:
        body: bytes.
        told: the header; None where it was not sent, and all is JSON.

    Returns:
        The JSON, and the rest.

    Raises:
        Refused: the header is no length, or longer than the body.
    """
    if told is None:
        return body, b""
    if not told.isdigit() or len(told) > 12 or int(told) > len(body):
        words = "Inference-Header-Content-Length must be the length of the JSON that the body starts with"
        raise Refused(400, "bad_tensor", words)
    return body[: int(told)], body[int(told) :]


def raw_parts(tensors: Sequence[Tensor], rest: bytes) -> list[bytes | None]:
    """Give each tensor its bytes.

    Args:
        tensors: as the JSON has them.
        rest: what follows the JSON.

    Returns:
        For each, its bytes; None where its data stand in the JSON.

    Raises:
        Refused: a tensor has both or neither, or the sizes are not those of the rest.
    """
    parts, at = list[bytes | None](), 0
    for one in tensors:
        size = UNSET if one.parameters is UNSET else one.parameters.binary_data_size
        if (size is UNSET) == (one.data is UNSET):
            words = "a tensor has either data, or binary_data_size among its parameters"
            raise Refused(400, "bad_tensor", words)
        parts.append(None if size is UNSET else rest[at : at + size])
        at += 0 if size is UNSET else size
    if at != len(rest):
        words = "each binary_data_size must be that of its tensor, and Inference-Header-Content-Length that of the JSON before them"
        raise Refused(400, "bad_tensor", words)
    return parts


def read(datatype: str, raw: bytes, count: int) -> list[Any]:
    """Read a tensor.

    Args:
        datatype: BYTES, INT64 or FP32.
        raw: its bytes.
        count: how many elements it must have.

    Returns:
        (count,) texts or numbers.

    Raises:
        Refused: it has more or fewer, or a text that is no UTF-8.
    """
    if datatype != "BYTES":
        kind = np.dtype(_NUMBERS[datatype])
        if len(raw) != count * kind.itemsize:
            raise Refused(422, "bad_tensor", _UNLIKE)
        return list(np.frombuffer(raw, kind).tolist())
    texts, at = list[bytes](), 0
    while at + _LENGTH.size <= len(raw) and len(texts) < count:
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(raw, at)[0]
        texts.append(raw[start:at])
    if at != len(raw) or len(texts) != count:
        raise Refused(422, "bad_tensor", _UNLIKE)
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError:
        raise Refused(422, "bad_tensor", "BYTES must be text in UTF-8") from None


def written(datatype: str, data: Sequence[Any]) -> bytes:
    """Write a tensor.

    Args:
        datatype: BYTES, INT64 or FP32.
        data: (n,) texts or numbers.

    Returns:
        Its bytes.
    """
    if datatype != "BYTES":
        return np.array(data, _NUMBERS[datatype]).tobytes()
    texts = [text.encode() for text in data]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def answered(answer: InferAnswer, binary: Sequence[bool]) -> Response:
    """An answer with some of its tensors as bytes.

    Args:
        answer: with all data.
        binary: for each output, whether it goes as bytes.

    Returns:
        A Response; in JSON alone where no output does.
    """
    if not any(binary):
        return ok(answer)
    outputs, parts = [], []
    for one, wanted in zip(answer.outputs, binary, strict=True):
        if wanted and one.data is not UNSET:
            parts.append(written(one.datatype, one.data))
            size = TensorParameters(binary_data_size=len(parts[-1]))
            one = msgspec.structs.replace(one, data=UNSET, parameters=size)
        outputs.append(one)
    text = ok(msgspec.structs.replace(answer, outputs=outputs)).body
    headers = [(HEADER, b"%d" % len(text))]
    return Response(b"".join([text, *parts]), kind="application/octet-stream", headers=headers)
