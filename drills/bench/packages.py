"""The Lambda packages: how large each is, and what of."""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from drills.bench.findings import Findings
from orchestration.packaging import LARGEST_BYTES, Package, build_packages
from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 1_000_000


def measure(say: Callable[[str], None]) -> Findings:
    """Builds the packages and counts what is in them."""
    say("packages: building")
    with tempfile.TemporaryDirectory() as folder:
        packages = build_packages(PROJECT_ROOT, Path(folder))
        parts = {name: _parts(package) for name, package in packages.items()}
    sizes = {name: package.size for name, package in packages.items()}
    names = list(dict.fromkeys(part for found in parts.values() for part, _ in found.most_common()))
    rows = [("all", *(f"{size / MEGABYTE:.2f}" for size in sizes.values()))]
    rows += [(part, *(f"{found[part] / MEGABYTE:.2f}" for found in parts.values())) for part in names]
    return Findings(
        "Lambda packages, MB (not compressed, so that no compressor decides their bytes)",
        ("part", *packages),
        tuple(rows),
        {"bytes": sizes, "demanded_at_most_bytes": LARGEST_BYTES, "parts": parts},
        passed=max(sizes.values()) <= LARGEST_BYTES,
    )


def _parts(package: Package) -> Counter[str]:
    found: Counter[str] = Counter()
    with zipfile.ZipFile(package.path) as archive:
        for entry in archive.infolist():
            top, _, rest = entry.filename.partition("/")
            part = "AWS service models" if rest.startswith("models/") else top.partition("-")[0].removesuffix(".py")
            found[part] += entry.file_size
    return found
