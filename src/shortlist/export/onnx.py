"""One ONNX file: string ids in, ids and titles out."""

from pathlib import Path

from shortlist.errors import ExportError
from shortlist.export.targets import Report, Settings, Source


def export_onnx(source: Source, out: Path, settings: Settings) -> Report:
    """Write one ONNX file.

    Args:
        source: what is exported.
        out: the file.
        settings: how.

    Raises:
        ExportError: the bundle holds a model that cannot be a graph.
    """
    msg = f"cannot write {source.rec.name} to {out} as {settings.part}: no model can be a graph yet. Answer from the bundle"
    raise ExportError(msg)
