"""One drill from start to verdict: build the lab, let it run, strike, watch, count what was lost, report."""

from __future__ import annotations

import random
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.lab import CLIENTS_PER_REGION, PINNED_CLIENTS, TRANSFERS_PER_SECOND, Lab, Wishes
from drills.script.person import Person
from drills.show.narrator import Execution, Narrator
from drills.show.report import render
from drills.show.timeline import Timeline
from drills.verdict import ledger
from drills.verdict.result import (
    CIRCLE,
    NO_OUTAGE,
    OUTAGES,
    DrillResult,
    End,
    Kind,
    Notes,
    Throughput,
    demanded_end,
    discard_latest,
    save,
)
from drills.world import bank
from drills.world.clock import Clock
from drills.world.network import one_way_delay_seconds
from drills.world.postgres import find_binaries
from drills.world.reaper import Reaper
from orchestration.specification.monitoring import DETECTION_PERIOD_SECONDS
from orchestration.specification.names import Names

if TYPE_CHECKING:
    from drills.show.narrator import Seen
    from drills.verdict.ledger import Judgement
    from drills.world.bank import Event

# Aurora's guide says "in the order of minutes" for a detach and promotion today and said "under a minute" before;
# field reports lie around this. It is stated in every report, and --aurora-promotion changes it.
AURORA_PROMOTION_SECONDS = 30.0

# How long to wait for what, in virtual seconds, before the drill is given up.
STEADY_LIMIT_SECONDS = 120.0  # alarms need a few periods of 10 s to have seen enough
DETECTION_LIMIT_SECONDS = 120.0  # 20 s by design, 50 s when the region lives on and only its database is dead
WORKFLOW_LIMIT_SECONDS = 120.0  # beside the promotion
RECONNECT_LIMIT_SECONDS = 60.0
APPROVAL_LIMIT_SECONDS = 1200.0  # the gate's own deadline is 15 minutes
# When nothing may move: three times as long as detection takes, so that what would move has had its chance.
QUIET_SECONDS = 60.0
# The standby is this far behind when the region dies: far beyond the RPO budget of 1 s, and soon reached.
LAG_SECONDS = 10.0
# A storm: so often EventBridge delivers the alarm's event, and so many people start a failover, all at once.
STORM_EVENTS, STORM_PEOPLE = 50, 20
# An old writer that comes back is watched for longer than a monitor can be away: a minute until its schedule starts
# it again, then its first looks.
RETURN_SECONDS = 90.0
# The picture before and after, and something to compare with.
BEFORE_SECONDS = 5.0
AFTER_SECONDS = 5.0
# The outage comes at any moment of the alarms' period: the seed chooses.
PHASE_SECONDS = 10.0

MEANINGS = {
    "nothing_duplicated": "no transfer was applied twice",
    "sum_unchanged": "the accounts hold exactly the money they held at the start",
    "balances_match_movements": "every balance is its start plus its movements",
    "lost_were_not_replicated": "the lost writes are exactly those that had not reached the standby",
    "one_writer": "nothing was acknowledged by the old writer once the new one had taken over",
    "record_names_writer": "the control record names the writer, its epoch, and holds no lock",
    "name_leads_to_writer": "the writer name leads to the region that the control record names",
    "one_run": "one run did the work, and no other changed anything",
    "loss_was_bounded": "no write was lost that is older than the run's record says may be lost",
    "recovery_proved": "the workflow's own write through the writer name is on the new writer",
    "clients_recovered": "every client that outlived the outage writes again, through the writer name",
    "standby_untouched": "the standby is still a standby and a member of the global database",
    "nothing_lost": "no acknowledged write is missing",
    "others_name_it": "every other run ended in success and named the one that did the work",
    "no_run_moved": "no run changed anything: each was refused, or none was started",
    "people_told": "people in a region that lives were sent the reason",
    "writes_went_on": "every client that reaches the writer wrote on until the end",
    "old_writer_follows": "the old writer is a standby of the new one and a member of the global database",
    "least_privilege": "no function asked for anything that its permissions do not allow",
}

# What a message to people must say after an outage in which nothing moves, or everything waits for them.
REASONS = {"link": "lease", "standby": "silent|heartbeat", "monitor": "silent|heartbeat", "lag": "approv"}

MODELLED = (
    "Aurora's own promotion and switchover: a stated delay, then a real PostgreSQL promotion",
    "Aurora's storage replication: PostgreSQL streaming replication over a link with the delay between the regions",
    "CloudWatch's evaluation of alarms, EventBridge, Route 53's health checks and DNS, Lambda and the RDS API: small "
    "models (drills/aws) driven by the deployed definitions",
    "the control table: one table that is served where a majority of its three regions is reached",
    "the fence group: new connections wait in vain, tracked ones go on",
)
MEASURED = (
    "every write of every client, and what became of it in the databases",
    "the handlers from the built zips, and the state machine from its ASL file",
    "PostgreSQL's promotion, detection by the deployed alarms at their own periods, the switch of the writer name",
)
# What the figures of one outage cannot be better than.
LIMITS_OF = {
    "isolate": "an isolated writer goes on until its guardian fences it, some seconds after the cut: what it "
    "acknowledges meanwhile is not replicated and is lost to the new writer; it stays in the old database",
    "lag": "the person who accepted the loss accepted what the standby lacked",
}
LIMITS = (
    "one PostgreSQL server a region, no instance failover inside a region",
    "passwords and IAM tokens are not checked by the lab's databases; TLS is",
)


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see ``python -m drills --help``."""

    mode: str
    outage: str | None
    approve: str
    comes_back: bool
    guardian_dead: bool
    storm: bool
    rounds: int
    speed: float
    seed: int
    aurora_promotion_seconds: float
    postgres: Path | None
    output: Path

    @property
    def arguments(self) -> list[str]:
        """The arguments that run the same drill again."""
        chosen = [
            ("--mode", self.mode),
            ("--outage", self.outage or NO_OUTAGE),
            ("--approve", self.approve),
            ("--speed", f"{self.speed:g}"),
            ("--seed", str(self.seed)),
            ("--aurora-promotion", f"{self.aurora_promotion_seconds:g}"),
        ]
        if self.postgres is not None:
            chosen.append(("--postgres", str(self.postgres)))
        if self.mode == CIRCLE:
            chosen.append(("--rounds", str(self.rounds)))
        flags = [
            ("--comes-back", self.comes_back),
            ("--guardian-dead", self.guardian_dead),
            ("--storm", self.storm),
        ]
        return [part for pair in chosen for part in pair] + [flag for flag, wanted in flags if wanted]


def run(options: Options, kind: type[Drill]) -> int:
    """Run a drill and return its exit code: 0 exactly when the demanded end was reached and every invariant held."""
    discard_latest(options.output)
    reaper = Reaper()
    try:
        folder = Path(tempfile.mkdtemp(prefix="drill-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        reaper.folder(folder)
        clock = Clock.started_now(options.speed)
        with Timeline(clock) as timeline:
            result = kind(options, folder, clock, reaper, timeline).run()
            timeline.summary(result, save(result, render(result), options.output))
        return result.exit_code
    finally:
        reaper.close()


@dataclass(frozen=True)
class Facts:
    """The world at the end of a drill: the control record, the name, the standby and the global database."""

    writer: str
    epoch: int
    locked: bool
    name: str
    standby_writes: bool
    standby_followed: bool
    proofs: int
    members: dict[str, bool]


class Drill:
    """The steps of one drill."""

    meanings = MEANINGS

    def __init__(self, options: Options, folder: Path, clock: Clock, reaper: Reaper, timeline: Timeline) -> None:
        self._options = options
        self._clock = clock
        self._timeline = timeline
        self._started_at = datetime.now(UTC)
        self._chance = random.Random(options.seed)  # noqa: S311 - not for secrets
        self._told_before = 0  # messages that people got before the outage
        self._binaries = find_binaries(folder, options.postgres)
        trigger_mode = "rehearsal" if options.mode == "rehearsal" else "failover"
        wishes = Wishes(
            trigger_mode,
            options.seed,
            options.aurora_promotion_seconds,
            STORM_EVENTS if options.storm else 1,
            # A circle's next outage comes minutes after the last one, and is to be answered by the alarms as well.
            cools_down=options.mode != CIRCLE,
        )
        self._lab = Lab(folder, self._binaries, clock, reaper, self._observe, wishes)
        self._writer_before, self._standby_before = self._lab.writer, self._lab.standby
        self._trigger = self._lab.specification.regions[self._lab.standby].composite("writer-down").name
        self._narrator = Narrator(timeline, clock, self._trigger)
        self._lab_timeline_started = clock.now()

    def _observe(self, happening: object) -> None:
        self._narrator.observe(happening)  # type: ignore[arg-type]  # the lab is made before its narrator

    def run(self) -> DrillResult:
        """Run the drill; the lab is gone when this returns."""
        with self._lab as lab:
            self._build(lab)
            reached = self._play(lab)
            return self._judge(lab, reached)

    def _build(self, lab: Lab) -> None:
        say = self._timeline.event
        say(Kind.LAB, f"PostgreSQL {self._binaries.version} ({self._binaries.source}), speed {self._options.speed:g}")
        with self._timeline.waiting("two PostgreSQL servers"):
            lab.start_databases()
        delay_ms = one_way_delay_seconds(lab.writer, lab.standby) * 1000
        say(Kind.LAB, f"writer in {lab.writer}, standby in {lab.standby}, {delay_ms:.0f} ms apart")
        with self._timeline.waiting("the Lambda zips and the AWS APIs"):
            lab.start_cloud()
        say(Kind.LAB, "AWS APIs, DNS, alarms, monitors and the workflow are up")
        self._narrator.wait(
            f"the writer name to lead to {lab.writer}",
            lambda _: lab.writer_name_leads_to() == lab.writer,
            STEADY_LIMIT_SECONDS,
        )
        lab.start_clients()
        self._timeline.watch(lab.load)
        say(
            Kind.CLIENT,
            f"{CLIENTS_PER_REGION} clients in each region write through {lab.specification.zone.writer_name}, "
            f"and {PINNED_CLIENTS} in {lab.writer} straight to its cluster",
        )

    def _play(self, lab: Lab) -> End:
        """The outage and what follows, until the drill has reached an end."""
        if not self._is_steady(lab):
            return End.TIMED_OUT
        self._happen(lab)
        reached = self._watch(lab)
        if self._options.comes_back:
            self._bring_back(lab)
        with self._timeline.waiting("a few seconds more, to compare"):
            self._clock.sleep(AFTER_SECONDS)
        return reached

    def _is_steady(self, lab: Lab) -> bool:
        """Wait until everything is well, and then for a moment that the seed chooses; whether it ever is."""
        watched = [
            alarm.name
            for region in lab.specification.regions.values()
            for alarm in region.alarms
            if alarm.metric.period_seconds == DETECTION_PERIOD_SECONDS
        ]
        steady = self._narrator.wait(
            "the alarms that detect an outage to be OK",
            lambda seen: all(seen.alarms.get(name) == "OK" for name in watched),
            STEADY_LIMIT_SECONDS,
        )
        if not steady:
            bad = [name for name in watched if self._narrator.seen.alarms.get(name) != "OK"]
            self._timeline.event(Kind.LAB, f"never steady: {', '.join(bad)} not OK; no outage was made")
            return False
        self._timeline.event(Kind.ALARM, "every alarm that detects an outage is OK: the deployment is steady")
        with self._timeline.waiting("a moment for the outage, chosen by the seed"):
            self._clock.sleep(BEFORE_SECONDS + self._chance.uniform(0, PHASE_SECONDS))
        return True

    def _happen(self, lab: Lab) -> None:
        """Make the outage, or start the workflow as a person does."""
        outage, say = self._options.outage, self._timeline.event
        if outage is None:
            say(Kind.WORKFLOW, f"a person starts a {self._options.mode}", at=self._clock.now(), mark="zero")
            lab.start_by_hand(self._options.mode)
            return
        if outage == "lag":
            lab.hold_replication()
            say(Kind.OUTAGE, f"nothing more reaches {lab.standby}: it falls behind")
            with self._timeline.waiting("the standby to fall behind"):
                self._clock.sleep(LAG_SECONDS)
        if self._options.guardian_dead:
            lab.cloud.stop_function(lab.writer, "monitor")
            say(Kind.OUTAGE, f"the guardian of {lab.writer} dies")
        self._told_before = len(self._narrator.seen.messages)
        say(Kind.OUTAGE, f"{outage.upper()}: {self._sentence(lab)}", at=self._clock.now(), mark="zero")
        lab.strike(outage)

    def _sentence(self, lab: Lab) -> str:
        return OUTAGES[self._options.outage or ""].sentence.format(writer=lab.writer, standby=lab.standby)

    def _watch(self, lab: Lab) -> End:
        """Wait until the drill has reached an end."""
        outage = OUTAGES.get(self._options.outage or "")
        quiet = outage is not None and outage.demanded is End.NOTHING_MOVED
        limit = WORKFLOW_LIMIT_SECONDS + self._options.aurora_promotion_seconds
        if self._options.outage == "lag":
            limit += APPROVAL_LIMIT_SECONDS
        person = Person(self._options.approve, lab.cloud, self._timeline)
        if outage is None or outage.starts_workflow:
            started = self._narrator.wait(
                "the workflow to start", lambda seen: bool(seen.executions), DETECTION_LIMIT_SECONDS
            )
            if not started:
                return End.NOTHING_MOVED
            if self._options.storm:
                self._storm(lab)
            if not self._narrator.wait("the workflow", lambda seen: _all_ended(seen, person), limit):
                return End.TIMED_OUT
        if quiet:
            with self._timeline.waiting("anything that moves though it must not"):
                self._clock.sleep(QUIET_SECONDS)
            moved = [run for run in self._narrator.seen.executions.values() if run.end is not End.REFUSED]
            return (moved[0].end or End.ABORTED) if moved else End.NOTHING_MOVED
        acting = self._acting
        if acting.end is End.REFUSED and acting.asked_person:
            return End.HELD
        if acting.end in (End.FAILED_OVER, End.SWITCHED_OVER):
            self._narrator.wait(
                "every client that can to write again",
                lambda _: lab.load().failing_clients == self._clients_lost(),
                RECONNECT_LIMIT_SECONDS,
            )
        return acting.end or End.ABORTED

    def _storm(self, lab: Lab) -> None:
        """Let many people start a failover at once, beside the alarm's many events."""
        self._timeline.event(Kind.WORKFLOW, f"{STORM_PEOPLE} people start a failover as well")
        with ThreadPoolExecutor(STORM_PEOPLE) as people:
            list(people.map(lambda _: lab.start_by_hand("failover"), range(STORM_PEOPLE)))

    def _bring_back(self, lab: Lab) -> None:
        """Let the old writer return, and watch whether it takes a write."""
        self._timeline.event(Kind.OUTAGE, f"{lab.writer} comes back, with its database open to its clients")
        lab.bring_writer_back()
        with self._timeline.waiting("the old writer to take a write, which it must not"):
            self._clock.sleep(RETURN_SECONDS)

    @property
    def _acting(self) -> Execution:
        """The run that did the work: the one that was not refused, else the first."""
        runs = list(self._narrator.seen.executions.values())
        return next((run for run in runs if run.end is not End.REFUSED), runs[0])

    def _clients_lost(self) -> int:
        """How many clients of the writer name cannot write any more."""
        outage = OUTAGES.get(self._options.outage or "")
        if self._options.comes_back and self._options.outage != "kill":  # a region that was cut off or frozen goes on
            return 0
        return CLIENTS_PER_REGION if outage and outage.clients_lost else 0

    def _judge(self, lab: Lab, reached: End) -> DrillResult:
        """Stop the clients and find out what became of every write."""
        with self._timeline.waiting("the clients' books to be compared with the databases"):
            lab.stop_clients()
            facts = self._facts(lab)
            events = bank.read_events(workload.events for workload in lab.workloads)
            moved = facts.writer != lab.writer
            judgement = ledger.judge(
                events, lab.servers[lab.writer], lab.servers[lab.standby if moved else lab.writer], self._clock
            )
        acknowledged = [event for event in events if event.event == "ack"]
        invariants = self._invariants(lab, judgement, facts, acknowledged)
        return self._result(lab, reached, judgement, events, facts.writer, invariants)

    def _facts(self, lab: Lab) -> Facts:
        """What the world looks like now, asked of the world itself."""
        record = lab.control_record()
        standby = lab.servers[lab.standby]
        run = self._acting.name if self._narrator.seen.executions else ""
        proofs = 0
        if standby.is_running():
            proofs = standby.query("SELECT count(*) FROM recovery_proof WHERE run = %s", (run,))[0][0]
        return Facts(
            writer=record["writer_region"]["S"],
            epoch=int(record["epoch"]["N"]),
            locked="transition" in record,
            name=lab.writer_name_leads_to(),
            standby_writes=standby.is_running() and standby.is_writable(),
            standby_followed=standby.is_running() and standby.standby_lag() is not None,
            proofs=proofs,
            members=lab.global_members(),
        )

    def _limits(self) -> list[str]:
        own = LIMITS_OF.get(self._options.outage or "")
        return [own, *LIMITS] if own else list(LIMITS)

    def _since_zero(self, real_time: float | None) -> float | None:
        """Virtual seconds since the outage of a real time (seconds since 1970)."""
        return None if real_time is None else self._clock.virtual_time(real_time) - self._timeline.zero

    def _invariants(self, lab: Lab, judgement: Judgement, facts: Facts, acknowledged: list[Event]) -> dict[str, bool]:
        demanded = demanded_end(self._options.mode, self._options.outage, self._options.approve)
        moves = demanded in (End.FAILED_OVER, End.SWITCHED_OVER)
        runs = self._narrator.seen.executions.values()
        acted = sum(run.end is not End.REFUSED for run in runs)
        expected = (lab.standby, 2) if moves else (lab.writer, 1)
        held = {
            **judgement.invariants,
            "record_names_writer": (facts.writer, facts.epoch) == expected and not facts.locked,
            "name_leads_to_writer": facts.name == facts.writer,
            "least_privilege": not self._narrator.seen.denied,
        }
        if demanded is not End.FAILED_OVER:
            held["nothing_lost"] = judgement.lost == 0
        if demanded is End.FAILED_OVER:
            record = run_record(self._acting) if acted else None
            held["loss_was_bounded"] = is_bounded(judgement.rpo_seconds, record)
        if moves:
            after = lab.servers[facts.writer].name
            named = CLIENTS_PER_REGION * len(lab.settings.regions)
            recovered = {event.client for event in acknowledged if event.cluster == after}
            held["recovery_proved"] = facts.proofs == 1
            held["clients_recovered"] = len(recovered & set(range(named))) == named - self._clients_lost()
        else:
            roles = {lab.writer: True, lab.standby: False}
            held["standby_untouched"] = not facts.standby_writes and facts.members == roles
        if demanded is End.SWITCHED_OVER:
            roles = {lab.writer: False, lab.standby: True}
            held["old_writer_follows"] = facts.members == roles and facts.standby_followed
        if demanded in (End.NOTHING_MOVED, End.HELD):
            held["no_run_moved"] = acted == 0
            held["people_told"] = self._people_told(lab)
        else:
            held["one_run"] = acted == 1
            held["others_name_it"] = acted == 1 and all(
                run.status == "SUCCEEDED" and self._acting.name in str(run.output)
                for run in runs
                if run is not self._acting
            )
        if demanded is End.NOTHING_MOVED:
            held["writes_went_on"] = self._writes_went_on(lab, acknowledged)
        return held

    def _people_told(self, lab: Lab) -> bool:
        """Whether a message with the reason left a region that lives after the outage."""
        words = re.compile(REASONS[self._options.outage or ""], re.IGNORECASE)
        messages = self._narrator.seen.messages[self._told_before :]
        return any(lab.cloud.is_up(one.region) and words.search(f"{one.subject} {one.text}") for one in messages)

    def _writes_went_on(self, lab: Lab, acknowledged: list[Event]) -> bool:
        """Whether every client that reaches the writer was answered in the last seconds of the drill."""
        last = max((event.t for event in acknowledged), default=0.0)
        recent = {event.client for event in acknowledged if event.t > last - self._clock.to_real(AFTER_SECONDS)}
        clients = CLIENTS_PER_REGION * len(lab.settings.regions) + PINNED_CLIENTS
        return len(recent) == clients - self._clients_lost()

    def _result(
        self,
        lab: Lab,
        reached: End,
        judgement: Judgement,
        events: list[Event],
        writer: str,
        invariants: dict[str, bool],
        **more: Any,
    ) -> DrillResult:
        """Put everything together; ``writer`` is the region that writes now, ``more`` are fields of the result."""
        for problem in judgement.problems:
            self._timeline.event(Kind.LAB, f"PROBLEM: {problem}")
        zero = self._timeline.zero
        acting = self._acting if self._narrator.seen.executions else None

        def since_zero(event: Event) -> float:
            return self._clock.virtual_time(event.t) - zero

        after = lab.servers[writer].name
        acknowledged = [event for event in events if event.event == "ack"]
        failures = [since_zero(event) for event in events if event.event == "fail"]
        recovered = {event.client for event in acknowledged if event.cluster == after and since_zero(event) > 0}
        moved = writer != self._writer_before
        marks = self._timeline.marks(
            first_acknowledged_write=self._since_zero(judgement.outage_ended),
            first_failed_write=self._since_zero(judgement.outage_started),
        )
        moments = [since_zero(event) for event in events]
        names = Names(lab.settings, lab.specification.account)
        arn = names.arn(
            "states",
            self._standby_before,
            f"execution:{names.state_machine(self._standby_before)}:{acting.name if acting else ''}",
        )
        return DrillResult(
            mode=self._options.mode,
            outage=self._options.outage,
            seed=self._options.seed,
            speed=self._options.speed,
            aurora_promotion_seconds=self._options.aurora_promotion_seconds,
            arguments=self._options.arguments,
            started_at=self._started_at,
            demanded=demanded_end(self._options.mode, self._options.outage, self._options.approve),
            reached=reached,
            execution_name=acting.name if acting else None,
            execution_arn=arn if acting else None,
            execution_status=acting.status if acting else None,
            writer_before=self._writer_before,
            standby=self._standby_before,
            writer_after=writer if recovered or not moved else None,
            gap_seconds=judgement.gap_seconds,
            both_wrote=judgement.both_wrote,
            rpo_seconds=judgement.rpo_seconds,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            duplicated=judgement.duplicated,
            invariants=invariants,
            invariant_meanings={name: self.meanings[name] for name in invariants},
            marks=marks,
            throughput=Throughput.count(
                {
                    region: [since_zero(e) for e in acknowledged if e.cluster == lab.servers[region].name]
                    for region in lab.settings.regions
                },
                failures,
                started_s=min(moments, default=0.0),
                ended_s=max(moments, default=1.0),
            ),
            events=self._timeline.events(),
            settings={
                "environment_suffix": lab.settings.environment_suffix,
                "trigger_mode": lab.settings.trigger_mode,
                "rpo_budget_ms": lab.settings.thresholds.rpo_budget_ms,
                "unhealthy_heartbeat_s": lab.settings.thresholds.unhealthy_heartbeat_s,
                "transfers_per_second": TRANSFERS_PER_SECOND * sum(each.settings.clients for each in lab.workloads),
            },
            run_record=run_record(acting),
            postgresql_version=self._binaries.version,
            notes=Notes(measured=list(MEASURED), modelled=list(MODELLED), limits=self._limits()),
            tolerated_errors=self._narrator.seen.tolerated,
            problems=judgement.problems,
            **more,
        )


def is_bounded(rpo_seconds: float, record: dict[str, Any] | None) -> bool:
    """Whether no write was lost that is older than a run's record says may be lost."""
    bound_ms = record.get("rpo_at_most_ms") if record else None
    return bound_ms is not None and rpo_seconds * 1000 <= bound_ms


def run_record(run: Execution | None) -> dict[str, Any] | None:
    """What the run recorded of itself, which is its output; None when it has none."""
    return run.output if run and isinstance(run.output, dict) else None


def _all_ended(seen: Seen, person: Person) -> bool:
    """Whether every run is over; meanwhile the person on call reads what comes."""
    person.read(seen.messages)
    return bool(seen.executions) and all(run.status != "RUNNING" for run in seen.executions.values())
