"""What can be exported to where: one function per target, found by its name."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from shortlist.data.protocols import Json
from shortlist.errors import ConfigError, MissingExtraError, closest
from shortlist.export.guests import for_guests
from shortlist.recommender.bundle import load, verify

if TYPE_CHECKING:
    from shortlist.export.parity import Parity
    from shortlist.recommender.recommender import Recommender

PARTS = ("whole", "retriever", "user", "item", "ranker")
WEIGHTS = ("float32", "float16", "int8")

_EXTRAS = {"onnx": "export"}  # extras that are not called like the target


@dataclass(frozen=True)
class Settings:
    """How to export.

    Attributes:
        part: ``"whole"``: ids in, shortlists out; ``"retriever"``: the same without the ranker;
            ``"user"`` or ``"item"``: ids in, vectors out; ``"ranker"``: pairs of ids in, predictions out.
        weights: how numbers are stored; computing is in float32.
        batch: sizes of batch, for targets that fix them.
        k: length of the lists that are compared.
        users: how many users the comparison asks.
        guests_only: whether ids, histories and vectors of known users stay out of the file, which then
            answers whoever brings a history. For files that strangers can fetch.
    """

    part: str = "whole"
    weights: str = "float32"
    batch: tuple[int, ...] = (1,)
    k: int = 10
    users: int = 200
    guests_only: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: one is out of range.
        """
        for name, known in (("part", PARTS), ("weights", WEIGHTS)):
            given = getattr(self, name)
            if given not in known:
                msg = f"{name} must be one of {', '.join(known)}; got {given!r}.{closest(str(given), list(known))}"
                raise ConfigError(msg)
        if min(self.k, self.users, *self.batch) < 1:
            msg = f"k, users and batch must be at least 1; got {self.k}, {self.users} and {self.batch}"
            raise ConfigError(msg)
        if self.guests_only and self.part == "ranker":
            msg = "a ranker alone answers known users, so guests_only leaves nothing of it; give part='retriever', or leave guests_only out"
            raise ConfigError(msg)


@dataclass(frozen=True, eq=False)
class Source:
    """What is exported.

    Attributes:
        rec: the recommender that the bundle holds.
        about: version, lineage and metrics, to be kept inside the file.
    """

    rec: "Recommender"
    about: Mapping[str, Json]

    @classmethod
    def open(cls, bundle: str | Path) -> "Source":
        """Check and read a bundle.

        Args:
            bundle: its folder.

        Returns:
            A Source.
        """
        manifest = verify(bundle)
        names = ("name", "created", "lineage", "metrics", "versions", "watermark")
        version = (Path(bundle) / "CURRENT").read_text().split()[0]
        kept = {name: manifest[name] for name in names}
        return cls(load(bundle), {"version": version, **kept})

    def inside(self, settings: Settings) -> "Recommender":
        """The recommender that goes into the file.

        Args:
            settings: of the export.

        Returns:
            ``rec``, without its people where only guests are to be answered.
        """
        return for_guests(self.rec) if settings.guests_only else self.rec


@dataclass(frozen=True, eq=False)
class Report:
    """What was written.

    Attributes:
        target: such as ``"onnx"``.
        part: as in the settings.
        weights: as in the settings.
        files: that were written.
        parity: how the files' answers compare with the bundle's; None where they have none of their own.
        loss: of quality, where the file is not exact: name -> share lost.
        inputs: name -> type and shape.
        outputs: name -> type and shape.
        notes: what the reader should know, such as rules that are not in the file.
    """

    target: str
    part: str
    weights: str
    files: tuple[Path, ...]
    parity: "Parity | None" = None
    loss: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)


Target: TypeAlias = Callable[[Source, Path, Settings], Report]
TARGETS: Mapping[str, str] = {  # name -> module:function, imported when asked for
    "onnx": "shortlist.export.onnx:export_onnx",
    "litert": "shortlist.export.litert:export_litert",
    "torch": "shortlist.export.program:export_program",
    "vectors": "shortlist.export.vectors:export_vectors",
}


def export(
    bundle: str | Path,
    out: str | Path,
    *,
    to: str = "onnx",
    settings: Settings | None = None,
) -> Report:
    """Write what a bundle holds as a file that answers without this library.

    Before the file gets its name, some users are answered through it and through the bundle; a file
    that disagrees is not written.

    Args:
        bundle: the bundle's folder.
        out: the file to write.
        to: the target.
        settings: how.

    Returns:
        What was written, and how it compares.

    Raises:
        ConfigError: there is no such target, or it does not read a setting that was given.
        MissingExtraError: what the target needs is not installed.
    """
    settings = settings or Settings()
    if to not in TARGETS:
        msg = f"cannot export to {to!r}; targets are {', '.join(TARGETS)}.{closest(to, list(TARGETS))}"
        raise ConfigError(msg)
    if to != "litert" and settings.batch != Settings.batch:
        msg = f"batch is for litert, whose files fix it; got {settings.batch} for {to}, which answers any. Leave it out"
        raise ConfigError(msg)
    lists = to == "onnx" and settings.part in {"whole", "retriever"}
    if not lists and settings.k != Settings.k:
        msg = f"k is the length of the lists that are compared; got {settings.k} for {to} of the part {settings.part}, which has none. Leave it out"
        raise ConfigError(msg)
    module, _, name = TARGETS[to].partition(":")
    try:
        target: Target = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        msg = f"exporting to {to} needs {error.name}: pip install 'shortlist[{_EXTRAS.get(to, to)}]'"
        raise MissingExtraError(msg) from None
    return target(Source.open(bundle), Path(out), settings)
