"""The stand-in for the two databases, and for the functions that need a session on one: prober and salvage."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from handlers.core.commands import WARM_UP
from handlers.core.health import Installed, Probe
from handlers.core.heartbeat import Beat
from handlers.core.sessions import MOST_SESSIONS
from handlers.gateways.catalog import RESERVED_CONNECTIONS
from tests.deployment.clock import CLOCK
from tests.deployment.regions import STANDBY, WRITER

# The standby's transactions had ended below this id.
OLDEST_XID = 700
WORK = ("proof", "heartbeat", "lease", "fence", "lift_fence", "lag", "installed")
# How long somebody waits for a database that does not answer: a monitor's tick goes on after a second, and this clock,
# which has one thread, would go on with the prober.
LONGEST_WAIT_S = 1.0


class Databases:
    """Two clusters and the writer's name, as the prober functions of both regions see them."""

    def __init__(self, is_switched: Callable[[], bool]) -> None:
        self.installed = Installed((), login_trigger=True, reserved_connections=MOST_SESSIONS)
        self._is_switched = is_switched
        self.up = {WRITER: True, STANDBY: True}
        self.writes = {WRITER: True, STANDBY: False}
        self.proofs: list[tuple[str, str, int]] = []  # region, run, epoch
        self.fenced = {WRITER: False, STANDBY: False}  # by SQL
        self.fence_number = {WRITER: 0, STANDBY: 0}
        self.noted_lease: dict[str, float | None] = {WRITER: None, STANDBY: None}
        self.admits = {WRITER: True, STANDBY: True}  # by security group
        self.heartbeat: dict[str, Beat | None] = {WRITER: None, STANDBY: None}
        self.replicated_until: float | None = None  # as the standby has it
        self.sessions_end = True
        self.answers_after_s = {WRITER: 0.0, STANDBY: 0.0}  # a probe with less time than that gets no answer
        self.warmed_up = 0  # probers
        self.open_sessions = {WRITER: 0, STANDBY: 0}  # of applications, behind a fence that has not ended them
        self.unreadable: set[str] = set()  # tables that the salvage may not read
        self.page_takes_s = 0.0  # of the salvage
        self.rows: dict[str, dict[int, str]] = {WRITER: {}, STANDBY: {}}  # of the application's one table, by key
        self.before_promotion: Callable[[str], None] = lambda region: None
        # Looked at before everything else: another answer of the prober, or None.
        self.script: Callable[[str], dict[str, Any] | None] = lambda target: None

    # What RDS does to them (`drills.aws.global_database.Databases`).

    def promote(self, region: str) -> None:
        self.before_promotion(region)
        self.writes[region] = True

    def drain(self, region: str) -> None:
        self.writes[region] = False
        for other in self.writes:
            self._replicate(region, other, self.fenced, self.fence_number, self.heartbeat, self.noted_lease)

    def follow(self, region: str, leader: str) -> None:
        self.writes[region] = False

    def admit(self, region: str, *, clients: bool) -> None:
        self.admits[region] = clients

    def restart(self, region: str) -> None:
        self.open_sessions[region] = 0
        self.fenced[region] = self.fenced[region] or self.writes[region]  # a server starts fenced

    def retire(self, region: str) -> None:
        self.up[region] = self.writes[region] = False
        self.rows[region] = {}

    def rebuild(self, region: str, leader: str) -> None:
        self.up[region], self.writes[region], self.fenced[region] = True, False, self.fenced[leader]
        self._replicate(leader, region, self.fence_number, self.heartbeat, self.noted_lease, self.rows)

    @staticmethod
    def _replicate(region: str, to: str, *data: dict[str, Any]) -> None:
        for of_region in data:
            of_region[to] = copy.copy(of_region[region])

    # What clients see.

    def open_writers(self) -> set[str]:
        """The regions whose database takes an application's writes now."""
        return {region for region in self.up if self.takes_writes(region)}

    def takes_writes(self, region: str) -> bool:
        lets_in = not self.fenced[region] and self.admits[region]
        return self.up[region] and self.writes[region] and (lets_in or self.open_sessions[region] > 0)

    def writer_region_by_name(self) -> str:
        """Where the public name leads: to the SECONDARY record once the writer switch is engaged."""
        return STANDBY if self._is_switched() else WRITER

    def probe(self, region: str, event: dict[str, Any]) -> dict[str, Any]:
        """Answer as handlers/standing/prober.py does."""
        if event == WARM_UP:
            self.warmed_up += 1
            return {}
        assert set(event) <= {"target", "timeout_s", *WORK}, event
        scripted = self.script(event["target"])
        if scripted is not None:
            return scripted
        peer = STANDBY if region == WRITER else WRITER
        target = event["target"]
        own = dict.fromkeys(("own", "own_instances", "own_reader"), region)
        leads_to = (own | {"peer": peer}).get(target) or self.writer_region_by_name()
        if (
            event["timeout_s"] < self.answers_after_s[leads_to]
            or not self.up[leads_to]
            or (target not in ("own_instances", "own_reader") and not self.writes[leads_to])
        ):
            # A standby's cluster endpoint takes no connections before the promotion.
            CLOCK.sleep(min(event["timeout_s"], LONGEST_WAIT_S))
            return asdict(Probe(target, None, leads_to, "TimeoutError: timed out", event["timeout_s"] * 1000))
        error = self._work(leads_to, event) if self.writes[leads_to] else None
        role = "writer" if self.writes[leads_to] else "reader"
        return asdict(
            Probe(
                target,
                role,  # type: ignore[arg-type]
                leads_to,
                error,
                20.0,
                self.heartbeat[leads_to],
                self.noted_lease[leads_to],
                self.fenced[leads_to],
                self.fence_number[leads_to],
                self.open_sessions[leads_to],
                OLDEST_XID,
                self.replicated_until if event.get("lag") and role == "reader" else None,
                installed=self.installed if event.get("installed") else None,
            )
        )

    def salvage(self, region: str, event: dict[str, Any]) -> dict[str, Any]:
        """Answer as handlers/standing/salvage.py does, with one row a page."""
        if event["order"] == "tables":
            names = ["public.transfers", *sorted(self.unreadable)]
            return {"tables": [{"name": name, "keyed": True, "blocks": 1} for name in names]}
        if event["order"] == "mark":
            is_fenced = self.fenced[region]
            return {
                "mark": f"fence {self.fence_number[region]}, {sorted(self.rows[region].items())}"[:256]
                if is_fenced
                else None
            }
        if not self.fenced[region]:
            raise RuntimeError("rows are exported from a fenced server only")
        if event["table"]["name"] in self.unreadable:
            return {"rows": [], "uncompared": 0, "after": None, "unread": "permission denied (42501)"}
        CLOCK.sleep(self.page_takes_s)
        old, new = self.rows[region], self.rows[STANDBY if region == WRITER else WRITER]
        after = int(event["after"].strip("()").split(",")[1])
        key = min((key for key in old if key > after), default=None)
        rows = []
        if key is not None and new.get(key) != old[key]:
            finding = "different" if key in new else "missing"
            rows.append({"finding": finding, "data": json.dumps({"id": key, "note": old[key]})})
        return {"rows": rows, "uncompared": 0, "after": None if key is None else f"(0,{key})"}

    def data_api(self, region: str, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer as the Data API of a cluster that nobody has prepared yet."""
        sql = asked.get("sql", "")
        answers = {
            "SELECT pg_is_in_recovery()": [[{"booleanValue": not self.writes[region]}]],
            RESERVED_CONNECTIONS: [[{"longValue": 10}]],
            "SELECT transfer(": [[{"stringValue": "applied"}, {"booleanValue": True}]],
        }
        if operation == "rds-data.BeginTransaction":
            return {"transactionId": "t-1"}
        if found := re.match(r"INSERT INTO public.recovery_proof .*\('([\w-]+)', (\d+)\)", sql):
            assert self.writes[region], "a reader refuses a write; a test has to say so"
            self.proofs.append((region, found[1], int(found[2])))
        if sql.startswith("SELECT public.lift_fence("):
            self.fenced[region] = False
        return {"records": next((rows for begin, rows in answers.items() if sql.startswith(begin)), [])}

    def _work(self, region: str, event: dict[str, Any]) -> str | None:
        if "proof" in event and not any(run == event["proof"]["run"] for _, run, _ in self.proofs):
            self.proofs.append((region, event["proof"]["run"], event["proof"]["epoch"]))
        if event.get("heartbeat"):
            last = self.heartbeat[region]
            self.heartbeat[region] = Beat((last.seq if last else 0) + 1, CLOCK.now())
            self.noted_lease[region] = event.get("lease", self.noted_lease[region])
        if "fence" in event:
            self.fence_number[region] += 1
            self.fenced[region] = True
            self.open_sessions[region] = 0 if self.sessions_end else 3
            return None if self.sessions_end else "sessions of applications do not end"
        lift = event.get("lift_fence")
        if lift and lift["number"] == self.fence_number[region] and CLOCK.now() < lift["until"]:
            self.fenced[region] = False
        return None
