"""The Lambda packages: the same bytes from the same sources, whoever builds them, wherever and whenever.

Terraform compares a package's hash with the deployed one, so a package that differed from build to build would redeploy
every function each time. The zips are therefore written here, entry by entry.

``workflow`` is for the functions outside the VPC, ``database`` for those inside it, which talk to PostgreSQL.
Build both with ``python -m orchestration.packaging``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestration.service_models import service_models

CERTIFICATE_AUTHORITIES = PurePosixPath("handlers/rds-ca.pem")
WORKFLOW_REQUIREMENTS = PurePosixPath("handlers/requirements-workflow.txt")
DATABASE_REQUIREMENTS = PurePosixPath("handlers/requirements-database.txt")

# Each package, the files that name its vendored distributions, and what it leaves out of handlers/.
PACKAGES = {
    "workflow": ((WORKFLOW_REQUIREMENTS,), frozenset({CERTIFICATE_AUTHORITIES})),
    "database": ((WORKFLOW_REQUIREMENTS, DATABASE_REQUIREMENTS), frozenset[PurePosixPath]()),
}

# The functions run on Python 3.12 on arm64; wheels for both generations of manylinux fit Lambda's Amazon Linux 2023.
PIP_TARGET = (
    "--implementation=cp",
    "--python-version=3.12",
    "--platform=manylinux2014_aarch64",
    "--platform=manylinux_2_28_aarch64",
    "--only-binary=:all:",
)
PIP_SAFETY = ("--require-hashes", "--no-deps", "--no-compile", "--no-input", "--disable-pip-version-check", "--quiet")

COMPILED_SUFFIXES = frozenset({".so", ".pyd", ".dylib"})
# What no function here uses of the distributions: Powertools' REST interfaces (with 1.7 MB of Swagger UI) and other
# utilities, and time zones, of which the functions know only UTC.
UNUSED = (
    "aws_lambda_powertools/event_handler/",
    *(
        f"aws_lambda_powertools/utilities/{utility}/"
        for utility in (
            "auth_alpha",
            "batch",
            "circuit_breaker",
            "data_classes",
            "data_masking",
            "feature_flags",
            "kafka",
            "parameters",
            "parser",
            "streaming",
            "validation",
        )
    ),
    "bin/",
    "dateutil/zoneinfo/dateutil-zoneinfo.tar.gz",
)
# Of a distribution's metadata: its licence, and the version that pg8000 and scramp look up when they are imported.
KEPT_METADATA = re.compile(r"[^/]+\.dist-info/(METADATA|(licenses/)?(LICENSE|NOTICE)[^/]*)")

# A package is fetched and unpacked before its first import; this also keeps out what a newer distribution brings along.
LARGEST_BYTES = 3_000_000

# The earliest date that a zip can hold, and the permissions that Lambda needs: everyone may read.
ENTRY_DATE = (1980, 1, 1, 0, 0, 0)
ENTRY_MODE = 0o644
UNIX = 3  # "created on", in the zip's own numbering


class PackagingError(Exception):
    """A package cannot be built; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """A built zip.

    Attributes
    ----------
    path
        Where it was written.
    sha256_base64
        Its hash as Lambda (``CodeSha256``) and Terraform (``source_code_hash``) write it.
    size
        Its size in bytes.
    """

    path: Path
    sha256_base64: str
    size: int


def build_packages(root: Path, out: Path) -> dict[str, Package]:
    """Builds every package from the project in `root` and writes it to `out` as ``<name>.zip``.

    The vendored distributions are installed once into ``root/build/vendor``, which needs the package index; after that,
    a build needs no network and takes milliseconds, until a requirements file changes.

    Raises
    ------
    PackagingError
        When the distributions cannot be installed, one of them holds compiled code, or a package becomes too large.
    """
    out.mkdir(parents=True, exist_ok=True)
    packages = {}
    for name, (requirements, left_out) in PACKAGES.items():
        found = dict(_handler_files(root, left_out))
        for requirement in requirements:
            found.update(_vendored_files(vendor(root, root / requirement)))
        files = {inside: file.read_bytes() for inside, file in found.items()}
        files |= service_models(content.decode() for inside, content in files.items() if inside.endswith(".py"))
        packages[name] = _write_zip(files, out / f"{name}.zip")
        if packages[name].size > LARGEST_BYTES:
            raise PackagingError(
                f"{name}.zip has {packages[name].size:,} bytes, more than {LARGEST_BYTES:,}: add to UNUSED in "
                "orchestration/packaging.py what no function needs of the distributions"
            )
    return packages


def vendor(root: Path, requirements: Path) -> Path:
    """Returns the folder with the distributions that `requirements` pins, and installs them if it is missing."""
    key = hashlib.sha256(requirements.read_bytes() + " ".join(PIP_TARGET).encode()).hexdigest()[:16]
    folder = root / "build" / "vendor" / f"{requirements.stem}-{key}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Installed beside its place and then moved there, so that an interrupted installation leaves nothing half done.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as scratch:
        installed = Path(scratch) / "site-packages"
        _install(requirements, installed)
        _reject_compiled_code(installed, requirements)
        try:
            installed.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another build was faster; its result is the same
                raise
    return folder


def _install(requirements: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", *PIP_SAFETY, *PIP_TARGET]
    command += ["--target", str(target), "--requirement", str(requirements)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        errors = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")] or [finished.stderr]
        raise PackagingError(
            f"pip could not install {requirements}: {errors[-1].strip()}\n"
            "The first build needs pip and its package index; later ones need neither. Restore them and try again."
        )


def _reject_compiled_code(installed: Path, requirements: Path) -> None:
    for file in sorted(installed.rglob("*")):
        if file.suffix in COMPILED_SUFFIXES:
            raise PackagingError(
                f"{file.relative_to(installed)} is compiled code. The lab runs the Lambda packages on this machine as "
                f"they are, so {requirements} may name pure Python distributions only."
            )


def _handler_files(root: Path, left_out: frozenset[PurePosixPath]) -> Iterator[tuple[str, Path]]:
    for file in (root / "handlers").rglob("*"):
        name = PurePosixPath(file.relative_to(root).as_posix())
        unwanted = name in left_out or name.name.startswith("requirements-")
        left_by_a_tool = "__pycache__" in name.parts or name.name.startswith(".") or name.name.endswith("~")
        if file.is_file() and not unwanted and not left_by_a_tool:
            yield str(name), file


def _vendored_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in folder.rglob("*"):
        name = PurePosixPath(file.relative_to(folder).as_posix())
        metadata = name.parts[0].endswith(".dist-info") and not KEPT_METADATA.fullmatch(str(name))
        unused = str(name).startswith(UNUSED) or "__pycache__" in name.parts
        if file.is_file() and not metadata and not unused:
            yield str(name), file


def _write_zip(files: dict[str, bytes], path: Path) -> Package:
    """Writes `files` (content by name) so that only their names and contents decide the result.

    Stored, not compressed: the output of zlib for the same input differs between its versions and its replacements.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, ENTRY_DATE)
            entry.create_system = UNIX
            entry.external_attr = ENTRY_MODE << 16
            archive.writestr(entry, files[name])
    # Moved into place when whole, because a drill may be reading the package at this moment.
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    scratch.write_bytes(content.getvalue())
    scratch.replace(path)
    digest = hashlib.sha256(content.getvalue()).digest()
    return Package(path, base64.b64encode(digest).decode(), len(content.getvalue()))


def main() -> int:
    """Builds the packages into ``build/packages`` and prints each one's name, size and hash."""
    root = Path(__file__).resolve().parent.parent
    try:
        packages = build_packages(root, root / "build" / "packages")
    except PackagingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, package in packages.items():
        print(f"{name:<10} {package.size:>9,} bytes  sha256 {package.sha256_base64}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
