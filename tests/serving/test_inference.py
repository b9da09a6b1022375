"""The two public protocols, as their clients speak them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client, PublicClient


def _infer(**changed: Any) -> dict[str, Any]:
    users = {"name": "user_id", "shape": [2], "datatype": "BYTES", "data": ["u1", "nobody"]}
    return {"id": "mine", "inputs": [{**users, **changed}]}


def test_open_inference_answers_with_tensors(client: Client, fitted: sl.Recommender) -> None:
    assert client.get("/v2")["name"] == "shortlist"
    assert client.get("/v2/health/live") == {"live": True}
    assert client.get("/v2/health/ready") == {"ready": True}
    assert client.get("/v2/models/toys")["inputs"][0]["datatype"] == "BYTES"
    assert client.get("/v2/models/toys/ready")["ready"]
    body = _infer()
    body["inputs"].append({"name": "k", "shape": [1], "datatype": "INT64", "data": [3]})
    told = client.post("/v2/models/toys/infer", body)
    ids, scores = told["outputs"]
    want = fitted.recommend(users=["u1", "nobody"], k=3)
    assert told["id"] == "mine"
    assert (ids["shape"], ids["datatype"]) == ([2, 3], "BYTES")
    assert ids["data"] == want["item_id"].to_list()
    assert scores["data"] == pytest.approx(want["score"].to_list())


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [3]},
        {"shape": []},
        {"datatype": "FP32"},
        {"odd": 1},
        {"name": "other"},
        {"data": ["u1", True]},
        {"data": [["u1"], "u2"]},
        {"shape": [0], "data": []},
        {"shape": [1000], "data": ["u"] * 1000},
    ],
)
def test_tensors_that_are_not_as_described_are_refused(
    client: Client, changed: dict[str, Any]
) -> None:
    assert client.ask("POST", "/v2/models/toys/infer", _infer(**changed)).status == 422


def test_their_shortlists_are_counted_as_those_of_recommend(client: Client) -> None:
    users = ["u1", "nobody"]  # the fallback answers nobody
    plain = [client.post("/recommend", {"user_id": user, "k": 10}) for user in users]
    counted = client.service.metrics.answers.copy()
    shown = client.service.metrics.shown.copy()
    assert counted == {("champion", "0001", False): 1, ("champion", "0001", True): 1}
    assert shown.total() == sum(len(one["recommendations"]) for one in plain)
    client.post("/v1/models/toys:predict", {"instances": users})
    client.post("/v2/models/toys/infer", _infer())
    assert client.service.metrics.answers == {one: 3 * n for one, n in counted.items()}
    assert client.service.metrics.shown == {one: 3 * n for one, n in shown.items()}
    client.ask("POST", "/v1/models/toys:predict", {"instances": ["u1", {"user_id": []}]})
    assert client.service.metrics.answers.total() == 6  # what is refused shows nothing


def test_a_verb_is_no_part_of_a_models_name(client: Client) -> None:
    for there in ("/v1/models/toys:predict", "/v1/models/toys/versions/1:predict"):
        assert client.ask("OPTIONS", there).headers["allow"] == "POST"
        assert client.ask("GET", there).status == 405
    assert client.ask("GET", "/v1/models/toys:explain").status == 404


def test_another_models_name_is_unknown(client: Client) -> None:
    assert client.ask("GET", "/v2/models/other").status == 404
    assert client.ask("POST", "/v1/models/other:predict", {"instances": ["u1"]}).status == 404


def _versioned(version: str) -> list[tuple[str, str, Any]]:
    new, old = f"/v2/models/toys/versions/{version}", f"/v1/models/toys/versions/{version}"
    return [
        ("GET", new, None),
        ("GET", f"{new}/ready", None),
        ("POST", f"{new}/infer", _infer()),
        ("GET", old, None),
        ("GET", f"{old}/metadata", None),
        ("POST", f"{old}:predict", {"instances": ["u1"]}),
    ]


@pytest.mark.parametrize("version", ["1", "0001"])
def test_the_running_version_answers_as_the_model_does(client: Client, version: str) -> None:
    paths = client.get("/openapi.json")["paths"]
    for method, path, body in _versioned(version):
        told = client.ask(method, path, body)
        assert told.status == 200, (path, told.body)
        bare = client.ask(method, path.replace(f"/versions/{version}", ""), body)
        assert told.json == bare.json
        template = path.replace("toys", "{model}").replace(f"/{version}", "/{version}")
        assert method.lower() in paths[template]


@pytest.mark.parametrize(
    "version", ["2", "0", "10", "-1", "1.0", "latest", "%D9%A1"]
)  # last: Arabic 1
def test_another_version_is_unknown(client: Client, version: str) -> None:
    for method, path, body in _versioned(version):
        told = client.ask(method, path, body)
        assert (told.status, list(told.json)) == (404, ["error"]), path


def test_a_public_client_of_the_protocol_is_answered(public_client: PublicClient) -> None:
    triton, started, asks = public_client
    assert asks.is_server_live()
    assert asks.is_server_ready()
    assert asks.is_model_ready("toys", "1")
    assert not asks.is_model_ready("toys", "2")
    assert asks.get_model_metadata("toys", "1")["inputs"][0]["name"] == "user_id"
    users = triton.InferInput("user_id", [2], "BYTES")
    users.set_data_from_numpy(np.array(["u1", "nobody"], np.object_), binary_data=False)
    k = triton.InferInput("k", [1], "INT64").set_data_from_numpy(np.array([3]), False)
    names = ("item_id", "score")
    wanted = [triton.InferRequestedOutput(one, binary_data=False) for one in names]
    told = asks.infer("toys", [users, k], "1", wanted)
    for row, user in enumerate(["u1", "nobody"]):
        items = started.ask("POST", "/recommend", {"user_id": user, "k": 3})[1][
            "recommendations"
        ]
        ids, scores = (told.as_numpy(name)[row].tolist() for name in names)
        assert ids == [one["item_id"] for one in items]
        assert scores == pytest.approx([one["score"] for one in items])


def test_a_name_said_again_is_that_of_the_path(client: Client) -> None:
    path = "/v2/models/toys/infer"
    told = client.post(path, {**_infer(), "model_name": "toys"})
    assert told == client.post(path, _infer())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/models/other/infer", _infer()),
        ("/v2/models/toys/infer", {}),
        ("/v1/models/toys:predict", {"instances": []}),
    ],
)
def test_errors_are_a_text_as_the_protocols_have_it(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    told = client.ask("POST", path, body)
    assert list(told.json) == ["error"]
    assert isinstance(told.json["error"], str)
    codes = client.get("/openapi.json")["paths"]["/v2/models/{model}/infer"]["post"][
        "responses"
    ]
    schema = codes["422"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ProtocolFailure"}


def test_only_the_outputs_asked_for_are_answered(client: Client) -> None:
    told = client.post("/v2/models/toys/infer", {**_infer(), "outputs": [{"name": "score"}]})
    assert [one["name"] for one in told["outputs"]] == ["score"]
    wrong = {**_infer(), "outputs": [{"name": "other"}]}
    assert client.ask("POST", "/v2/models/toys/infer", wrong).status == 422


def test_tensorflow_servings_form_by_row_and_by_column(
    client: Client, fitted: sl.Recommender
) -> None:
    state = client.get("/v1/models/toys")["model_version_status"][0]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    assert client.get("/v1/models/toys/metadata")["model_spec"]["name"] == "toys"
    want = fitted.recommend(user="u1", k=2)
    row = {"user_id": "u1", "k": 2}
    rows = client.post("/v1/models/toys:predict", {"instances": [row, "u2"]})["predictions"]
    assert rows[0]["item_ids"] == want["item_id"].to_list()
    assert len(rows[1]["item_ids"]) == 10
    columns = client.post("/v1/models/toys:predict", {"inputs": {"user_id": ["u1"], "k": 2}})
    assert columns["outputs"]["item_ids"] == [rows[0]["item_ids"]]


def test_ids_are_texts_as_the_signature_says_also_where_they_are_numbers(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path
) -> None:
    numbers = pl.col("item_id").str.slice(1).cast(pl.Int64)  # of i1, 1
    table = sl.Interactions(world.table.with_columns(numbers))
    sl.Recommender(sl.retrieval.Popularity()).fit(table).save(tmp_path / "n.bundle")
    client = serving(bundle=str(tmp_path / "n.bundle"))
    rows = client.post("/v1/models/n:predict", {"instances": ["u1"]})["predictions"]
    assert all(isinstance(one, str) for one in rows[0]["item_ids"])
    told = client.post("/recommend", {"user_id": "u1"})["recommendations"]
    assert rows[0]["item_ids"] == [str(one["item_id"]) for one in told]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"instances": ["u1"], "odd": 1},
        {"instances": []},
        {"instances": [{}]},
        {"inputs": 3},
        {"instances": [[1]]},
    ],
)
def test_instances_that_are_not_as_described_are_refused(
    client: Client, wrong: dict[str, Any]
) -> None:
    assert client.ask("POST", "/v1/models/toys:predict", wrong).status == 422


@pytest.mark.parametrize("name", ["serving_default", ""])
def test_the_one_signature_may_be_named(client: Client, name: str) -> None:
    body = {"instances": ["u1"]}
    named = client.post("/v1/models/toys:predict", {**body, "signature_name": name})
    assert named == client.post("/v1/models/toys:predict", body)


@pytest.mark.parametrize(
    "wrong", [{"signature_name": "other"}, {"inputs": ["u2"]}, {"inputs": None}]
)
def test_another_signature_and_two_forms_at_once_are_refused(
    client: Client, wrong: dict[str, Any]
) -> None:
    told = client.ask("POST", "/v1/models/toys:predict", {"instances": ["u1"], **wrong})
    assert (told.status, list(told.json)) == (400, ["error"])
    assert "other" not in told.json["error"]
