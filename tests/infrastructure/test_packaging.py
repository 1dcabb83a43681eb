"""The Lambda packages: same bytes from same sources, complete, and pure Python."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from orchestration.packaging import (
    CERTIFICATE_AUTHORITIES,
    DATABASE_REQUIREMENTS,
    LARGEST_BYTES,
    WORKFLOW_REQUIREMENTS,
    Package,
    PackagingError,
    build_packages,
    vendor,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return build_packages(ROOT, tmp_path_factory.mktemp("packages"))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what goes into the packages, in another folder."""
    root = tmp_path / "another place"
    shutil.copytree(ROOT / "handlers", root / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    for requirements in (WORKFLOW_REQUIREMENTS, DATABASE_REQUIREMENTS):
        installed = vendor(ROOT, ROOT / requirements)
        shutil.copytree(installed, root / installed.relative_to(ROOT))
    return root


def names(package: Package) -> list[str]:
    with zipfile.ZipFile(package.path) as archive:
        return archive.namelist()


def hashes(packages: dict[str, Package]) -> dict[str, str]:
    return {name: package.sha256_base64 for name, package in packages.items()}


# The same bytes ---------------------------------------------------------------------------------------------------


def test_another_folder_with_other_dates_and_rights_and_leftovers_gives_the_same_bytes(
    packages: dict[str, Package], clone: Path
) -> None:
    for file in clone.rglob("*.py"):
        os.utime(file, (0, 86_400 * 365))
        file.chmod(0o700)
    leftovers = ("handlers/failover/__pycache__/claim.pyc", "handlers/.DS_Store", "handlers/failover/claim.py~")
    for leftover in leftovers:
        (clone / leftover).parent.mkdir(exist_ok=True)
        (clone / leftover).write_text("left by a tool")
    before = os.umask(0o077)
    try:
        built = build_packages(clone, clone / "out")
    finally:
        os.umask(before)
    for name, package in packages.items():
        assert built[name].path.read_bytes() == package.path.read_bytes(), name


def test_a_changed_handler_changes_both_packages(packages: dict[str, Package], clone: Path) -> None:
    (clone / "handlers" / "added.py").write_text("ADDED = True\n")
    built = build_packages(clone, clone / "out")
    for name in ("workflow", "database"):
        assert hashes(built)[name] != hashes(packages)[name]
        assert "handlers/added.py" in names(built[name])


def test_entries_are_sorted_and_stored_so_that_no_compressor_has_a_say(packages: dict[str, Package]) -> None:
    for package in packages.values():
        with zipfile.ZipFile(package.path) as archive:
            entries = archive.infolist()
        assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {0o644}


def test_hash_and_size_are_those_lambda_will_report(packages: dict[str, Package]) -> None:
    for package in packages.values():
        content = package.path.read_bytes()
        assert package.sha256_base64 == base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert package.size == len(content)


# What is in them --------------------------------------------------------------------------------------------------


def test_only_the_database_package_has_the_driver_and_the_certificate_authorities(packages: dict[str, Package]) -> None:
    only_database = set(names(packages["database"])) - set(names(packages["workflow"]))
    assert str(CERTIFICATE_AUTHORITIES) in only_database
    assert "pg8000/core.py" in only_database
    assert set(names(packages["workflow"])) < set(names(packages["database"]))


def test_every_handler_is_in_both_packages(packages: dict[str, Package]) -> None:
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "handlers").rglob("*.py")}
    assert sources
    for package in packages.values():
        assert sources <= set(names(package))


def test_nothing_useless_or_compiled_is_in_them(packages: dict[str, Package]) -> None:
    useless = re.compile(r"__pycache__|\.pyc$|\.so$|\.min\.js$|^bin/|requirements-|RECORD$|(^|/)tests?/")
    for package in packages.values():
        assert [name for name in names(package) if useless.search(name)] == []


def test_each_package_is_under_three_megabytes(packages: dict[str, Package]) -> None:
    assert all(package.size < 3_000_000 for package in packages.values())


def test_a_package_that_becomes_too_large_is_refused_with_what_to_do(clone: Path) -> None:
    (clone / "handlers" / "large.py").write_text("#" * LARGEST_BYTES)
    with pytest.raises(PackagingError, match=r"workflow\.zip has .* bytes, more than 3,000,000: add to UNUSED"):
        build_packages(clone, clone / "out")


def test_the_licence_of_every_distribution_is_in_its_package(packages: dict[str, Package]) -> None:
    for package in packages.values():
        distributions = {name.split("/")[0] for name in names(package) if name.endswith(".dist-info/METADATA")}
        licensed = {name.split("/")[0] for name in names(package) if re.search(r"\.dist-info/.*LICENSE", name)}
        assert distributions == licensed
        assert distributions


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("workflow", "aws_lambda_powertools.logging, aws_lambda_powertools.metrics"),
        ("database", "aws_lambda_powertools.logging, aws_lambda_powertools.metrics, pg8000.native"),
    ],
)
def test_vendored_distributions_import_from_the_package_alone(
    packages: dict[str, Package], package: str, modules: str
) -> None:
    program = f"import sys; sys.path.insert(0, sys.argv[1]); import {modules}; print(aws_lambda_powertools.__file__)"
    # -S: without site-packages nothing but the package can provide them.
    imported = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(packages[package].path)], capture_output=True, text=True
    )
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith(str(packages[package].path))


def pins(requirements: PurePosixPath) -> set[tuple[str, ...]]:
    """Each distribution that a requirements file names, and its version."""
    lines = (ROOT / requirements).read_text().splitlines()
    return {tuple(line.split()[0].split("==")) for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize("requirements", [WORKFLOW_REQUIREMENTS, DATABASE_REQUIREMENTS])
def test_vendored_versions_are_those_the_tests_run_with(requirements: PurePosixPath) -> None:
    assert pins(requirements)
    assert pins(requirements) <= pins(PurePosixPath("constraints.txt"))


# What is refused --------------------------------------------------------------------------------------------------


def wheel_requirement(folder: Path, *, file: str) -> Path:
    """Write a wheel that holds `file`, and a requirements file that pins it; return the latter."""
    wheel = folder / "native-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(file, b"x")
        archive.writestr("native-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: native\nVersion: 1\n")
        archive.writestr("native-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("native-1.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements = folder / "requirements-native.txt"
    requirements.write_text(f"native @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return requirements


def test_compiled_code_is_refused_by_name_and_not_kept(tmp_path: Path) -> None:
    requirements = wheel_requirement(tmp_path, file="native/_speedups.so")
    with pytest.raises(PackagingError, match=r"native/_speedups\.so is compiled code.*requirements-native\.txt"):
        vendor(tmp_path, requirements)
    assert list((tmp_path / "build" / "vendor").iterdir()) == []


@pytest.mark.parametrize("pin", [f" --hash=sha256:{'0' * 64}", ""], ids=["another hash", "no hash"])
def test_a_distribution_that_is_not_pinned_by_its_hash_is_refused_and_not_kept(tmp_path: Path, pin: str) -> None:
    requirements = wheel_requirement(tmp_path, file="native/a.py")
    requirements.write_text(requirements.read_text().split(" --hash")[0] + pin + "\n")
    with pytest.raises(PackagingError, match=r"pip could not install .*requirements-native\.txt"):
        vendor(tmp_path, requirements)
    assert list((tmp_path / "build" / "vendor").iterdir()) == []


def test_distributions_are_installed_once_and_again_when_their_file_changes(tmp_path: Path) -> None:
    requirements = wheel_requirement(tmp_path, file="native/a.py")
    first = vendor(tmp_path, requirements)
    assert (first / "native" / "a.py").read_bytes() == b"x"
    (tmp_path / "native-1-py3-none-any.whl").unlink()
    assert vendor(tmp_path, requirements) == first  # no index needed: pip would fail without the wheel
    requirements.write_text(requirements.read_text() + "# changed\n")
    with pytest.raises(PackagingError):
        vendor(tmp_path, requirements)


# The certificate authorities of RDS -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authorities() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((ROOT / CERTIFICATE_AUTHORITIES).read_bytes())


def common_name(certificate: x509.Certificate) -> str:
    name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert isinstance(name, str)
    return name


def test_every_certificate_is_a_valid_self_signed_root_of_amazon_rds(authorities: list[x509.Certificate]) -> None:
    for certificate in authorities:
        name = common_name(certificate)
        assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == (
            "Amazon Web Services, Inc."
        ), name
        certificate.verify_directly_issued_by(certificate)  # issuer, subject and signature
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical, name
        assert constraints.value.ca, name
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign, name
        assert certificate.not_valid_before_utc < datetime.now(UTC) < certificate.not_valid_after_utc, name


def test_every_region_has_its_three_roots_once_and_the_regions_of_the_design_are_there(
    authorities: list[x509.Certificate],
) -> None:
    roots: defaultdict[str, list[str]] = defaultdict(list)
    for certificate in authorities:
        match = re.fullmatch(r"Amazon RDS ([a-z]{2}-[a-z]+-\d) Root CA (\w+) G1", common_name(certificate))
        assert match, common_name(certificate)
        roots[match[1]].append(match[2])
    assert {"us-east-1", "us-west-2", "us-east-2"} <= set(roots)
    assert list(roots) == sorted(roots)
    for region, keys in roots.items():
        assert keys == ["ECC384", "RSA2048", "RSA4096"], region
