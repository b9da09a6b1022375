"""The clients in docs/clients.md, run on their own: the answers are the bundle's, without this library."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shortlist as sl
from shortlist.export import Settings, export

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "examples/browser/node_modules"
LIKED, EXCLUDED = ["1", "6", "2571"], "260"


def block(language: str) -> str:
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (found,) = (one for one in blocks if "onnxruntime" in one)
    return str(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    rec = sl.Recommender(sl.retrieval.ALS(dim=8)).fit(sl.datasets.movielens())
    rec.save(folder / "movies.bundle")
    settings = Settings(part="retriever")
    export(folder / "movies.bundle", folder / "movies.onnx", settings=settings)
    return folder


def run(folder: Path, *command: str) -> dict[str, Any]:
    alone = {name: one for name, one in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, encoding="utf-8", env=alone
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check(folder: Path, told: dict[str, Any]) -> None:
    rec = sl.load(folder / "movies.bundle")
    wanted = {
        "forUser": rec.recommend("42", k=10),
        "forGuest": rec.recommend(history=LIKED, deny=[EXCLUDED], k=10),
    }
    for name, table in wanted.items():
        ids, titles, scores = zip(*told[name], strict=True)
        assert list(ids) == table["item_id"].cast(str).to_list()
        assert list(titles) == table["title"].to_list()
        assert scores == pytest.approx(table["score"].to_list(), rel=1e-4)


def test_python_with_onnxruntime_and_numpy_alone(folder: Path) -> None:
    told = (
        "import json, sys\n"
        "assert not {'shortlist', 'polars', 'torch'} & set(sys.modules)\n"
        "lists = {'forUser': for_user, 'forGuest': for_guest}\n"
        "print(json.dumps({name: [(i, t, float(s)) for i, t, s in one] for name, one in lists.items()}))"
    )
    check(folder, run(folder, sys.executable, "-c", block("python") + told))


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
@pytest.mark.skipif(
    not PACKAGES.is_dir(),
    reason="onnxruntime-web is not installed: cd examples/browser && npm ci --ignore-scripts",
)
def test_node(folder: Path) -> None:
    (folder / "node_modules").symlink_to(PACKAGES, target_is_directory=True)
    (folder / "client.mjs").write_text(block("js"), encoding="utf-8")
    check(folder, run(folder, "node", "client.mjs"))
