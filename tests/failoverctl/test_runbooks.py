"""Every command of the runbooks as it is written, in the deployment of the tests; `make drills` types them in a lab."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from failoverctl import command, replay
from orchestration import safe_to_apply
from orchestration.terraform import Change
from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl, Said
from tests.failoverctl.test_break_glass import master_secret
from tests.failoverctl.test_replay import URL, Bank
from tests.runbook import RUNBOOKS, Reader, sections, steps

PATIENCE_S = 20.0
AUTOMATIC = {"mode": "failover", "started_by": "monitor", "automatic": True, "epoch": 1, "attempt": 1}

Follow = Callable[..., Reader]


@pytest.fixture
def follow(ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Follow:
    """Follow a section of a runbook, at a terminal whose user says yes."""

    def confirm(question: str) -> bool:
        command.sys.stdout.write(f"{question} [y/N]: y\n")  # type: ignore[attr-defined]  # what the call prints to
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.chdir(tmp_path)  # where a report is written

    def call(words: list[str]) -> Said:
        return ctl(*words, at_terminal=True)

    return lambda page, section, **knows: Reader(page, section, call, PATIENCE_S, **knows)


@pytest.fixture
def failed_over(deployment: Deployment) -> str:
    """An outage, after which the standby has the writer by itself; the run's name."""
    deployment.writer_dies()
    assert deployment.run(AUTOMATIC, "run-1").output["outcome"] == "recovered"
    return "run-1"


@pytest.fixture
def reprotected(deployment: Deployment, failed_over: str) -> None:
    assert deployment.reprotect().end == "Reprotected"
    deployment.new_writer_beats()


@pytest.fixture
def lively(deployment: Deployment) -> None:
    """The writer's guardian has just renewed whenever a run looks, however long this machine took to get there."""

    def renew(step: str, event: object) -> None:
        if step in ("claim", "check_health"):
            deployment.new_writer_beats()

    deployment.lambdas.before = renew


def stopped_at(deployment: Deployment, step: str, mode: str = "failover") -> str:
    """A run that was stopped by hand once a step had done its work; its name."""
    deployment.run_until(step, {"mode": mode, "started_by": "ada"}, "run-1")
    deployment.stop("run-1")
    deployment.lambdas.before = deployment.lambdas.after = lambda step, event: None
    return "run-1"


# --- the worst night


def test_a_failover_happened(follow: Follow, failed_over: str) -> None:
    follow("failover.md", "A failover happened").rest()


def test_a_failover_is_started_by_hand(follow: Follow, deployment: Deployment) -> None:
    deployment.writer_dies()
    follow("failover.md", "Start by hand").rest()
    assert deployment.record()["writer_region"] == STANDBY


def test_nothing_moves(follow: Follow, deployment: Deployment) -> None:
    deployment.run(AUTOMATIC, "run-1")
    follow("failover.md", "Nothing moves").rest()


def test_a_run_waits_for_you(follow: Follow, deployment: Deployment, asking: str) -> None:
    follow("gate.md", "A run waits for you").rest()
    assert deployment.record()["writer_region"] == STANDBY


def test_you_say_no(follow: Follow, deployment: Deployment, asking: str) -> None:
    reader = follow("gate.md", "Say no")
    reader.next()
    deployment.wait_for_end(asking)
    reader.rest()
    assert deployment.record()["writer_region"] == WRITER
    assert "ended_by_person" not in deployment.record()


def test_you_are_too_late(follow: Follow, deployment: Deployment, asking_shortly: str) -> None:
    deployment.wait_for_end(asking_shortly)
    follow("gate.md", "Too late").rest()
    assert deployment.record()["writer_region"] == STANDBY


def test_replication_lags(follow: Follow) -> None:
    follow("gate.md", "Replication lags").rest()


def test_a_run_that_has_asked_rds_is_finished(follow: Follow, deployment: Deployment) -> None:
    deployment.writer_dies()
    stopped_at(deployment, "detach_secondary")
    reader = follow("stuck.md", "It has asked RDS")
    refusal = reader.steps.pop()  # what must not be done is tried first
    reader.next()
    reader.steps.insert(0, refusal)
    reader.next()
    reader.rest()
    assert deployment.record()["writer_region"] == STANDBY


@pytest.mark.parametrize(("step", "mode"), [("claim", "failover"), ("fence_old_writer", "switchover")])
def test_a_run_that_never_asked_rds_gives_its_lock_back(
    follow: Follow, deployment: Deployment, step: str, mode: str
) -> None:
    stopped_at(deployment, step, mode)
    follow("stuck.md", "It never asked RDS").rest()
    assert deployment.lock() is None


def test_a_run_that_should_not_work_is_stopped(follow: Follow, deployment: Deployment, asking: str) -> None:
    follow("stuck.md", "It works, and should not").rest()
    assert (deployment.lock() or {})["wanted"] == "abort"


def test_the_workflow_itself_is_down(follow: Follow, deployment: Deployment) -> None:
    master_secret(deployment)
    deployment.writer_dies()
    follow("break-glass.md", "The workflow itself is down").rest()
    assert deployment.record()["writer_region"] == STANDBY


def test_the_old_region_is_back(follow: Follow, deployment: Deployment, failed_over: str) -> None:
    deployment.old_region_returns()
    follow("old-region.md", "The old region is back").rest()


def test_a_standby_is_built_again(follow: Follow, deployment: Deployment, failed_over: str) -> None:
    deployment.old_region_returns()
    follow("reprotection.md", "Re-protect").rest()
    assert deployment.record()["protected"] is True


def test_what_was_salvaged_is_read(follow: Follow, deployment: Deployment, failed_over: str) -> None:
    deployment.databases.rows[WRITER][1] = "lost"
    deployment.reprotect()
    reader = follow("reprotection.md", "Salvage")
    reader.next()
    reader.next()
    assert '{"id": 1, "note": "lost"}' in reader.next()
    assert not reader.steps


def test_what_was_salvaged_is_written_again(
    follow: Follow, deployment: Deployment, failed_over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.databases.rows[WRITER][1] = "lost"
    deployment.reprotect()
    bank = Bank()
    monkeypatch.setattr(replay, "Connection", lambda url: bank if url == URL else None)
    follow("reprotection.md", "Write them again", url=URL).rest()
    assert bank.has == {"1", "2"}


# --- by daylight


def test_the_writer_goes_back(follow: Follow, deployment: Deployment, reprotected: None, lively: None) -> None:
    reader = follow("failback.md", "Fail back")
    for _ in range(3):
        reader.next()
    deployment.new_writer_beats()
    reader.rest()
    assert deployment.record()["writer_region"] == WRITER


def test_the_writer_is_moved_for_maintenance(follow: Follow, deployment: Deployment, lively: None) -> None:
    reader = follow("switchover.md", "Switch over for maintenance")
    for _ in range(3):
        reader.next()
    deployment.new_writer_beats()
    reader.rest()
    assert deployment.record()["writer_region"] == STANDBY


def test_a_region_is_left_on_purpose(follow: Follow, deployment: Deployment, lively: None) -> None:
    reader = follow("evacuate.md", "Leave a region on purpose")
    reader.next()
    deployment.new_writer_beats()
    reader.rest()
    assert deployment.record()["paused"]["reason"] == "us-east-1 is evacuated"


@pytest.fixture
def bootstrapped(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The events with which the bootstrap was invoked: its database is not here."""
    asked: list[object] = []
    invoke = deployment.lambdas.invoke

    def answer(region: str, name: str, event: object) -> Any:
        if "bootstrap" not in name:
            return invoke(region, name, event)
        asked.append(event)
        return deployment.lambdas._answer(
            lambda: {"cluster": "payments-use1-test", "statements": 9, "reserved_connections": 10}
        )

    monkeypatch.setattr(deployment.lambdas, "invoke", answer)
    return asked


def test_the_engine_is_upgraded(follow: Follow, deployment: Deployment, bootstrapped: list[object]) -> None:
    reader = follow("upgrade.md", "Upgrade the engine")
    reader.next()
    reader.next()
    assert deployment.record()["paused"]["maintenance"] is True
    reader.rest()
    assert "paused" not in deployment.record()
    assert bootstrapped == [{}]


@pytest.fixture
def new_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raised `password_version`, as Terraform would plan it."""
    changed = frozenset({"master_password_wo_version"})
    plan = [Change("aws_rds_cluster.cluster", "aws_rds_cluster", ("update",), changed, "payments-use1-test")]
    monkeypatch.setattr(safe_to_apply, "planned", lambda stack: plan)

    def write(*lines: str, sep: str = "\n", file: object = None) -> None:
        command.sys.stdout.write(sep.join(lines) + "\n")  # type: ignore[attr-defined]  # as above

    monkeypatch.setattr(safe_to_apply, "print", write, raising=False)


def test_the_master_password_is_rotated(
    follow: Follow, deployment: Deployment, bootstrapped: list[object], new_password: None
) -> None:
    follow("password.md", "Rotate the master password").rest()
    assert bootstrapped == [{}]


def test_the_master_password_is_not_rotated_where_the_writer_is_elsewhere(
    follow: Follow, deployment: Deployment, reprotected: None, new_password: None
) -> None:
    follow("password.md", "It is not safe").rest()


def test_the_orchestrator_is_asked_whether_it_works(follow: Follow) -> None:
    follow("orchestrator.md", "The orchestrator is broken").rest()


def test_applications_are_refused_by_a_healthy_writer(follow: Follow, deployment: Deployment) -> None:
    deployment.guardian_was_here(ago_s=60)
    deployment.databases.fenced[WRITER] = True
    deployment.databases.fence_number[WRITER] = 7
    follow("orchestrator.md", "Applications are refused by a healthy writer").rest()
    assert deployment.databases.takes_writes(WRITER)


def test_a_backup_is_restored_in_a_pause(follow: Follow, deployment: Deployment) -> None:
    follow("restore.md", "Restore from a backup").rest()
    assert "paused" not in deployment.record()


# --- all of them


def test_every_section_with_commands_is_followed_here() -> None:
    followed = set(re.findall(r'follow\("([^"]+)", "([^"]+)"[,)]', Path(__file__).read_text()))
    pages = [page.name for page in RUNBOOKS.glob("*.md")]
    written = {(page, section) for page in pages for section in sections(page) if steps(page, section)}
    assert followed == written
