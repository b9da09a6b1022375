"""Tensors as bytes behind the JSON, and how the public clients ask when nothing is set for them."""

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.conftest import Client, PublicClient, Told
from serving.test_process import Process
from shortlist.serving.binary import parted, read, written
from shortlist.serving.refusals import Refused

INFER = "/v2/models/toys/infer"
# "u1" and "nobody": each its length as four bytes, the lowest first, then itself
USERS = b"\x02\x00\x00\x00u1" + b"\x06\x00\x00\x00nobody"
K = b"\x03" + b"\x00" * 7


def _asked(*, outputs: Any = None, **changed: Any) -> dict[str, Any]:
    users = {"name": "user_id", "shape": [2], "datatype": "BYTES"}
    k = {"name": "k", "shape": [1], "datatype": "INT64"}
    body: dict[str, Any] = {
        "inputs": [
            {**users, "parameters": {"binary_data_size": len(USERS)}, **changed},
            {**k, "parameters": {"binary_data_size": len(K)}},
        ]
    }
    if outputs is None:
        return {**body, "parameters": {"binary_data_output": True}}
    return {**body, "outputs": outputs}


def _send(
    client: Client, body: Any, rest: bytes = USERS + K, length: str | None = None
) -> Told:
    text = json.dumps(body).encode()
    told = {"inference-header-content-length": str(len(text)) if length is None else length}
    return client.ask("POST", INFER, raw=text + rest, headers=told)


def test_tensors_go_in_and_come_out_as_bytes(client: Client) -> None:
    body = {"inputs": [{"name": "user_id", "shape": [2], "datatype": "BYTES"}]}
    body["inputs"][0]["data"] = ["u1", "nobody"]
    body["inputs"].append({"name": "k", "shape": [1], "datatype": "INT64", "data": [3]})
    want = [one["data"] for one in client.post(INFER, body)["outputs"]]
    told = _send(client, _asked())
    length = int(told.headers["inference-header-content-length"])
    assert told.headers["content-type"] == "application/octet-stream"
    ids, scores = json.loads(told.body[:length])["outputs"]
    assert "data" not in ids
    raw = told.body[length:]
    end = ids["parameters"]["binary_data_size"]
    assert len(raw) == end + scores["parameters"]["binary_data_size"]
    assert read("BYTES", raw[:end], 6) == want[0]
    assert struct.unpack("<6f", raw[end:]) == pytest.approx(want[1])


def test_a_word_on_an_output_wins_over_the_one_on_the_request(client: Client) -> None:
    outputs = [{"name": "item_id", "parameters": {"binary_data": False}}, {"name": "score"}]
    body = {**_asked(outputs=outputs), "parameters": {"binary_data_output": True}}
    told = _send(client, body)
    length = int(told.headers["inference-header-content-length"])
    ids, scores = json.loads(told.body[:length])["outputs"]
    assert len(ids["data"]) == 6
    assert scores["parameters"] == {"binary_data_size": 24}  # 6 floats of 4 bytes
    assert len(told.body) == length + 24
    plain = _send(client, _asked(outputs=[{"name": "score"}]))
    assert plain.headers["content-type"] == "application/json"
    assert len(plain.json["outputs"][0]["data"]) == 6


def _sized(size: Any) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": size}}


@pytest.mark.parametrize(
    ("changed", "rest"),
    [
        (_sized(len(USERS) - 1), USERS + K),
        (_sized(len(USERS) + 1), USERS + K),
        (_sized(2**40), USERS + K),
        (_sized(2**63), USERS + K),
        (_sized(-1), USERS + K),
        (_sized(1.5), USERS + K),
        (_sized(True), USERS + K),
        (_sized("16"), USERS + K),
        (_sized(None), USERS + K),
        ({"parameters": {}}, USERS + K),  # neither data nor bytes
        ({"data": ["u1", "u2"]}, USERS + K),  # both
        ({"parameters": {"shared_memory_region": "x"}}, K),
        ({"shape": [1]}, USERS + K),
        ({"shape": [3]}, USERS + K),
        ({"shape": [10**6] * 8}, USERS + K),
        ({"datatype": "INT64"}, USERS + K),
        ({"datatype": "odd"}, USERS + K),
        ({}, USERS + K + b"\x00"),
        ({}, USERS + K[:-1]),
        ({}, b""),
        ({}, b"\xff\xff\xff\xff" + USERS[4:] + K),  # a length far past the end
        ({}, USERS[:-6] + b"\xff" * 6 + K),  # no UTF-8
        ({}, USERS + b"\xff" * 8),  # k is -1
    ],
)
def test_bytes_that_are_not_as_described_are_refused(
    client: Client, changed: dict[str, Any], rest: bytes
) -> None:
    told = _send(client, _asked(**changed), rest)
    assert told.status in {400, 422}
    assert list(told.json) == ["error"]


@pytest.mark.parametrize("told", ["", "-1", "+1", "1e2", "0x10", "99999", "9" * 5000, "0", "5"])
def test_a_header_that_is_no_length_of_the_json_is_refused(client: Client, told: str) -> None:
    answer = _send(client, _asked(), length=told)
    assert (answer.status, list(answer.json)) == (400, ["error"])


@pytest.mark.parametrize(
    "changed",
    [
        {"parameters": {"sequence_id": 1}},
        {"outputs": [{"name": "score", "parameters": {"classification": 2}}]},
        {"inputs": _asked()["inputs"] * 2},
        {"model_name": "other"},
        {"output": [{"name": "score"}]},
    ],
)
def test_what_would_change_the_answer_is_refused_not_ignored(
    client: Client, changed: dict[str, Any]
) -> None:
    assert _send(client, {**_asked(), **changed}).status == 422


def test_cut_or_changed_anywhere_is_refused_never_a_defect(client: Client) -> None:
    text = json.dumps(_asked()).encode()
    whole = text + USERS + K
    head = {"inference-header-content-length": str(len(text))}
    assert client.ask("POST", INFER, raw=whole, headers=head).status == 200
    for end in range(len(whole)):
        told = client.ask("POST", INFER, raw=whole[:end], headers=head)
        assert told.status in {400, 422}, end
    for start in range(len(text) + 1, len(whole)):  # the JSON is longer than told, or shorter
        head["inference-header-content-length"] = str(start)
        assert client.ask("POST", INFER, raw=whole, headers=head).status in {400, 422}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
whole_numbers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(width=32, allow_nan=False)


@given(
    st.one_of(
        st.tuples(st.just("BYTES"), st.lists(texts, max_size=8)),
        st.tuples(st.just("INT64"), st.lists(whole_numbers, max_size=8)),
        st.tuples(st.just("FP32"), st.lists(floats, max_size=8)),
    ),
    st.data(),
)
def test_what_was_written_is_read_and_what_was_cut_is_refused(
    tensor: tuple[str, list[Any]], data: st.DataObject
) -> None:
    datatype, given = tensor
    raw = written(datatype, given)
    assert read(datatype, raw, len(given)) == given
    if raw:
        cut = data.draw(st.integers(0, len(raw) - 1))
        with pytest.raises(Refused):
            read(datatype, raw[:cut], len(given))
    with pytest.raises(Refused):
        read(datatype, raw + b"\x00", len(given))


@given(st.binary(max_size=60), st.integers(0, 9), st.sampled_from(["BYTES", "INT64", "FP32"]))
def test_any_bytes_are_read_or_refused(raw: bytes, count: int, datatype: str) -> None:
    with contextlib.suppress(Refused):
        assert len(read(datatype, raw, count)) == count


@given(st.binary(max_size=40), st.one_of(st.none(), st.binary(max_size=14)))
def test_any_header_divides_the_body_or_is_refused(body: bytes, told: bytes | None) -> None:
    with contextlib.suppress(Refused):
        text, rest = parted(body, told)
        assert text + rest == body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(head=st.binary(max_size=5), rest=st.binary(max_size=40))
def test_any_bytes_behind_good_json_are_answered_or_refused(
    client: Client, head: bytes, rest: bytes
) -> None:
    body = _asked(**_sized(len(rest)))
    assert _send(client, body, rest + K).status in {200, 422}
    assert _send(client, body, head + rest + K).status in {200, 400, 422}


def test_a_public_client_is_answered_as_it_asks_by_default(public_client: PublicClient) -> None:
    triton, started, asks = public_client
    assert "binary_tensor_data" in asks.get_server_metadata()["extensions"]
    users = triton.InferInput("user_id", [2], "BYTES")
    users.set_data_from_numpy(np.array(["u1", "nobody"], np.object_))
    k = triton.InferInput("k", [1], "INT64").set_data_from_numpy(np.array([3]))
    text = triton.InferInput("user_id", [2], "BYTES")
    text.set_data_from_numpy(np.array(["u1", "nobody"], np.object_), binary_data=False)
    both = [triton.InferRequestedOutput(one) for one in ("item_id", "score")]
    items = [
        started.ask("POST", "/recommend", {"user_id": user, "k": 3})[1]["recommendations"]
        for user in ("u1", "nobody")
    ]
    for inputs, outputs in (([users, k], None), ([users, k], both), ([text, k], None)):
        told = asks.infer("toys", inputs, outputs=outputs)
        ids = told.as_numpy("item_id").astype(str).tolist()
        assert ids == [[one["item_id"] for one in row] for row in items]
        want = [[one["score"] for one in row] for row in items]
        assert told.as_numpy("score").tolist() == [pytest.approx(row) for row in want]
    with pytest.raises(triton.InferenceServerException, match="k a number"):
        asks.infer("toys", [users, k.set_data_from_numpy(np.array([0]))])
    with pytest.raises(triton.InferenceServerException, match="without content-encoding"):
        asks.infer("toys", [users], request_compression_algorithm="gzip")


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded"])
def test_the_protocols_name_no_type_of_the_body(bundle: Path, kind: str | None) -> None:
    import http.client

    started = Process(bundle, "--no-access-log")
    with started.popen, contextlib.ExitStack() as stack:
        stack.callback(started.popen.kill)
        asks = http.client.HTTPConnection("127.0.0.1", started.started["port"], timeout=20)
        stack.callback(asks.close)
        bodies = {
            "/v1/models/toys:predict": ({"instances": ["u1"]}, 200),
            "/recommend": ({"user_id": "u1"}, 415),
        }
        for path, (body, status) in bodies.items():
            headers = {} if kind is None else {"content-type": kind}
            asks.request("POST", path, json.dumps(body), headers)
            told = asks.getresponse()
            told.read()
            assert told.status == status
