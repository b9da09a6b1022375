"""How the service is set up: a file, then the environment, then flags; the later one wins."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from shortlist.errors import ConfigError, closest
from shortlist.serving.events import beside

_PREFIX = "SHORTLIST_"
_NO_SETTINGS = {"SHORTLIST_CACHE", "SHORTLIST_TRACEBACK"}  # variables that others read
# what Kubernetes sets in every pod beside a service that is called "shortlist"
_OF_KUBERNETES = re.compile(
    r"SHORTLIST_(SERVICE_(HOST|PORT)\w*=.*|PORT_\d+_\w+=.*|PORT=(tcp|udp)://.*)"
)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*A-Z]+")  # as browsers write it
Arm = Literal["champion", "challenger", "shadow"]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set.

    Attributes:
        bundle: folder that ``train --out`` wrote.
        state: folder of the events, or the URL of a PostgreSQL database; None for ``BUNDLE.state``
            beside the bundle.
        host: address to listen on; another than loopback needs a key.
        port: to listen on; 0 takes a free one.
        workers: processes that answer; ``rate``, ``batch`` and ``queue`` are of each.
        challenger: bundle that answers a share of the users instead, to compare; None for none.
        share: of the users who get the challenger, 0 to 1.
        salt: of the split; another one draws other users.
        shadow: bundle that answers too, off the requests' path, and is compared; None for none.
        name: of the model in the ``/v1`` and ``/v2`` paths; None for the bundle's file name.
        keys: ``NAME:SCOPE:SHA256``, SCOPE one of read, write, admin.
        batch: most requests answered together.
        queue: most requests waiting; more are refused with 503.
        timeout_seconds: after which a request is refused with 503.
        drain_seconds: for requests under way when the service is told to stop.
        watch_seconds: between looks for a new version of the bundle; 0 looks only when told.
        follow_seconds: between looks for what other processes kept.
        body_bytes: largest body.
        rate: requests a second from one key, or one address without keys; with ``proxies``, from
            each address that uses the key; 0 for no limit.
        cors: origins that pages may ask from, such as ``https://shop.example``; none by default.
        proxies: addresses, or networks, whose ``X-Forwarded-For`` is believed.
        certificate: file for TLS, with ``private_key``.
        private_key: file for TLS.
        access_log: whether to log every request.
    """

    bundle: str
    state: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    challenger: str | None = None
    share: float = 0.1
    salt: str = "shortlist"
    shadow: str | None = None
    name: str | None = None
    keys: tuple[str, ...] = ()
    batch: int = 64
    queue: int = 512
    timeout_seconds: float = 5.0
    drain_seconds: float = 10.0
    watch_seconds: float = 2.0
    follow_seconds: float = 0.25
    body_bytes: int = 1_000_000
    rate: float = 0.0
    cors: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    certificate: str | None = None
    private_key: str | None = None
    access_log: bool = True

    @property
    def bundle_path(self) -> Path:
        """The bundle's folder."""
        return Path(self.bundle)

    @property
    def bundles(self) -> dict[Arm, Path]:
        """The bundles' folders, by arm."""
        given: dict[Arm, str | None] = {
            "champion": self.bundle,
            "challenger": self.challenger,
            "shadow": self.shadow,
        }
        return {arm: Path(one) for arm, one in given.items() if one is not None}

    @property
    def events(self) -> str:
        """Where the events are kept."""
        return str(beside(self.bundle_path)) if self.state is None else self.state

    @property
    def model_name(self) -> str:
        """The name in the paths of other protocols."""
        return self.name or self.bundle_path.name.removesuffix(".bundle")


_NAMES = Settings.__struct_fields__


def read_settings(
    flags: Mapping[str, object],
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Join file, environment and flags.

    Args:
        flags: by name; None where not given.
        file: TOML with the same names, or None.
        environment: ``SHORTLIST_PORT=80`` and so on; None for that of the process.

    Returns:
        Settings.

    Raises:
        ConfigError: a name is unknown, in the environment too; a value is of another kind or out of range, or nothing reads it.
    """
    told: dict[str, object] = {} if file is None else _of_file(file)
    told |= _of_environment(os.environ if environment is None else environment)
    told |= {name: value for name, value in flags.items() if value is not None}
    try:
        settings = msgspec.convert(told, Settings, strict=False)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].partition("[")[0].rstrip("`")
        msg = f"a setting of the service cannot be used: {name if name in _NAMES else error}. Look at the file, at {_PREFIX}... and at the flags"
        raise ConfigError(msg) from None  # the value may be a secret
    _check(settings)
    if settings.challenger is None and (ignored := {"share", "salt"} & told.keys()):
        msg = f"{' and '.join(sorted(ignored))} would be ignored: there is no challenger to give users to. Name one, or leave that out"
        raise ConfigError(msg)
    return settings


def _of_file(file: Path) -> dict[str, object]:
    try:
        told: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"the settings file {file} cannot be read: {error}"
        raise ConfigError(msg) from error
    for name in told:
        if name not in _NAMES:
            msg = f"{file} sets {name!r}, which is no setting.{closest(name, list(_NAMES))} They are {sorted(_NAMES)}"
            raise ConfigError(msg)
    return told


def _of_environment(variables: Mapping[str, str]) -> dict[str, object]:
    told: dict[str, object] = {}
    for variable in sorted(variables):
        if not variable.startswith(_PREFIX) or variable in _NO_SETTINGS:
            continue
        value = variables[variable]
        if _OF_KUBERNETES.fullmatch(f"{variable}={value}"):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if variable != _PREFIX + name.upper() or name not in _NAMES:
            known = [_PREFIX + one.upper() for one in _NAMES]
            msg = f"the environment sets {variable}, which is no setting.{closest(variable, known)} They are {sorted(known)}"
            raise ConfigError(msg)
        told[name] = value
        if name in {"keys", "cors", "proxies"}:
            words = value.split(",")
            told[name] = [word.strip() for word in words if word.strip()]
    return told


def _check(settings: Settings) -> None:
    least = {
        "batch": 1,
        "queue": 1,
        "body_bytes": 1,
        "timeout_seconds": 0.001,
        "port": 0,
        "drain_seconds": 0,
        "watch_seconds": 0,
        "follow_seconds": 0.001,
        "share": 0,
        "workers": 1,
        "rate": 0,
    }
    for name, low in least.items():
        if not getattr(settings, name) >= low:
            msg = f"{name} must be at least {low}; got {getattr(settings, name)}"
            raise ConfigError(msg)
    if settings.share > 1:
        msg = f"share must be at most 1; got {settings.share}"
        raise ConfigError(msg)
    if settings.port > 65_535:
        msg = f"port must be at most 65535; got {settings.port}"
        raise ConfigError(msg)
    if (settings.certificate is None) != (settings.private_key is None):
        msg = "TLS needs both certificate and private_key; give the other one too"
        raise ConfigError(msg)
    _check_addresses(settings)


def _check_addresses(settings: Settings) -> None:
    for origin in settings.cors:
        if origin == "*":
            msg = "cors names the origins whose pages may ask, and change things; '*' would be every page there is: name them"
            raise ConfigError(msg)
        default = {"http": ":80", "https": ":443"}.get(origin.partition(":")[0])
        if not _ORIGIN.fullmatch(origin) or (default and origin.endswith(default)):
            msg = f"cors has {origin!r}, which no browser sends as an origin. Write it in lower case as https://shop.example or http://localhost:3000: without a path, a slash at the end or the scheme's own port"
            raise ConfigError(msg)
    for address in settings.proxies:
        try:
            ipaddress.ip_network(address)
        except ValueError as error:
            msg = f"proxies has {address!r}, which is no address: {error}. Write addresses or networks, such as 127.0.0.1 or 10.0.0.0/8"
            raise ConfigError(msg) from None
