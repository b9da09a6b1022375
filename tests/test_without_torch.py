"""Everything but training networks works where torch cannot be imported."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import shortlist as sl

BLOCK = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec


def blind(name, path=None, target=None):  # as on a machine where they are not installed
    absent = name.partition(".")[0] in {"torch", "pandas", "pyarrow"}
    return None if absent else find(name, path, target)


PathFinder.find_spec = staticmethod(blind)
"""
EVERYTHING = """
import numpy as np
import shortlist as sl

folder = sys.argv[1]
data = sl.read(folder + "/rows.csv", items=folder + "/items.csv")
assert sl.check(data).users == 40
parts = sl.split.latest(data, validation=0.1, test=0.2)
rec = sl.Recommender([sl.retrieval.Popularity(), sl.retrieval.EASE()], sl.ranking.Biases())
rec.fit(parts.train, validate=parts.validation)
assert len(sl.evaluate(rec, parts.test, k=(5,)).lines) == 3
rec.save(folder + "/here")
assert sl.load(folder + "/here").recommend(user=1, k=5).equals(rec.recommend(user=1, k=5))

try:
    sl.Recommender(sl.retrieval.TwoTower()).fit(parts.train)
except sl.ShortlistError as error:
    assert "pip install 'shortlist[torch]'" in str(error), error
else:
    raise SystemExit("towers trained without torch?")

towers = sl.load(folder + "/towers")  # written where there is torch
sl.verify(folder + "/towers")
ids = towers.snapshot.user_vocabulary.ids
top = towers.top(ids, 5)
np.savez(folder + "/answers.npz", rows=top.rows, scores=top.scores)
assert len(towers.recommend(history=["Item 3"], k=5)) == 5
assert len(towers.similar("Item 3", k=5)) == 5
assert len(towers.audience("Item 3", k=5)) == 5
assert len(towers.predict(1)) == 30
assert not {"torch", "pandas", "pyarrow"} & set(sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(40):
        for place, item in enumerate(rng.permutation(30)[:12]):
            rows.append(f"{user},{item},{1 + (user + item) % 5},{1_000_000_000 + place}")
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    items = ["item_id,title,year", *(f"{i},Item {i},{1980 + i}" for i in range(30))]
    (tmp_path / "items.csv").write_text("\n".join(items) + "\n")
    return tmp_path


def without_torch(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_read_split_fit_judge_load_and_recommend_without_torch(folder: Path) -> None:
    pytest.importorskip("torch")
    towers = sl.Recommender(
        [
            sl.retrieval.TwoTower(
                dim=8, epochs=2, layers=(8,), item=("item_id", sl.Number("year"))
            ),
            sl.retrieval.SequenceTower(dim=8, layers=1, length=6, epochs=1),
        ],
        sl.ranking.RatingNetwork(dim=4, epochs=1, layers=(8,)),
    )
    towers.fit(sl.read(folder / "rows.csv", items=folder / "items.csv"))
    towers.save(folder / "towers")
    done = without_torch(EVERYTHING, folder)
    assert done.returncode == 0, done.stderr
    answers = np.load(folder / "answers.npz")
    top = towers.top(towers.snapshot.user_vocabulary.ids, 5)
    assert (answers["rows"] == top.rows).all()
    assert (answers["scores"] == top.scores).all()


def test_the_command_line_without_torch(folder: Path) -> None:
    command = "from shortlist.cli.main import main; sys.exit(main(sys.argv[1:]))"
    assert without_torch(command, "--help").returncode == 0
    trained = without_torch(
        command, "train", "--train", folder / "rows.csv", "--out", folder / "b"
    )
    assert trained.returncode == 0, trained.stderr  # the default needs no torch
    asked = without_torch(command, "recommend", folder / "b", "--user", 1, "--json")
    assert asked.returncode == 0, asked.stderr
    towers = without_torch(
        command,
        *("train", "--train", folder / "rows.csv", "--retrieve", "two-tower"),
        *("--out", folder / "c"),
    )
    assert towers.returncode == 2
    assert "pip install 'shortlist[torch]'" in towers.stderr
    assert "Traceback" not in towers.stderr
    assert not (folder / "c").exists()
