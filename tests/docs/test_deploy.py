"""The files in deploy/ are what they say: settings are read, units verified, named files are there."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("msgspec", reason="the extra serve is not installed")

from shortlist.serving.settings import read_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def test_the_settings_are_read() -> None:
    settings = read_settings({"bundle": "movies.bundle"}, DEPLOY / "serve.toml", {})
    assert (settings.workers, settings.proxies) == (2, ("127.0.0.1",))


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    for unit in DEPLOY.glob("shortlist*"):  # whose program is not installed here
        text = unit.read_text().replace("/opt/shortlist/bin/shortlist", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    units = sorted(map(str, tmp_path.iterdir()))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in told.stderr.splitlines() if "shortlist" in line]
    assert not ours, told.stderr
    assert len(units) == 3
