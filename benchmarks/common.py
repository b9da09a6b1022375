"""What every benchmark shares: where the data is, what machine this is, where results go."""

import argparse
import json
import os
import platform
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("shortlist", "numpy", "scipy", "polars", "torch", "onnxruntime")


def parse_data(description: str) -> Path:
    """Read ``--data``: the folder that holds ``splits/ml100k_train.parquet`` and the like."""
    return parse_jobs(description, ())[0]


def parse_jobs(description: str, jobs: Sequence[str]) -> tuple[Path, list[str]]:
    """Read ``--data``, and ``--only JOB ...``: which jobs to run again; all of them without."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with the larger data sets"
    )
    if jobs:
        parser.add_argument(
            "--only", nargs="+", choices=jobs, default=jobs, help="keep other jobs' results"
        )
    given = parser.parse_args()
    data: Path = given.data
    if not data.is_dir():
        parser.error(f"--data {data} is no folder; it should hold splits/ml100k_train.parquet")
    return data, list(given.only) if jobs else []


def written(name: str) -> dict[str, Any]:
    """Results that :func:`write` kept; none where there are none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())["results"]) if path.exists() else {}


def machine() -> dict[str, Any]:
    """Processor, cores, memory, operating system, Python."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "system": platform.system(),
        "python": platform.python_version(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def peak_megabytes() -> int:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write(name: str, claim: str, results: Any) -> None:
    """Print results, and keep them with the machine, the versions and the date."""
    document = {
        "claim": claim,
        "command": f"python benchmarks/{name}.py --data DATA",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {package: version(package) for package in _PACKAGES},
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({"claim": claim, "results": results}, indent=1))
