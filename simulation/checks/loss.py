"""What a move of the writer would lose, as far as anybody can know it: P5 forbids one by that, and P9 demands it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulation.checks.facts import Facts
from simulation.virtual_time import STARTS_AT

# Losing so much asks nobody (seconds of writes, the budget of the settings), and a heartbeat in the record that is
# older than that says nothing of it.
RPO_BUDGET_S, OLDEST_BEAT_S = 1.0, 180.0


def too_much_is_lost(facts: Facts, record: Mapping[str, Any], standby: str, at: float, read_at: float) -> str:
    """Returns why people have to be asked before a move to the ``standby`` at that moment; empty where they need not.

    The record's last heartbeat says up to when the writer has committed, if it was not too old when it was read, at
    ``read_at``.
    """
    beat = record.get("heartbeat")
    if beat is None:
        return "of which no heartbeat is known"
    committed = beat["at"] - STARTS_AT
    if read_at - committed > OLDEST_BEAT_S:
        return f"whose last heartbeat is {read_at - committed:.0f} s old"
    has = facts.has_everything_until(standby).at(at)
    missing = 0.0 if has is None else committed - has
    return f"of which the standby lacks {missing:.1f} s of writes" if missing > RPO_BUDGET_S else ""


def heartbeats_missing(facts: Facts, record: Mapping[str, Any], standby: str, at: float) -> int:
    """Returns how many heartbeats the ``standby`` lacks then, up to the record's last one."""
    has, last = facts.has_everything_until(standby).at(at), record["heartbeat"]["seq"]
    if has is None:
        return 0
    beats = [record.get("heartbeat") for _, record in facts.record.changes]
    there = [beat["seq"] for beat in beats if beat is not None and beat["at"] - STARTS_AT <= has]
    return int(last - max(there, default=last))
