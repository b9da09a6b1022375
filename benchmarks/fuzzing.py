"""Does the service hold to its own OpenAPI document, whatever it is sent? At least 10,000 cases, no 5xx.

Schemathesis (extra ``fuzz``) reads the document from a running service with keys and sends every operation what
fits and what does not, with a fixed seed. Left out of its checks: that whatever fits the schema is accepted, as
a condition such as ``year >= 1990`` or a protocol's tensor is more than JSON Schema can say. Exits with 1 on any 5xx,
crash, defect in the log, or violation of the document.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import write

import shortlist as sl

KEY, SEED, CASES, OF_EACH = "fuzzing", 1, 10_000, 420
PHASES = "examples,coverage,fuzzing"


def main() -> int:
    """Send, count, print and keep; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the data is bundled")
    parser.parse_args()
    if importlib.util.find_spec("schemathesis") is None:
        print(
            'schemathesis is not installed (pip install "shortlist[fuzz]"); nothing was sent',
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "movies.bundle"
        made = sl.Recommender([sl.retrieval.EASE()], rank=sl.ranking.Boosted())
        made.fit(sl.datasets.movielens()).save(bundle)
        results = _fuzzed(bundle, folder)
    claim = (
        "schemathesis over the OpenAPI document: at least 10,000 cases, no 5xx, no violation"
    )
    write("fuzzing", claim, results)
    wrong = ("server errors", "defects in the log", "errors of the run", "server's exit code")
    held = not any(results[name] for name in wrong) and not results["violations"]
    return 0 if held and results["cases"] >= CASES else 1


def _fuzzed(bundle: Path, folder: Path) -> dict[str, Any]:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    log = folder / "log"
    with log.open("wb") as told:
        server = subprocess.Popen(
            [sys.executable, "-m", "shortlist", "serve", str(bundle), "--port", "0"],
            stderr=told,
            env={**os.environ, "SHORTLIST_KEYS": f"fuzzing:admin:{digest}"},
        )
    try:
        url = f"http://localhost:{_port(server, log)}"
        report = _run(url, folder)
        statuses = _statuses(url) if server.poll() is None else {}
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {
        "schemathesis": version("schemathesis"),
        "seed": SEED,
        "operations": report["operations"]["tested"],
        "cases": report["test_cases"]["generated"],
        "requests by status": statuses,
        "server errors": sum(count for code, count in statuses.items() if code >= "500"),
        "defects in the log": sum(one["event"] == "defect" for one in lines),
        "server's exit code": server.returncode,
        "violations": {
            f"{one['code']} {one['title']}": one["operations"] for one in report["failures"]
        },
        "errors of the run": len(report["errors"]),
        "seconds": round(report["running_time"]),
    }


def _run(url: str, folder: Path) -> dict[str, Any]:
    report = folder / "report.json"
    words = f"run {url}/openapi.json --seed {SEED} --max-examples {OF_EACH} --phases {PHASES} --exclude-checks positive_data_acceptance"
    words += f" --continue-on-failure --no-shrink --request-timeout 30 --no-color --report json --report-json-path {report}"
    command = [sys.executable, "-m", "schemathesis.cli", *words.split()]
    command += ["--header", f"Authorization: Bearer {KEY}"]
    with (folder / "told").open("w+") as told:
        subprocess.run(command, cwd=folder, stdout=told, stderr=told, check=False)
        told.seek(0)
        text = told.read()
    if not report.exists():
        raise SystemExit(f"schemathesis did not run:\n{text}")  # noqa: EM102
    found: dict[str, Any] = json.loads(report.read_text())
    if found["failures"] or found["errors"]:
        print(text, file=sys.stderr)
    return found


def _port(server: "subprocess.Popen[bytes]", log: Path) -> int:
    while server.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (told := json.loads(line))["event"] == "ready":
                return int(told["port"])
    raise SystemExit(log.read_text())


def _statuses(url: str) -> dict[str, int]:
    # as the service counted them
    headers = {"authorization": f"Bearer {KEY}"}
    asked = urllib.request.Request(f"{url}/metrics", headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        text = answer.read().decode()
    counts: dict[str, int] = {}
    for code, count in re.findall(
        r'^shortlist_requests_total\{.*status="(\d+)"\} (\d+)$', text, re.M
    ):
        counts[code] = counts.get(code, 0) + int(count)
    return dict(sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
