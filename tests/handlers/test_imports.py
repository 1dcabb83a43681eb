"""The handlers stand alone: a zip holds them, Powertools and pg8000, and Lambda's runtime adds boto3."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT

HANDLERS = PROJECT_ROOT / "handlers"
MODULES = sorted(HANDLERS.rglob("*.py"))
IN_EVERY_ZIP = {"handlers", "boto3", "botocore", "aws_lambda_powertools"}
# The driver is in the zip of the functions inside the VPC only.
WITH_DRIVER = {"standing/salvage.py", "gateways/postgres.py"}


def imported(module: Path) -> set[str]:
    """The top-level packages that a module imports when it runs; imports for types alone do not count."""
    tree = ast.parse(module.read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names)


def at_start(name: str) -> set[str]:
    """Every module that a cold start of a function imports; what other distributions import is not looked at."""
    found: set[str] = set()
    unseen = {name}
    while unseen:
        one = unseen.pop()
        found.add(one)
        file = PROJECT_ROOT / f"{one.replace('.', '/')}.py"
        if file.exists():
            body = ast.parse(file.read_text()).body
            imports = [node for node in body if isinstance(node, ast.ImportFrom)]
            named = {str(node.module) for node in imports}
            named |= {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
            unseen |= named - found
    return found


@pytest.mark.parametrize(
    ("function", "rare"),
    [
        ("standing.monitor", "handlers.core.readiness"),  # what readiness looks at
        ("failover.switch_over", "handlers.core.readiness"),
        ("failover.notify", "aws_lambda_powertools.utilities.idempotency"),  # it imports boto3
    ],
)
def test_a_cold_start_imports_nothing_that_it_may_not_need(function: str, rare: str) -> None:
    assert rare not in at_start(f"handlers.{function}")


def test_what_a_cold_start_imports_would_be_found() -> None:
    assert "handlers.core.readiness" in at_start("handlers.standing.readiness")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(HANDLERS)))
def test_a_module_imports_only_what_its_zip_holds(module: Path) -> None:
    driver = {"pg8000"} if str(module.relative_to(HANDLERS)) in WITH_DRIVER else set()
    assert imported(module) <= IN_EVERY_ZIP | driver


@pytest.mark.parametrize("module", sorted((HANDLERS / "core").glob("*.py")), ids=lambda module: module.name)
def test_decisions_know_no_aws(module: Path) -> None:
    assert imported(module) <= {"handlers"}
    assert "handlers.gateways" not in module.read_text().replace("`handlers.gateways", "")


def test_what_is_in_no_zip_would_be_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import json\nfrom orchestration import settings\nif True:\n    import drills.lab\n")
    assert imported(module) == {"orchestration", "drills"}
