import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.graphs import run_graph
from shortlist.errors import MissingExtraError

torch = pytest.importorskip("torch")

from shortlist.nn.towers import Head, RatingHead  # noqa: E402
from shortlist.training.graphs import export_graph  # noqa: E402


def test_a_graph_answers_what_the_module_does() -> None:
    torch.manual_seed(0)
    head = Head(6, [9], dropout=0.5, normalize=True)
    run = run_graph(export_graph(head, 6))
    x = np.random.default_rng(0).normal(size=(40, 6))
    with torch.no_grad():
        want = head.double().eval()(torch.from_numpy(x)).numpy()
    assert_allclose(run(x), want, atol=1e-12)
    assert_array_equal(run(x[3:5]), run(x)[3:5])
    assert run(x[:1]).shape == (1, 6)
    assert run(x[:0]).shape == (0, 6)


def test_exporting_leaves_the_module_as_it_was() -> None:
    head = RatingHead(2, [4], dropout=0.5, mean=3.0)
    assert run_graph(export_graph(head, 4))(np.zeros((3, 4))).shape == (3,)
    assert head.training
    assert all(p.dtype == torch.float32 for p in head.parameters())


def test_without_the_exporter_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[torch\]'"):
        export_graph(Head(2, [2]), 2)
