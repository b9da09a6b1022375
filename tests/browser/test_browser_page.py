"""The page of examples/browser, used in headless Chromium: what it shows is what the bundle answers."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import shortlist as sl
from shortlist.export import Settings, export

FOLDER = Path(__file__).parents[2] / "examples/browser"
PICKED = ["Toy Story (1995)", "Heat (1995)", "Matrix, The (1999)"]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").is_dir(),
        reason="the page's packages are not installed: cd examples/browser && npm ci --ignore-scripts",
    ),
]


def node(script: str, *words: object) -> str:
    command = ["node", str(FOLDER / script), *map(str, words)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "CHROMIUM": CHROMIUM},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def rec() -> sl.Recommender:
    return sl.Recommender(sl.retrieval.ALS(dim=16)).fit(sl.datasets.movielens())


@pytest.fixture(scope="module")
def page(rec: sl.Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    rec.save(folder / "movies.bundle")
    settings = Settings(guests_only=True)  # whoever loads the page can read the file
    export(folder / "movies.bundle", folder / "movies.onnx", settings=settings)
    told = node("build.mjs", folder / "movies.onnx", folder / "dist")
    sizes = [line.split()[0] for line in told.splitlines()]
    assert sizes == ["page.js", "ort-wasm-simd-threaded.wasm", "movies.onnx"]
    return folder / "dist"


@pytest.fixture(scope="module")
def url(page: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_three_films_are_picked_and_ten_titles_read(
    rec: sl.Recommender, url: str, tmp_path: Path
) -> None:
    read = json.loads(node("check.mjs", url, tmp_path, *PICKED))
    assert read["list"] == rec.recommend(history=PICKED, k=10)["title"].to_list()
    assert read["popular"] == rec.recommend(history=[], k=10)["title"].to_list()
    assert f"knows {rec.snapshot.n_items:,} films" in read["sizes"]
    assert read["errors"] == []
    assert read["elsewhere"] == []  # nothing was asked of any other host
    assert read["violations"] == []  # axe-core's rules of accessibility
    assert read["wide"] == []  # nothing to scroll sideways to
    assert sorted(one.name for one in tmp_path.glob("*.png")) == [
        "dark.png",
        "light.png",
        "phone.png",
    ]


def test_the_page_fetches_nothing_from_elsewhere(page: Path) -> None:
    for name in ("index.html", "style.css"):
        assert "http" not in (page / name).read_text(encoding="utf-8")


def test_a_build_without_a_model_says_what_to_do() -> None:
    command = ["node", str(FOLDER / "build.mjs")]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert "shortlist export movies.bundle" in done.stderr
