"""A drill's folder on disk: its result and its report, complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from drills.verdict.result import DrillResult

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
LATEST = "latest"


def discard_latest(root: Path) -> None:
    """Removes ``root/latest``, so that a drill that crashes does not leave an older one's result there."""
    latest = root / LATEST
    if latest.is_dir() and not latest.is_symlink():
        shutil.rmtree(latest)
    else:
        latest.unlink(missing_ok=True)


def save(result: DrillResult, report: str, root: Path) -> Path:
    """Writes a drill's result and report into a folder of its own and makes it the latest.

    ``root/<start of the drill>/`` gets both files; then ``root/latest`` becomes a link to it (a copy where the file
    system has no links). Whoever looks at ``latest`` finds both files, complete, or nothing.

    Parameters
    ----------
    result : DrillResult
    report : str
        The text of report.html.
    root : Path
        The folder of all drills, ``build/drill``.

    Returns
    -------
    Path
        ``root/latest``.
    """
    folder = _new_folder(root, result.started_at)
    _write(folder / RESULT_FILE, result.to_json())
    _write(folder / REPORT_FILE, report)
    return make_latest(folder)


def make_latest(folder: Path) -> Path:
    """Makes ``latest``, beside a folder, a link to it (a copy where the file system has no links), and returns it."""
    root = folder.parent
    latest = root / LATEST
    link = folder / LATEST
    try:
        link.symlink_to(folder.name, target_is_directory=True)
    except OSError:  # no links on this file system, or not allowed
        discard_latest(root)
        shutil.copytree(folder, latest)
        return latest
    if latest.is_dir() and not latest.is_symlink():  # an earlier copy
        shutil.rmtree(latest)
    link.replace(latest)
    return latest


def _new_folder(root: Path, started_at: datetime) -> Path:
    stamp = started_at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(1, 1000):  # drills started within one second of each other
        folder = root / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root}/{stamp}-999 exists: remove the old drills in {root}")


def _write(path: Path, text: str) -> None:
    """Writes a file completely or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # mkstemp creates files for their owner only; a report is for everyone.
        os.fchmod(descriptor, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
