"""Who is let in, how often, and what is never said."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.errors import ConfigError
from shortlist.serving.refusals import Refused
from shortlist.serving.security import Guard, read_keys
from shortlist.serving.settings import Settings, read_settings

Start = Callable[..., Client]


def _key(name: str, scope: str) -> str:
    return f"{name}:{scope}:{hashlib.sha256(name.encode()).hexdigest()}"


@pytest.fixture
def keyed(serving: Start) -> Client:
    return serving(keys=tuple(_key(scope, scope) for scope in ("read", "write", "admin")))


@pytest.mark.parametrize(
    ("key", "statuses"),
    [
        (None, (401, 401, 401)),
        ("wrong", (401, 401, 401)),
        ("read", (200, 403, 403)),
        ("write", (200, 200, 403)),
        ("admin", (200, 200, 200)),
    ],
)
def test_a_key_opens_what_its_scope_says(
    keyed: Client, key: str | None, statuses: tuple[int, ...]
) -> None:
    headers = {} if key is None else {"authorization": f"Bearer {key}", "host": "any.example"}
    asked = [
        ("/recommend", {"user_id": "u1"}),
        ("/events", {"events": [{"event": "watch", "user_id": "u1", "item_id": "i1"}]}),
        ("/admin/reload", None),
    ]
    told = [keyed.ask("POST", path, body, headers=headers).status for path, body in asked]
    assert tuple(told) == statuses
    assert keyed.ask("GET", "/health/live").status == 200


def test_why_a_bundle_was_refused_is_told_to_an_admin_alone(
    keyed: Client, fitted: sl.Recommender, bundle: Path
) -> None:
    folder = fitted.save(bundle)
    (folder / "items.parquet").write_bytes(b"rot")
    refused = keyed.ask("POST", "/admin/reload", headers={"x-api-key": "admin"})
    assert refused.status == 409
    assert "items.parquet" in refused.json["error"]["message"]
    for scope, names in (("read", False), ("admin", True)):
        version = keyed.ask("GET", "/version", headers={"x-api-key": scope}).json
        assert ("items.parquet" in version["last_reload_error"]) is names


def test_the_other_header_opens_too_and_the_document_says_that_keys_are_needed(
    keyed: Client,
) -> None:
    headers = {"x-api-key": "read"}
    assert keyed.ask("GET", "/version", headers=headers).status == 200
    document = keyed.ask("GET", "/openapi.json").json
    assert document["paths"]["/version"]["get"]["security"] == [{"key": []}]


def test_without_a_key_only_the_names_of_loopback_are_answered(client: Client) -> None:
    for host, status in (
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ):
        assert client.ask("GET", "/version", headers={"host": host}).status == status


def test_a_form_of_another_page_is_refused(client: Client) -> None:
    told = client.ask("POST", "/events", {}, headers={"content-type": "text/plain"})
    assert (told.status, told.json["error"]["code"]) == (415, "not_json")
    asked = client.ask("OPTIONS", "/events", headers={"origin": "http://evil"})
    assert (asked.status, asked.headers["allow"]) == (405, "POST")
    assert client.ask("OPTIONS", "/users/u1").headers["allow"] == "DELETE"
    predict = "/v1/models/toys:predict"
    assert client.ask("OPTIONS", predict).headers["allow"] == "POST"
    assert client.ask("GET", predict).status == 405


def test_a_page_elsewhere_cannot_make_a_browser_change_anything(client: Client) -> None:
    for origin, status in (
        ("http://localhost", 200),
        ("null", 403),
        ("http://evil.example", 403),
    ):
        headers = {"origin": origin}
        assert client.ask("POST", "/admin/reload", headers=headers).status == status
        assert client.ask("DELETE", "/users/nobody", headers=headers).status == status
        assert client.ask("GET", "/version", headers=headers).status == 200


def test_origins_that_are_named_may_ask(serving: Start) -> None:
    client = serving(cors=("https://shop.example",))
    headers = {"origin": "https://shop.example"}
    before = client.ask("OPTIONS", "/recommend", headers=headers)
    assert before.status == 204
    assert before.headers["access-control-allow-origin"] == "https://shop.example"
    other = client.ask("GET", "/version", headers={"origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_too_many_requests_are_told_when_to_come_again(serving: Start) -> None:
    client = serving(rate=3)
    told = [client.ask("GET", "/version") for _ in range(4)]
    assert [one.status for one in told] == [200, 200, 200, 429]
    assert told[-1].headers["retry-after"] == "1"
    assert client.ask("GET", "/health/ready").status == 200


def test_who_is_a_little_too_fast_is_slowed_not_shut_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # two a second, asked every .35 seconds, in which .7 of one comes back
    guard, answered = Guard((), 2.0, by_address=False), []
    now = iter(0.35 * n for n in range(9))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    for _ in range(9):
        try:
            guard.enter("read", {}, "127.0.0.1")
            answered.append(True)
        except Refused:
            answered.append(False)
    # there are before each: 2, 1.7, 1.4, 1.1, .8, 1.5, 1.2, .9, 1.6
    assert answered == [True, True, True, True, False, True, True, False, True]


def test_a_rate_is_each_keys_own() -> None:
    guard = Guard(read_keys([_key("a", "read"), _key("b", "read")]), 1, by_address=False)
    first = guard.enter("read", {b"x-api-key": b"a"}, "1.1.1.1")
    assert first is not None
    assert first.name == "a"
    with pytest.raises(Refused, match="too many"):
        guard.enter("read", {b"x-api-key": b"a"}, "1.1.1.2")
    assert guard.enter("read", {b"x-api-key": b"b"}, "1.1.1.1")


def test_large_bodies_are_refused_before_they_are_read(serving: Start) -> None:
    client = serving(body_bytes=100)
    told = client.ask("POST", "/recommend", raw=b" " * 101)
    assert (told.status, told.json["error"]["code"]) == (413, "too_large")
    lying = client.ask("POST", "/recommend", raw=b" " * 101, headers={"content-length": "1"})
    assert lying.status == 413


@pytest.mark.parametrize(
    "text", ["me", "me:read", "me:all:" + "0" * 64, "me:read:abc", ":read:" + "0" * 64]
)
def test_a_key_that_cannot_be_read_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="key 1 of the settings") as told:
        read_keys([text])
    assert text not in str(told.value) or text == "me"


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('port = 1\nhost = "::1"\nqueue = 7\nrate = 2.5\n')
    environment = {"SHORTLIST_PORT": "2", "SHORTLIST_HOST": "127.0.0.1", "HOME": "/"}
    flags = {"bundle": "a.bundle", "port": 3, "host": None}
    settings = read_settings(flags, file, environment)
    assert (settings.port, settings.host, settings.queue) == (3, "127.0.0.1", 7)
    assert settings.rate == 2.5
    assert settings.model_name == "a"
    assert settings.events == "a.state"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 70_000}, "port must be at most"),
        ({"queue": 0}, "queue must be at least 1"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be at least"),
        ({"batch": "many"}, "batch"),
        ({"certificate": "a.pem"}, "needs both"),
        ({"cors": ["*"]}, "every page there is"),
        ({"cors": ["https://a.example", "nonsense"]}, "'nonsense'"),
        ({"cors": ["https://a.example/"]}, "no browser sends"),
        ({"cors": ["https://A.example"]}, "no browser sends"),
        ({"cors": ["https://a.example:443"]}, "no browser sends"),
        ({"proxies": ["nonsense"]}, "no address"),
        ({"proxies": ["10.0.0.1/8"]}, "has host bits set"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    given: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_settings({"bundle": "a", **given}, None, {})


def test_a_variable_that_is_no_setting_is_refused() -> None:
    for variable in ("SHORTLIST_RAET", "SHORTLIST_Rate"):
        with pytest.raises(ConfigError, match="Did you mean 'SHORTLIST_RATE'"):
            read_settings({"bundle": "a"}, None, {variable: "3"})
    others = {
        "SHORTLIST_CACHE": "c",
        "SHORTLIST_TRACEBACK": "1",
        # of a Kubernetes service called "shortlist", in every pod beside it
        "SHORTLIST_SERVICE_HOST": "10.0.0.11",
        "SHORTLIST_SERVICE_PORT_HTTP": "8000",
        "SHORTLIST_PORT": "tcp://10.0.0.11:8000",
        "SHORTLIST_PORT_8000_TCP_ADDR": "10.0.0.11",
    }
    assert read_settings({"bundle": "a"}, None, others) == Settings(bundle="a")


def test_lists_of_the_environment_may_be_empty_and_spaced() -> None:
    environment = {
        "SHORTLIST_KEYS": "",
        "SHORTLIST_CORS": "https://a.example, http://localhost:3000,",
        "SHORTLIST_PROXIES": "10.0.0.0/8,::1",
    }
    settings = read_settings({"bundle": "a"}, None, environment)
    assert settings.keys == ()
    assert settings.cors == ("https://a.example", "http://localhost:3000")
    assert settings.proxies == ("10.0.0.0/8", "::1")


def test_a_file_with_an_unknown_name_says_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(ConfigError, match="Did you mean 'port'"):
        read_settings({"bundle": "a"}, file, {})
    assert Settings(bundle="x/movies.bundle").events == "x/movies.state"


def test_a_made_key_opens_and_is_kept_nowhere(serving: Start) -> None:
    import json

    from typer.testing import CliRunner

    from shortlist.cli.main import app

    told = json.loads(
        CliRunner().invoke(app, ["key", "--name", "shop", "--scope", "write", "--json"]).output
    )
    assert told["key"] not in told["line"]
    client = serving(keys=(told["line"],))
    headers = {"authorization": f"Bearer {told['key']}"}
    assert client.ask("GET", "/version", headers=headers).status == 200
    assert CliRunner().invoke(app, ["key", "--name", "a:b"]).exit_code == 2
