"""Two public protocols, so that existing clients work: Open Inference Protocol v2, and the REST form of TensorFlow Serving."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from shortlist.serving.asking import Question, Reply
from shortlist.serving.binary import answered, raw_parts, read
from shortlist.serving.http import Request, Response, Route, ok
from shortlist.serving.refusals import Refused
from shortlist.serving.service import Service
from shortlist.serving.tensors import (
    MOST,
    InferAnswer,
    InferRequest,
    ModelMetadata,
    ModelReady,
    PredictAnswer,
    PredictRequest,
    Ready,
    ServerLive,
    ServerMetadata,
    Tensor,
    TensorKind,
)


class Inference:
    """Answers of these routes.

    Args:
        service: behind them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> tuple[Route, ...]:
        """All of them.

        Returns:
            Routes.
        """
        return (
            Route("GET", "/v2", self.server, "The server", scope=None, answer=ServerMetadata),
            Route("GET", "/v2/health/live", self.live, "Lives", scope=None, answer=ServerLive),
            Route("GET", "/v2/health/ready", self.ready, "Is ready", scope=None, answer=Ready),
            *self._of_model(""),
            *self._of_model("/versions/{version}"),
        )

    def _of_model(self, version: str) -> tuple[Route, ...]:
        model, old = f"/v2/models/{{model}}{version}", f"/v1/models/{{model}}{version}"
        return (
            Route("GET", model, self.model, "The model", answer=ModelMetadata, refuses=(404,)),
            Route("GET", f"{model}/ready", self.model_ready, "Is ready", answer=ModelReady,
                  refuses=(404,)),
            Route("POST", f"{model}/infer", self.infer, "Shortlists, Open Inference Protocol v2",
                  body=InferRequest, answer=InferAnswer, refuses=(404,)),
            Route("GET", old, self.status, "The model's state", answer=dict[str, Any],
                  refuses=(404,)),
            Route("GET", f"{old}/metadata", self.metadata, "The model's signature",
                  answer=dict[str, Any], refuses=(404,)),
            Route("POST", f"{old}:predict", self.predict, "Shortlists, TensorFlow Serving's form",
                  body=PredictRequest, answer=PredictAnswer, refuses=(404,)),
        )  # fmt: skip

    async def server(self, _: Request) -> Response:
        """What serves.

        Returns:
            ServerMetadata.
        """
        extensions = ["binary_tensor_data"]
        return ok(ServerMetadata("shortlist", self._service.package, extensions))

    async def live(self, _: Request) -> Response:
        """Lives.

        Returns:
            ServerLive.
        """
        return ok(ServerLive(live=True))

    async def ready(self, _: Request) -> Response:
        """Is ready.

        Returns:
            Ready.
        """
        return ok(Ready(ready=self._service.ready))

    async def model(self, request: Request) -> Response:
        """What the model reads and answers.

        Args:
            request: its path names the model, and perhaps its version.

        Returns:
            ModelMetadata.
        """
        name = self._named(request)
        return ok(
            ModelMetadata(
                name,
                [self._service.running.version],
                "shortlist",
                [TensorKind("user_id", "BYTES", [-1]), TensorKind("k", "INT64", [1])],
                [
                    TensorKind("item_id", "BYTES", [-1, -1]),
                    TensorKind("score", "FP32", [-1, -1]),
                ],
            )
        )

    async def model_ready(self, request: Request) -> Response:
        """Is ready.

        Args:
            request: its path names the model, and perhaps its version.

        Returns:
            ModelReady.
        """
        return ok(ModelReady(self._named(request), self._service.ready))

    async def infer(self, request: Request, asked: InferRequest) -> Response:
        """Shortlists as tensors.

        Args:
            request: its path names the model, and perhaps its version.
            asked: the body.

        Returns:
            InferAnswer.

        Raises:
            Refused: the tensors are not as described.
        """
        name, given = self._named(request), {one.name: one for one in asked.inputs}
        if asked.model_name not in (name, UNSET):
            raise Refused(422, "invalid_request", "model_name must be that of the path")
        if set(given) not in ({"user_id"}, {"user_id", "k"}) or len(given) < len(asked.inputs):
            raise Refused(422, "invalid_request", "inputs are user_id, and k if wanted")
        raw = dict(zip(given, raw_parts(asked.inputs, request.rest), strict=True))
        users = _flat(given["user_id"], raw["user_id"], "BYTES", MOST)
        k = _flat(given["k"], raw["k"], "INT64", 1)[0] if "k" in given else 10
        replies = await self._asked([{"user_id": one, "k": k} for one in users])
        rows = [[str(reply.running.item_ids[row]) for row in reply.rows] for reply in replies]
        shape = [len(replies), max((len(row) for row in rows), default=0)]
        ids = [one for row in rows for one in [*row, *[""] * (shape[1] - len(row))]]
        scores = [
            one
            for reply in replies
            for one in [*reply.scores, *[0.0] * (shape[1] - len(reply.scores))]
        ]
        outputs = [
            Tensor(name="item_id", shape=shape, datatype="BYTES", data=ids),
            Tensor(name="score", shape=shape, datatype="FP32", data=scores),
        ]
        binary = _binary(asked)
        outputs = [one for one in outputs if one.name in binary]
        answer = InferAnswer(
            model_name=name,
            model_version=replies[0].running.version if replies else "",
            id=asked.id,
            outputs=outputs,
        )
        return answered(answer, [binary[one.name] for one in outputs])

    async def status(self, request: Request) -> Response:
        """The model's state.

        Args:
            request: its path names the model, and perhaps its version.

        Returns:
            As TensorFlow Serving says it.
        """
        self._named(request)
        state = {
            "version": str(int(self._service.running.version)),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return ok({"model_version_status": [state]})

    async def metadata(self, request: Request) -> Response:
        """The model's signature.

        Args:
            request: its path names the model, and perhaps its version.

        Returns:
            As TensorFlow Serving says it.
        """
        name = self._named(request)
        signature = {
            "inputs": {"user_id": _kind("DT_STRING", [-1]), "k": _kind("DT_INT64", [])},
            "outputs": {
                "item_ids": _kind("DT_STRING", [-1, -1]),
                "scores": _kind("DT_FLOAT", [-1, -1]),
            },
            "method_name": "tensorflow/serving/predict",
        }
        return ok(
            {
                "model_spec": {
                    "name": name,
                    "version": str(int(self._service.running.version)),
                },
                "metadata": {
                    "signature_def": {"signature_def": {"serving_default": signature}}
                },
            }
        )

    async def predict(self, request: Request, asked: PredictRequest) -> Response:
        """Shortlists by row, or by column.

        Args:
            request: its path names the model, and perhaps its version.
            asked: the body.

        Returns:
            PredictAnswer.

        Raises:
            Refused: there are no instances, or not as described; or another signature is named.
        """
        self._named(request)
        if asked.signature_name not in ("serving_default", "", UNSET):
            words = "there is no such signature; signature_name is serving_default, or left out"
            raise Refused(400, "unknown_signature", words)
        if asked.instances is not UNSET and asked.inputs is not UNSET:
            raise Refused(400, "invalid_request", "give either instances or inputs, not both")
        columns = asked.instances is UNSET
        instances = _of_columns(asked.inputs) if columns else asked.instances
        if isinstance(instances, UnsetType) or not instances:
            raise Refused(
                422, "invalid_request", "give instances: ids, or objects with user_id and k"
            )
        replies = await self._asked(
            [one if isinstance(one, dict) else {"user_id": one} for one in instances]
        )
        rows = [
            {
                "item_ids": [str(reply.running.item_ids[row]) for row in reply.rows],
                "scores": reply.scores,
            }
            for reply in replies
        ]
        if not columns:
            return ok(PredictAnswer(predictions=rows))
        named = {name: [row[name] for row in rows] for name in ("item_ids", "scores")}
        return ok(PredictAnswer(outputs=named))

    async def _asked(self, instances: Sequence[Mapping[str, Any]]) -> list[Reply]:
        import asyncio

        questions = [_question(one) for one in instances]
        replies = await asyncio.gather(*map(self._service.recommend, questions))
        for reply in replies:
            self._service.listed(reply)
        return replies

    def _named(self, request: Request) -> str:
        if request.parameters["model"] != self._service.settings.model_name:
            raise Refused(404, "unknown_model", "no model has that name; GET /version tells it")
        version, running = request.parameters.get("version"), self._service.running.version
        if version is not None and version.lstrip("0") != running.lstrip("0"):  # 1 is 0001
            words = "that version does not answer; the model's path tells the one that does"
            raise Refused(404, "unknown_version", words)
        return self._service.settings.model_name


def _question(instance: Mapping[str, Any]) -> Question:
    user_id, k = instance.get("user_id"), instance.get("k", 10)
    good = isinstance(user_id, str | int) and not isinstance(user_id, bool)
    if not good or not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= 1000:
        raise Refused(
            422,
            "invalid_request",
            "user_id is text or a whole number, k a number from 1 to 1000",
        )
    if set(instance) - {"user_id", "k"} or len(str(user_id)) > 256:
        raise Refused(
            422, "invalid_request", "an instance has user_id, in 256 characters, and k"
        )
    return Question(user_id=user_id, k=k)


def _of_columns(inputs: Any) -> list[Any]:
    if isinstance(inputs, dict):
        users, k = inputs.get("user_id"), inputs.get("k", 10)
        if not isinstance(users, list) or set(inputs) - {"user_id", "k"}:
            raise Refused(
                422,
                "invalid_request",
                "inputs are a list of ids, or an object with user_id (a list) and k",
            )
        inputs = [{"user_id": one, "k": k} for one in users]
    if not isinstance(inputs, list) or len(inputs) > MOST:
        raise Refused(422, "invalid_request", f"inputs are a list of at most {MOST} ids")
    return inputs


def _flat(tensor: Tensor, raw: bytes | None, datatype: str, most: int) -> list[Any]:
    words = f"{tensor.name} must be {datatype}, as long as its shape says, at most {most}"
    size = math.prod(tensor.shape)
    if tensor.datatype != datatype or not 1 <= size <= most:
        raise Refused(422, "invalid_request", words)
    if raw is not None:
        return read(datatype, raw, size)
    data = tensor.data or []
    while data and all(isinstance(one, list) for one in data):
        data = [inner for one in data for inner in one]
    if len(data) != size:
        raise Refused(422, "invalid_request", words)
    return data


def _binary(asked: InferRequest) -> dict[str, bool]:
    # the outputs to answer, and whether as bytes
    every = asked.parameters is not UNSET and asked.parameters.binary_data_output
    if not asked.outputs:
        return dict.fromkeys(("item_id", "score"), every)
    said = {
        one.name: UNSET if one.parameters is UNSET else one.parameters.binary_data
        for one in asked.outputs
    }
    return {name: every if own is UNSET else own for name, own in said.items()}


def _kind(dtype: str, shape: Sequence[int]) -> dict[str, Any]:
    sides = [{"size": str(side), "name": ""} for side in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": sides, "unknown_rank": False}, "name": ""}
