"""``shortlist export``: a bundle as a file that answers without this library."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.options import AsJson, BundleDir, K, only_with
from shortlist.cli.printing import as_json, progress, show

if TYPE_CHECKING:
    from shortlist.export import Report

EXAMPLE = "Example: shortlist export movies.bundle --to onnx --out movies.onnx"


def export(
    bundle: BundleDir,
    *,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    to: Annotated[
        str, typer.Option(help="Kind of file: onnx, litert, torch or vectors.")
    ] = "onnx",
    part: Annotated[
        str,
        typer.Option(
            metavar="whole|retriever|user|item|ranker",
            help="The whole decision, or a part of it alone; retriever is the whole without the ranker.",
        ),
    ] = "whole",
    weights: Annotated[
        str,
        typer.Option(
            metavar="float32|float16|int8",
            help="How numbers are stored; what that costs in quality is measured and printed.",
        ),
    ] = "float32",
    k: K = 10,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="A size of batch that a LiteRT file is for. May be repeated."),
    ] = None,
    guests_only: Annotated[
        bool,
        typer.Option(
            "--guests-only",
            help="Leave out ids, histories and vectors of known users: for a file that strangers can fetch.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Write a bundle as a file that answers elsewhere.

    Before the file is written, 200 users are answered through it and through the bundle; a file that
    disagrees is refused.
    """
    from shortlist.export import Settings
    from shortlist.export import export as write

    if to != "litert":
        only_with("--to litert, whose files fix the size of a batch", batch=batch)
    settings = Settings(
        part=part,
        weights=weights,
        k=k,
        batch=tuple(batch or (1,)),
        guests_only=guests_only,
    )
    progress(f"exporting {part} of {bundle} to {to}")
    report = write(bundle, out, to=to, settings=settings)
    if json:
        as_json({"bundle": str(bundle), **_plain(report)})
        return
    files = ", ".join(str(file) for file in report.files)
    show(f"{files}: {report.size / 1e6:.2f} MB, {report.part} of {bundle} in {report.weights}")
    for heading, named in (("in", report.inputs), ("out", report.outputs)):
        show(*(f"{heading:<7} {name}: {shape}" for name, shape in named.items()))
    if report.parity is not None:
        show(f"parity  {report.parity}")
    for name, lost in report.loss.items():
        show(f"loss    {name}: {lost:.2%} of the bundle's")
    for note in report.notes:
        show(f"note    {note}")


def _plain(report: "Report") -> dict[str, object]:
    from dataclasses import asdict

    parity = report.parity
    said = None if parity is None else {**asdict(parity), "agrees": parity.agrees}
    return {
        "target": report.target,
        "part": report.part,
        "weights": report.weights,
        "files": [str(file) for file in report.files],
        "bytes": report.size,
        "inputs": dict(report.inputs),
        "outputs": dict(report.outputs),
        "parity": said,
        "loss": dict(report.loss),
        "notes": list(report.notes),
    }
