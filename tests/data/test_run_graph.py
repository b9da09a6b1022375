import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from shortlist.data.graphs import run_graph  # noqa: E402
from shortlist.training.graphs import export_graph  # noqa: E402


def test_telemetry_is_off_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = export_graph(torch.nn.Linear(2, 1), 2)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert run_graph(graph)(np.zeros((3, 2))).shape == (3, 1)
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    run_graph(graph)
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
