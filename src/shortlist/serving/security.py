"""Who may ask what: keys, rates, hosts and headers."""

import functools
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shortlist.errors import ConfigError
from shortlist.serving.http import Scope
from shortlist.serving.refusals import Refused

SCOPES: dict[str, int] = {"read": 0, "write": 1, "admin": 2}
_CLIENTS = 10_000  # whose rate is remembered
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
PAGE_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'",
)


@dataclass(frozen=True)
class Key:
    """A key as it is kept: its hash.

    Attributes:
        name: who uses it, for logs.
        scope: read, write (and read) or admin (everything).
        digest: SHA-256 of the key.
    """

    name: str
    scope: str
    digest: bytes


def read_keys(written: Sequence[str]) -> tuple[Key, ...]:
    """Keys as the settings hold them.

    Args:
        written: ``NAME:SCOPE:SHA256`` each.

    Returns:
        The keys.

    Raises:
        ConfigError: one cannot be read; the message does not repeat it.
    """
    keys = []
    for number, text in enumerate(written, start=1):
        name, _, rest = text.strip().partition(":")
        scope, _, digest = rest.partition(":")
        try:
            made = Key(name, scope, bytes.fromhex(digest))
        except ValueError:
            made = Key(name, scope, b"")
        if not name or scope not in SCOPES or len(made.digest) != 32:
            msg = f"key {number} of the settings cannot be read: write NAME:SCOPE:SHA256, SCOPE one of {list(SCOPES)}; `shortlist key` makes one"
            raise ConfigError(msg)
        keys.append(made)
    return tuple(keys)


class Guard:
    """Lets requests in, or refuses them.

    Args:
        keys: that are accepted; without any, only requests to a loopback name are.
        rate: requests a second of each key, or of each address without keys; 0 for no limit.
        by_address: whether each address has the rate for itself also within a key.
    """

    def __init__(self, keys: Sequence[Key], rate: float, *, by_address: bool) -> None:
        self._keys, self._rate, self._by_address = tuple(keys), rate, by_address
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def enter(
        self, scope: Scope | None, headers: Mapping[bytes, bytes], address: str
    ) -> Key | None:
        """Check a request.

        Args:
            scope: that the route asks for; None for everybody.
            headers: lower case.
            address: of the client.

        Returns:
            The key; None without one.

        Raises:
            Refused: no key, the wrong one, one of too little scope, too many requests, or a name of
                this machine that is not loopback's.
        """
        if not self._keys:
            _insist_loopback_name(headers)
        if scope is None:
            return None
        key = None
        if self._keys:
            key = self._key_of(headers)
            if SCOPES[key.scope] < SCOPES[scope]:
                raise Refused(
                    403, "forbidden", f"this needs a key of scope {scope}; this key has less"
                )
        if self._rate:
            name = "" if key is None else key.name
            self._count(f"{name} {address}" if key is None or self._by_address else name)
        return key

    def _key_of(self, headers: Mapping[bytes, bytes]) -> Key:
        given = headers.get(b"x-api-key")
        bearer = headers.get(b"authorization", b"")
        if given is None and bearer[:7].lower() == b"bearer ":
            given = bearer[7:].strip()
        digest = hashlib.sha256(given or b"").digest()
        found = None
        for key in self._keys:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, key.digest):
                found = key
        if found is None or given is None:
            raise Refused(
                401,
                "unauthorized",
                "send a key that is accepted, as Authorization: Bearer KEY",
            )
        return found

    def _count(self, who: str) -> None:
        # a bucket that holds one second's worth, and fills at the rate
        now, most = time.monotonic(), max(1.0, self._rate)
        left, since = self._buckets.pop(who, (most, now))
        left = min(most, left + (now - since) * self._rate)
        # a refusal costs nothing: who is a little too fast is slowed, not shut out
        self._buckets[who] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Refused(429, "rate_limited", "too many requests", retry_after_seconds=1)


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own.

    Args:
        host: such as ``127.0.0.1`` or ``localhost``.

    Returns:
        True or False.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def insist_own_page(headers: Mapping[bytes, bytes], origins: Collection[bytes]) -> None:
    """Let a browser change something only from a page of this service, or of an origin that is named.

    Args:
        headers: lower case.
        origins: that are named.

    Raises:
        Refused: the request comes from another page.
    """
    origin = headers.get(b"origin")
    if origin is None or origin in origins:
        return
    if origin.partition(b"://")[2] != headers.get(b"host"):
        raise Refused(
            403, "forbidden_origin", "pages of other origins may not ask this service"
        )


def _insist_loopback_name(headers: Mapping[bytes, bytes]) -> None:
    # a page elsewhere whose name was pointed at this machine must not read what is open to it
    host = headers.get(b"host", b"localhost").decode("latin-1")
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    if not is_loopback(name):
        raise Refused(
            421,
            "wrong_host",
            "without a key this service answers only to localhost; set a key to serve others",
        )
