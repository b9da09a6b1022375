"""Runs every benchmark; results go to ``benchmarks/results``."""

import subprocess
import sys
from pathlib import Path

from common import parse_data

SCRIPTS = (
    "quality_ml100k",
    "blend_ml100k",
    "rating_ml100k",
    "rating_models",
    "sequence_curve",
    "tutorials",
    "tutorial_speed",
    "evaluation_speed",
    "second_stage",
    "diversity",
    "graph_filter",
    "next_item",
    "tower_scale",
    "beauty_family",
    "als",
    "export",
    "litert",
    "serving",
    "serving_soak",
    "fuzzing",
)


def main() -> None:
    """One after the other, so that none disturbs another's clock."""
    data = parse_data(__doc__ or "")
    for name in SCRIPTS:
        script = Path(__file__).with_name(f"{name}.py")
        subprocess.run([sys.executable, script, "--data", data], check=True)


if __name__ == "__main__":
    main()
