"""Reads out of the runs there have been how long Aurora took, and how long the way from the alarm to the workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from failoverctl.account import Account
from handlers.core.history import json_object
from handlers.core.readiness import NotSeen, Said
from orchestration.measured import ASSUMED_PROMOTION_S, Move

RUNS_LOOKED_AT = 50  # in each region; Step Functions remembers 90 days
# What steps of a run are called in its record (`handlers.core.failover_progress`).
ASKED: dict[Move, str] = {"failover": "detach_secondary", "switchover": "switch_over"}
TAKES_WRITES = "promote"
# Aurora guide: a switchover typically takes less than a minute; the run itself waits for longer.
SWITCHOVER_S = 120.0
TRIGGER_S = 10.0
BY_ALARM = "alarm "  # how the rule on the alarm begins `started_by` (specification/monitoring.py)


def promotion(account: Account, _: str) -> Said:
    """Looks how long the last failover waited from its request to RDS until the new writer took a write."""
    took, run = _moved(account, "failover")
    words = f"{took:.1f} s in run {run}; drills take it as {ASSUMED_PROMOTION_S:g} s"
    return "ok" if took <= ASSUMED_PROMOTION_S else "warning", words


def switchover(account: Account, _: str) -> Said:
    """Looks how long the last switchover waited from its request to RDS until the new writer took a write."""
    took, run = _moved(account, "switchover")
    return "ok" if took <= SWITCHOVER_S else "warning", f"{took:.1f} s in run {run}"


def trigger(account: Account, _: str) -> Said:
    """Looks how long after the alarm's event the last run started that the alarm has started."""
    for described in _runs(account):
        asked = json_object(described.get("input")) or {}
        if str(asked.get("started_by", "")).startswith(BY_ALARM) and isinstance(asked.get("asked_at"), str):
            # The event says its time in whole seconds.
            late = described["startDate"].timestamp() - datetime.fromisoformat(asked["asked_at"]).timestamp()
            words = f"{late:.0f} s from the alarm's event to the start of run {described['name']}"
            return "ok" if late <= TRIGGER_S else "warning", words
    raise NotSeen("no alarm has started a run yet")


def _moved(account: Account, mode: Move) -> tuple[float, str]:
    """Returns how long Aurora took in the last run of ``mode`` that moved the writer (s), and the run's name."""
    for described in _runs(account):
        record = json_object(described.get("output")) or {}
        if record.get("outcome") == "recovered" and record.get("mode") == mode:
            phases = {each["phase"]: each for each in record.get("phases", ())}
            if ASKED[mode] in phases and TAKES_WRITES in phases:
                return float(phases[TAKES_WRITES]["ended"]) - float(phases[ASKED[mode]]["began"]), described["name"]
    raise NotSeen(f"there was no {mode} yet that moved the writer")


def measured_promotion(account: Account, move: Move) -> tuple[float, str] | None:
    """Returns how long Aurora's promotion took in the last such move (s), and its run; None where there was none."""
    try:
        return _moved(account, move)
    except NotSeen:
        return None


def _runs(account: Account) -> Iterator[Mapping[str, Any]]:
    """Yields the last runs of the failover workflow that have ended well, described, the newest first."""
    listed = [
        (each, region)
        for region in account.regions
        for each in account.answer(
            "stepfunctions",
            region,
            "list_executions",
            stateMachineArn=account.names.state_machine_arn(region),
            statusFilter="SUCCEEDED",
            maxResults=RUNS_LOOKED_AT,
        )["executions"]
    ]
    for each, region in sorted(listed, key=lambda one: one[0]["startDate"], reverse=True):
        yield account.answer("stepfunctions", region, "describe_execution", executionArn=each["executionArn"])
