"""The types of the two public protocols."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

MOST = 256  # askers in one request


def is_protocol(path: str) -> bool:
    """Whether a path belongs to one of the two.

    Args:
        path: of a request, or of a route.

    Returns:
        True or False.
    """
    return path.startswith(("/v1/", "/v2/"))


class TensorParameters(Struct, kw_only=True, forbid_unknown_fields=True):
    """What else is said of a tensor: its bytes, where they follow the JSON; a client's own word for its kind."""

    binary_data_size: Annotated[int, Meta(ge=0, le=2**40)] | UnsetType = UNSET
    content_type: str | UnsetType = UNSET


class WantedParameters(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a tensor shall be answered: as bytes, or in the JSON; without a word, as the request says."""

    binary_data: bool | UnsetType = UNSET


class InferParameters(Struct, kw_only=True, forbid_unknown_fields=True):
    """How all tensors shall be answered: as bytes, or in the JSON; a client's own word for their kind."""

    binary_data_output: bool = False
    content_type: str | UnsetType = UNSET


class Tensor(Struct, kw_only=True, forbid_unknown_fields=True):
    """A named array: ``user_id`` (BYTES) and ``k`` (INT64) go in, ``item_id`` and ``score`` come out.

    Without ``data``, its bytes follow the JSON.
    """

    name: Annotated[str, Meta(max_length=64)]
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=1_000_000)]], Meta(max_length=8)]
    datatype: Annotated[str, Meta(max_length=16)]
    data: Annotated[list[Any], Meta(max_length=300_000)] | UnsetType = UNSET
    parameters: TensorParameters | UnsetType = UNSET


class Wanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tensor that shall be answered."""

    name: Literal["item_id", "score"]
    parameters: WantedParameters | UnsetType = UNSET


class ProtocolFailure(Struct):
    """The body of what is no success, as both protocols have it: the reason alone."""

    error: str


class InferRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request of the Open Inference Protocol; without ``outputs``, all are answered.

    ``model_name`` may be said again; it is that of the path.
    """

    inputs: Annotated[list[Tensor], Meta(min_length=1, max_length=8)]
    id: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    model_name: str | UnsetType = UNSET
    parameters: InferParameters | UnsetType = UNSET
    outputs: Annotated[list[Wanted], Meta(max_length=8)] | UnsetType = UNSET


class InferAnswer(Struct, kw_only=True):
    """An answer of the Open Inference Protocol; empty places have the id ``""`` and the score 0."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str | UnsetType = UNSET


class TensorKind(Struct):
    """What a tensor holds; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct):
    """What a model reads and answers."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class ServerMetadata(Struct):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(Struct):
    """Whether the server lives."""

    live: bool


class Ready(Struct):
    """Whether something is ready."""

    ready: bool


class ModelReady(Struct):
    """Whether a model is ready."""

    name: str
    ready: bool


class PredictRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request of TensorFlow Serving: ``instances`` are ids, or objects with ``user_id`` and ``k``."""

    instances: Annotated[list[Any], Meta(max_length=MOST)] | UnsetType = UNSET
    inputs: Any = UNSET
    signature_name: str | UnsetType = UNSET


class PredictAnswer(Struct, kw_only=True):
    """An answer of TensorFlow Serving: ``predictions`` by row, or ``outputs`` by column."""

    predictions: list[dict[str, Any]] | UnsetType = UNSET
    outputs: dict[str, Any] | UnsetType = UNSET
