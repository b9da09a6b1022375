"""Who asks is told by a proxy only where the proxy is trusted."""

import hashlib
from pathlib import Path

import pytest

from serving.test_process import Process


@pytest.mark.parametrize(("trusted", "second"), [("127.0.0.1", 200), ("10.0.0.1", 429)])
def test_a_forwarded_address_is_believed_from_trusted_proxies_only(
    bundle: Path, trusted: str, second: int
) -> None:
    # one request in a hundred seconds from each address
    environment = {"SHORTLIST_PROXIES": trusted, "SHORTLIST_RATE": "0.01"}
    started = Process(bundle, "--no-access-log", **environment)
    with started.popen:
        told = [
            started.ask("GET", "/version", **{"x-forwarded-for": address})[0]
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
        started.popen.terminate()
    assert told == [200, second, 429]


@pytest.mark.parametrize(("trusted", "second"), [("127.0.0.1", 200), ("10.0.0.1", 429)])
def test_behind_a_trusted_proxy_the_rate_is_of_each_address_within_a_key(
    bundle: Path, trusted: str, second: int
) -> None:
    digest = hashlib.sha256(b"a-key").hexdigest()
    started = Process(
        bundle,
        "--no-access-log",
        SHORTLIST_PROXIES=trusted,
        SHORTLIST_RATE="0.01",
        SHORTLIST_KEYS=f"page:read:{digest}",
    )
    with started.popen:
        told = [
            started.ask(
                "GET", "/version", **{"x-api-key": "a-key", "x-forwarded-for": address}
            )[0]
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
        started.popen.terminate()
    assert told == [200, second, 429]
