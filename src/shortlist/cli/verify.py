"""``shortlist verify``: is a bundle whole?"""

from typing import Any

from shortlist.cli.options import AsJson, BundleDir
from shortlist.cli.printing import as_json, show

EXAMPLE = "Example: shortlist verify movies.bundle"


def verify(bundle: BundleDir, *, json: AsJson = False) -> None:
    """Check that a bundle is whole.

    Compares every byte with the manifest, and says what the bundle holds.
    """
    import shortlist as sl

    manifest = sl.verify(bundle)
    size = sum(seal["bytes"] for seal in manifest["files"].values())
    if json:
        as_json({"bundle": str(bundle), "whole": True, "bytes": size, "manifest": manifest})
        return
    lineage = manifest["lineage"]
    show(
        f"{bundle} is whole: {len(manifest['files'])} files, {size / 1e6:.1f} MB, every hash as published",
        f"holds    {manifest['name']}; fallback {manifest['fallback']}",
        f"fitted   {manifest['created']}, on {lineage['rows']:,} rows of {lineage['users']:,} users "
        f"and {lineage['items']:,} items",
        f"written  by shortlist {manifest['versions']['shortlist']}, format {manifest['format']}",
    )
    for name, kept in manifest["metrics"].items():
        show(f"measured {_measured(name, kept)}")


def _measured(name: str, kept: Any) -> str:
    words = kept.get("comparison", {}).get("summary", "") if isinstance(kept, dict) else kept
    protocol = kept.get("name", "") if isinstance(kept, dict) else ""
    return f"{name} {protocol}: {words}"
