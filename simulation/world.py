"""The world of one history: two regions and a witness, in virtual time.

It knows its parts and has them look again (`World.stir`) when something has changed that concerns several of them. What
happens is written down in `World.happened`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from simulation.applications import Application, Visitors
from simulation.buckets import Buckets
from simulation.control_table import ControlTable
from simulation.data_api import DataApi
from simulation.databases import Databases
from simulation.dns import Dns
from simulation.events import Events
from simulation.faults import SERVES_NOBODY, Fault, Faults
from simulation.functions import Functions
from simulation.happened import Answers, Ended, Fact, FaultBegan, FaultEnded, Fit, Guarded, Means, Mute, Told, Works
from simulation.hooks import Hooks
from simulation.interpreter import Machine
from simulation.network import CUTS_OFF, Network, Reply
from simulation.people import People
from simulation.product import ACCOUNT, Product
from simulation.rds import MODIFYING, Rds
from simulation.stand_ins import Client
from simulation.tokens import Tokens
from simulation.virtual_time import VirtualTime
from simulation.workflows import Place, Workflow, Workflows

# What keeps the prober from its own database, or from writing there.
NO_SQL = ("prober away", "throttled", *SERVES_NOBODY)
# A prober, or a database, that needs so long for each answer (seconds; some take 1.3 times as long) lifts no fence in
# the time of P10: a guardian needs one answer to see which fence stands, and another one to lift it.
LIFTS_TOO_LATE_S = 2.5
# P10: a security group that RDS closes late is opened again with four answers, one after another; so slow they add up.
REOPENS_LATE_S = 1.0
# A fence function that starts cold in that time, waits 2 s for SQL and asks RDS for a restart is done in what a
# guardian keeps for it, with the second that a run waits for clocks.
COLD_IN_TIME_S = 1.5
# What keeps RDS from changing a cluster.
RDS_REFUSES = ("rds away", "rds busy")
# What keeps Route 53's checkers from a region's writer switch, or the switch from an answer in time.
NO_SWITCH = ("region dead", "unreachable", "throttled", "cold starts", "table away")
# What may leave no warm environment of a writer switch.
LEAVES_COLD = ("region dead", "cold starts")
# What stops a database and keeps it from starting.
STOP_A_DATABASE = ("region dead", "database down", "database restarts")
# Environments that are there when a history begins, so that its monitors need not be started cold first.
WARM = {"monitor": 2, "prober": 3, "fence": 1, "writer_switch": 2}


def _works(means: Means) -> Callable[[float, str, bool], Fact]:
    return lambda at, region, works: Works(at, region, means, works)


# What `World.judge_fit` looks at, in its order: the fact that tells a change, and what holds before the first.
JUDGED: tuple[tuple[Callable[[float, str, bool], Fact], bool], ...] = (
    (Guarded, True),
    (Fit, False),
    (_works("sql"), True),
    (_works("lift"), True),
    (_works("reopen"), True),
    (_works("restart"), True),
    (_works("group"), True),
    (Mute, False),
    (_works("switch"), True),
    (Answers, True),
)


class World:
    """Everything that the product meets. Made for one history; `play` plays it."""

    def __init__(
        self, product: Product, machines: Mapping[tuple[str, Workflow], Machine], seed: int, faults: tuple[Fault, ...]
    ) -> None:
        self.product, self.machines = product, machines
        self.chance = random.Random(f"world {seed}")  # noqa: S311 - nothing secret
        self.time = VirtualTime()
        self.began = self.time.now
        self.happened: list[Fact] = []
        self.errors: list[str] = []
        self.proofs: list[tuple[str, str]] = []
        settings = product.specification.settings
        self.regions = tuple(settings.regions)
        self._planned = faults
        self._sessions = 0
        self._noted = dict.fromkeys(self.regions, tuple(at_first for _, at_first in JUDGED))
        writer = settings.writer_region
        standby = next(region for region in self.regions if region != writer)
        self.outside = Place("outside", "")
        self.faults = Faults()
        self.network = Network(self)
        self.tokens = Tokens()
        self.table = ControlTable(self, self._first_record(writer))
        self.databases = Databases(self, writer, standby)
        self.rds = Rds(self, writer, standby)
        self.functions = Functions(self, WARM)
        self.workflows = Workflows(self)
        self.events = Events(self)
        self.dns = Dns(self, writer, standby)
        self.data_api = DataApi(self)
        self.hooks = Hooks(self, seed)
        self.people = People(self)
        self.applications = [
            Application(self, home, connects) for home in self.regions for connects in ("by name", "to either")
        ]
        self.visitors = Visitors(self, seed)
        self.network.services = {
            "dynamodb": self.table.serve,
            "rds": self.rds.serve,
            "lambda": self.functions.serve,
            "states": self.workflows.serve,
            "stepfunctions": self.workflows.serve,
            "events": self.events.serve_bus,
            "cloudwatch": self.events.serve_metrics,
            "sns": self._serve_topic,
            "sts": _serve_roles,
            "rds-data": self.data_api.serve,
            "secretsmanager": self.data_api.serve_secrets,
            "s3": Buckets(self).serve,
        }

    def _first_record(self, writer: str) -> dict[str, Any]:
        """Returns the record of a deployment whose guardian has renewed for a while."""
        now = self.time.now
        return {
            "database": self.product.specification.global_identifier,
            "writer_region": writer,
            "epoch": 2,
            "automatic_failover": True,
            "lease_expires_at": now + 9,
            "renewing_since": now - 600,
            "heartbeat": {"seq": 100, "at": now - 1},
        }

    # --- what its parts ask

    @property
    def at(self) -> float:
        """Seconds from the history's beginning."""
        return self.time.now - self.began

    @property
    def caller(self) -> str:
        """Who acts now, in words."""
        return self.time.process.name

    def tell(self, fact: Fact) -> None:
        """Writes a fact down."""
        self.happened.append(fact)

    def defect(self, what: str) -> None:
        """Notes an error that nothing in the history explains."""
        self.errors.append(f"{self.at:.2f} s: {what}")

    def next_session(self) -> int:
        """Returns a number for a session."""
        self._sessions += 1
        return self._sessions

    def clock_error(self, region: str, step: str) -> float:
        """Returns how far the clock of a function's machine is off: the monitors' are, where one is."""
        fault = self.faults.acting("clock wrong", region)
        if fault is None and step == "monitor":
            fault = self.faults.acting("clock far off", region)
        return fault.how["error"] if fault is not None else 0.0

    def keeps_down(self, region: str) -> bool:
        """Whether a fault keeps the database of a region from starting."""
        return any(self.faults.acting(kind, region) for kind in STOP_A_DATABASE)

    def record_changed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Has whoever follows the control record look again."""
        self.people.look()
        if _clients_belong(before) != _clients_belong(after):
            self.dns.stir()
        if before["writer_region"] != after["writer_region"]:
            self.judge_fit()

    @property
    def clients_belong(self) -> str:
        """The region to which the writer switches lead that read the record now."""
        return _clients_belong(self.table.item)

    def stir(self) -> None:
        """Has every part look again that may be concerned by what has just changed."""
        self.databases.stir()
        for application in self.applications:
            application.stir()
        self.visitors.stir()
        self.judge_fit()

    def judge_fit(self) -> None:
        """Looks at what P5, P9 and the limits of P1 and P10 speak of, and writes down what has changed of it."""
        for region in self.regions:
            guarded = self.functions.is_guarded(region)
            fit = guarded and region == self.table.item["writer_region"] and self._serves(region)
            rds = not any(self.faults.acting(kind, region) for kind in RDS_REFUSES)
            cold = self.faults.acting("cold starts", region)
            in_time = cold is None or cold.how["takes"] <= COLD_IN_TIME_S
            at_rest = rds and not self.rds.groups_in_work[region] and self.rds.status.get(region) != MODIFYING
            sql = self._answers_sql(region)
            lifts, opens = sql and self._answers_in(region, LIFTS_TOO_LATE_S), self._answers_in(region, REOPENS_LATE_S)
            switch = self._switch_answers(region)
            mute = any(self.faults.acting(kind, region) for kind in (*SERVES_NOBODY, *CUTS_OFF))
            answers = self._answers_the_other(region)
            before = self._noted[region]
            found = (guarded, fit, sql, lifts, opens, rds and in_time, at_rest, mute, switch, answers)
            if found == before:
                continue
            self._noted[region] = found
            for (fact, _), was, now in zip(JUDGED, before, found, strict=True):
                if now != was:
                    self.tell(fact(self.at, region, now))

    def _serves(self, region: str) -> bool:
        """Whether the writer there is healthy, and the record can be changed from there."""
        database = self.databases.of[region]
        runs = database.runs or (region in self.rds.rebooting and not self.keeps_down(region))
        well = runs and database.role == "writer" and not database.drained
        ill = any(self.faults.acting(kind, region) for kind in SERVES_NOBODY)
        return well and not ill and self.table.takes_writes_from(region)

    def _answers_the_other(self, region: str) -> bool:
        """Whether the other region's prober gets an answer from the database there, in time for every look."""
        other = self.databases.other(region).region
        ill = any(self.faults.acting(kind, region) for kind in (*SERVES_NOBODY, "database slow"))
        return self.databases.of[region].runs and not ill and self.network.reaches(other, region) == "open"

    def _answers_sql(self, region: str) -> bool:
        refuses = self.faults.acting("refuses the monitor", region)
        refused = refuses is not None and not refuses.how.get("kept")
        return not refused and not any(self.faults.acting(kind, region) for kind in NO_SQL)

    def _switch_answers(self, region: str) -> bool:
        """Whether Route 53's checkers, which come from outside, learn what the record says from the switch there."""
        return self.table.has_quorum(region) and not any(self.faults.acting(kind, region) for kind in NO_SWITCH)

    def _answers_in(self, region: str, seconds: float) -> bool:
        slow = (self.faults.acting(kind, region) for kind in ("prober slow", "database slow"))
        return all(fault is None or fault.how["takes"] < seconds for fault in slow)

    # --- services without a part of their own

    def _serve_topic(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        del here, operation
        self.tell(Told(self.at, client.region, request["Subject"], request["Message"]))
        return Reply({}, 0.03)

    # --- the history

    def play(self, lasts: float) -> None:
        """Plays it to its end."""
        for fault in self._planned:
            self.time.at(self.began + fault.start, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
        self.events.begin(lasts)
        self.stir()
        try:
            self.time.run(self.began + lasts)
            self._end_of_history()
        finally:
            happened, self.happened = self.happened, []
            self.time.close()
            self.happened = happened
            self.functions.close()

    def _end_of_history(self) -> None:
        roles = {region: database.role if database.runs else "down" for region, database in self.databases.of.items()}
        open_to = tuple(region for region, database in self.databases.of.items() if database.admits())
        sessions = {application.session for application in self.applications}
        used = tuple(region for region in self.regions if any(one and one[0] == region for one in sessions))
        self.tell(Ended(self.at, self.table.item, roles, open_to, used, self.dns.leads_to))

    def _begin(self, fault: Fault) -> None:
        self.databases.replicated_until()  # what has arrived before it begins has arrived
        self.faults.begin(fault)
        self.tell(FaultBegan(self.at, fault))
        if strikes := self._strikes.get(fault.kind):
            strikes(fault)
        self.people.strike(fault)
        self.visitors.come(fault)
        self._fault_changed()
        self.time.after(fault.lasts, lambda: self._end(fault))

    def _end(self, fault: Fault) -> None:
        self.faults.end(fault)
        self.tell(FaultEnded(self.at, fault))
        self.people.relent(fault)
        self.visitors.go(fault)
        if fault.kind in STOP_A_DATABASE:
            self.time.after(self.chance.uniform(0.5, 4), lambda: self._start_database(fault.where))
        if fault.kind == "session will not end":
            self.databases.of[fault.where].end_stubbornness()
        if fault.kind in LEAVES_COLD:
            self.dns.stir()
        self._fault_changed()

    def _fault_changed(self) -> None:
        self.functions.set_clocks()
        self.stir()

    @cached_property
    def _strikes(self) -> dict[str, Callable[[Fault], None]]:
        """What a fault does at once, when it begins."""
        return {
            "region dead": self._kill_region,
            "database down": lambda fault: self.databases.of[fault.where].stop("database down"),
            "database restarts": lambda fault: self.databases.of[fault.where].stop("restarted"),
            "crash loop": self._crash,
            "frozen": self.functions.freeze_monitors,
        }

    def _kill_region(self, fault: Fault) -> None:
        self.databases.of[fault.where].stop("region dead")
        self.functions.kill_all(fault.where)

    def _crash(self, fault: Fault) -> None:
        if self.at < fault.start + fault.lasts:
            self.databases.of[fault.where].stop("crashed")
            self.time.after(fault.how["down"], lambda: self._start_database(fault.where))
            self.time.after(fault.how["down"] + fault.how["up"], lambda: self._crash(fault))

    def _start_database(self, region: str) -> None:
        if not self.keeps_down(region):
            self.databases.of[region].start()


def _clients_belong(record: Mapping[str, Any]) -> str:
    """Returns the region to which the writer switches lead, as `handlers.core.control.writer_switch_engaged`."""
    lock = record.get("transition")
    return str(lock["target_region"] if lock is not None and lock["dns_engaged"] else record["writer_region"])


def _serve_roles(here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
    del here, client
    if operation == "get_caller_identity":
        return Reply({"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ada"}, 0.02)
    role = request["RoleArn"].rpartition("/")[2]
    return Reply({"Credentials": {"AccessKeyId": role, "SecretAccessKey": "", "SessionToken": ""}}, 0.02)
