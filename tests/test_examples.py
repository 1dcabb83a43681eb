"""The examples call what there is."""

from __future__ import annotations

import importlib.util
import re
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.settings import PROJECT_ROOT

APPLICATIONS = PROJECT_ROOT / "examples" / "applications"
WORKFLOW = PROJECT_ROOT / "examples" / "github-workflow.yml"


def commands() -> list[str]:
    return re.findall(r"^\s+- run: (.*)$", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("make ")])
def test_the_workflow_calls_targets_that_there_are(command: str) -> None:
    assert command.split()[1] in targets()


def test_the_workflow_judges_before_it_applies() -> None:
    """A plan for review is judged; what is applied is planned and judged by ``deploy`` itself, and by nothing else."""
    said = commands()
    assert "make safe-to-apply" in said
    assert "make deploy ARGS=--yes" in said
    assert not [each for each in said if "terraform" in each and "apply" in each]


def test_the_workflow_shows_the_plans_to_whoever_reviews_the_change() -> None:
    """What judges a plan tells how many changes there are, and not which."""
    said = commands()
    (shown,) = [at for at, each in enumerate(said) if re.search(r"terraform .* plan ", each)]
    assert shown < said.index("make safe-to-apply")
    assert "-out" not in said[shown], "a plan that is applied is made by `deploy`"
    assert "-lock=false" in said[shown], "it only reads"


def test_the_first_deployment_does_not_fail_for_what_is_red_on_the_first_day() -> None:
    """`ready` is red until the bootstrap, which comes after the deployment, and until the first backup."""
    text = WORKFLOW.read_text(encoding="utf-8")
    (after,) = re.findall(r"- run: \S+ -m failoverctl ready\n(.*)$", text, re.MULTILINE)
    assert after.strip() == "continue-on-error: true"


# --- what an application may repeat (docs/applications.md, "Write so that it may be repeated")


class FromDatabase(Exception):
    """An error with PostgreSQL's code, as psycopg raises it; SQLAlchemy wraps it."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


class Wrapped(Exception):
    """As SQLAlchemy wraps it."""

    def __init__(self, sqlstate: str | None) -> None:
        self.orig = FromDatabase(sqlstate)


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the Python examples share."""
    spec = importlib.util.spec_from_file_location("payments", APPLICATIONS / "python" / "payments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "payments", module)  # dataclasses look it up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    return module


def paid(payments: Any, *errors: Exception) -> int:
    """Pays while the first attempts fail with these; returns how many attempts there were."""
    left, attempts = list(errors), 0

    def pay(_: Any) -> str:
        nonlocal attempts
        attempts += 1
        if left:
            raise left.pop(0)
        return "paid"

    payment = payments.Payment(uuid.uuid4(), 1, 1, datetime.now(UTC))
    assert payments.answered(payment, pay, (FromDatabase, Wrapped, OSError), 0) == "paid"
    return attempts


@pytest.mark.parametrize("wrapped", [FromDatabase, Wrapped])
@pytest.mark.parametrize("state", ["22003", "23505", "42883"])
def test_a_mistake_of_the_callers_is_not_repeated(payments: Any, wrapped: type[Any], state: str) -> None:
    with pytest.raises(wrapped):
        paid(payments, wrapped(state))


def test_everything_else_is_repeated_what_a_fenced_region_refuses_as_well(payments: Any) -> None:
    states = ("42501", "25006", "57P01", "40001", None)
    assert paid(payments, *map(FromDatabase, states), *map(Wrapped, states), OSError()) == 2 * len(states) + 2


@pytest.mark.parametrize("example", ["go/main.go", "java/Payments.java", "node/payments.mjs", "python/payments.py"])
def test_every_language_has_the_same_rule(example: str) -> None:
    text = (APPLICATIONS / example).read_text(encoding="utf-8")
    assert re.search(r'"22", "23", "42"', text)
    assert '"42501"' in text
    assert len(re.findall(r"\b(?:isFinal|is_final)\b", text)) >= 2, "it is said, and asked"
