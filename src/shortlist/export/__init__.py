"""A bundle as files that answer elsewhere: one ONNX file, LiteRT, a torch program, vectors."""

from shortlist.export.targets import TARGETS, Report, Settings, Source, export

__all__ = ["TARGETS", "Report", "Settings", "Source", "export"]
