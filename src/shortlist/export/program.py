"""A torch program (``torch.export``): the ranker or the query tower, ids inside the file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from shortlist.export.parity import compare_numbers, insist, written_whole
from shortlist.export.rows import RowsPart
from shortlist.export.targets import Report

if TYPE_CHECKING:
    from shortlist.export.targets import Settings, Source

IDS = "ids.json"


def export_program(source: "Source", out: Path, settings: "Settings") -> Report:
    """Write a ``.pt2`` file, to be read by ``torch.export.load``; the ids are its extra file ``ids.json``.

    Args:
        source: what is exported.
        out: the file.
        settings: which part.

    Returns:
        What was written.
    """
    part = RowsPart.of(source, settings, "a torch program")
    given = {name: torch.from_numpy(one) for name, one in part.inputs.items()}
    batch = torch.export.Dim("batch")
    with written_whole(out) as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = torch.export.export(
            part.module,
            (),
            {name: one[:2] for name, one in given.items()},
            dynamic_shapes={name: {0: batch} for name in given},
        )
        with draft.open("wb") as file:
            torch.export.save(
                program, file, extra_files={IDS: part.vocabulary(source, settings)}
            )
        with draft.open("rb") as file:
            found = torch.export.load(file).module()(**given)
        parity = compare_numbers(part.wanted, found.detach().numpy(), part.askers)
        insist(parity, out.name)
    inputs, outputs = part.described()
    return Report(
        "torch",
        settings.part,
        settings.weights,
        (out,),
        parity,
        inputs=inputs,
        outputs=outputs,
        notes=(f"the ids are the extra file {IDS}", *part.notes),
    )
