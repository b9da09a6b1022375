"""LiteRT, once TensorFlow Lite: the ranker or the query tower for phones, ids beside it.

Sizes of batch are fixed; a file holds one signature for each, ``batch_1``, ``batch_100``, over the same weights.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.errors import ExportError, MissingExtraError
from shortlist.export.parity import Parity, compare_numbers, insist, written_whole
from shortlist.export.rows import RowsPart
from shortlist.export.targets import Report

if TYPE_CHECKING:
    from shortlist.export.targets import Settings, Source


def export_litert(source: "Source", out: Path, settings: "Settings") -> Report:
    """Write a ``.tflite`` file, and beside it a ``.json`` file of the ids.

    Args:
        source: what is exported.
        out: the file.
        settings: how; a signature is written for each of ``batch``.

    Returns:
        What was written.

    Raises:
        MissingExtraError: the converter or the interpreter is not installed.
        ExportError: the part cannot be written, or does not answer as the bundle does.
    """
    part = RowsPart.of(source, settings, "a LiteRT file")
    ids = out.with_suffix(".json")
    if ids == out:
        msg = f"the ids are written beside the file, to {ids}; got that as the file's own name. Let it end in .tflite"
        raise ExportError(msg)
    with written_whole(out) as draft, written_whole(ids) as beside:
        _convert(part, settings.batch, draft)
        parity = _compare(part, settings.batch, draft)
        insist(parity, f"{out.name}")
        beside.write_text(part.vocabulary(source, settings), encoding="utf-8")
    inputs, outputs = part.described()
    names = ", ".join(_signature(size) for size in settings.batch)
    return Report(
        "litert",
        settings.part,
        settings.weights,
        (out, ids),
        parity,
        inputs=inputs,
        outputs=outputs,
        notes=(f"signatures: {names}", *part.notes),
    )


class _Named(nn.Module):
    # outputs have a name of their own only in a dictionary

    def __init__(self, module: nn.Module, output: str) -> None:
        super().__init__()
        self.module, self.output = module, output

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return {self.output: self.module(**inputs)}


def _signature(batch: int) -> str:
    return f"batch_{batch}"


def _convert(part: RowsPart, batches: tuple[int, ...], out: Path) -> None:
    module = _Named(part.module, part.output).eval()
    with _quiet():
        converter = _imported("litert_torch")
        for batch in dict.fromkeys(batches):
            example = {
                name: torch.zeros(batch, *one.shape[1:], dtype=torch.int32)
                for name, one in part.inputs.items()
            }
            converter = converter.signature(_signature(batch), module, sample_kwargs=example)
        # the converter insists on the ending; what it is given is a draft of another name
        written = out.with_name(f"{out.name}.tflite")
        try:
            converter.convert().export(str(written))
            written.replace(out)
        except Exception as error:  # the converter's own errors have no common class
            reason = str(error).strip().partition("\n")[0]
            msg = f"the LiteRT converter cannot write this model ({reason}); export it with --to onnx"
            raise ExportError(msg) from error
        finally:
            written.unlink(missing_ok=True)


def _compare(part: RowsPart, batches: tuple[int, ...], file: Path) -> Parity:
    with _quiet():
        interpreters = _imported("ai_edge_litert.interpreter")
        interpreter = interpreters.Interpreter(model_path=str(file), num_threads=1)
        answers = [_answers(part, interpreter, batch) for batch in dict.fromkeys(batches)]
    wanted = np.concatenate([part.wanted] * len(answers))
    return compare_numbers(wanted, np.concatenate(answers), part.askers)


def _answers(part: RowsPart, interpreter: Any, batch: int) -> NDArray[np.float32]:
    run = interpreter.get_signature_runner(_signature(batch))
    answers = []
    for start in range(0, len(part.wanted), batch):
        some = {name: one[start : start + batch] for name, one in part.inputs.items()}
        count = len(next(iter(some.values())))
        whole = {  # the last batch is filled up with its last line
            name: np.concatenate([one, np.repeat(one[-1:], batch - count, axis=0)])
            for name, one in some.items()
        }
        answers.append(run(**whole)[part.output][:count])
    return np.concatenate(answers)


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f"writing a LiteRT file needs its converter and its interpreter ({error}): pip install 'shortlist[litert]', about 1 GB beside torch"
        raise MissingExtraError(msg) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # the converter prints its progress, and warns of what its own imports lack
    loud = [logging.getLogger(name) for name in ("torchao", "torch", "jax", "absl")]
    levels = [one.level for one in loud]
    for one in loud:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loud, levels, strict=True):
            one.setLevel(level)
