"""One drill from start to verdict: build the lab, let it run, strike, watch, count what was lost, report."""

from __future__ import annotations

import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from drills.ends import End
from drills.lab import CLIENTS, CLIENTS_PER_REGION, PINNED_CLIENTS, TRANSFERS_PER_SECOND, Lab, Wishes
from drills.outages import CIRCLE
from drills.script.cues import Cues
from drills.script.person import Person
from drills.script.stage import STEADY_LIMIT_SECONDS, build, unsteady
from drills.show.narrator import Narrator
from drills.show.report import render
from drills.show.timeline import Timeline
from drills.verdict import ledger
from drills.verdict.events import Kind
from drills.verdict.folder import discard_latest, save
from drills.verdict.invariants import INVARIANTS, DrillFound, Facts, Found, Invariant, told_of, was_told
from drills.verdict.lease import lease_spans
from drills.verdict.notes import notes_of
from drills.verdict.result import DrillResult
from drills.verdict.seen import LeaseSeen, acted, acting, done, next_attempts_seconds
from drills.verdict.throughput import Throughput
from drills.world import bank
from drills.world.clock import Clock
from drills.world.postgres import find_binaries
from drills.world.reaper import Reaper
from orchestration.measured import promotion_s
from orchestration.specification.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.outages import Outage
    from drills.script.options import Options
    from drills.verdict.lease import LeaseSpan
    from drills.verdict.ledger import Judgement
    from drills.verdict.seen import Execution, Seen
    from drills.world.bank import Event

# Of a lab that does whatever it is told. It is stated in every report, and --aurora-promotion changes it.
AURORA_PROMOTION_SECONDS = promotion_s("failover")

# How long to wait for what, in virtual seconds, before giving up the drill.
DETECTION_LIMIT_SECONDS = 120.0  # 20 s by design, 50 s when the region lives on and only its database is dead
WORKFLOW_LIMIT_SECONDS = 120.0  # beside the promotion
RECONNECT_LIMIT_SECONDS = 60.0
APPROVAL_LIMIT_SECONDS = 1200.0  # the gate's own deadline is 15 minutes
# When nothing must move: three times as long as detection takes, so that anything that would move has had its chance.
QUIET_SECONDS = 60.0
# An alarm on what comes once a minute, two of three, rings after three minutes at most; then comes the mail.
TOLD_LIMIT_SECONDS = 240.0
# How much later than the outage alone a trouble may let a failover end: attempts come every 60 s at last.
TROUBLES_LIMIT_SECONDS = 150.0
# How long a switchover that was finished or given back is watched for whether it stays so.
SETTLED_SECONDS = 15.0
# A storm: how often EventBridge delivers the alarm's event, and how many people start a failover, all at once.
STORM_EVENTS, STORM_PEOPLE = 50, 20
# An old writer that comes back is watched for longer than a monitor can be absent: a minute until its schedule starts
# it again, then its first looks.
RETURN_SECONDS = 90.0
# How much is shown before and after, to compare with.
BEFORE_SECONDS = 5.0
AFTER_SECONDS = 5.0
LATE_RUN_SECONDS = 15.0  # one that is refused takes a second
# The outage may come at any moment of the alarms' period: the seed chooses.
PHASE_SECONDS = 10.0


def run(options: Options, kind: type[Drill]) -> int:
    """Runs a drill and returns its exit code: 0 exactly when the demanded end was reached and every invariant held."""
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


FoundT = TypeVar("FoundT", bound=Found)


class Drill:
    """The steps of one drill."""

    def __init__(self, options: Options, folder: Path, clock: Clock, reaper: Reaper, timeline: Timeline) -> None:
        self._options = options
        self._outage: Outage | None = options.outage
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
            # A circle's next outage comes minutes after the last one, and the alarms have to answer it as well.
            cools_down=options.mode != CIRCLE,
            clients=options.clients,
            patience=max((trouble.patience for trouble in options.troubles), default=1.0),
            outage_seconds=options.outage_seconds,
            bootstrapped=all(trouble.bootstrapped for trouble in options.troubles),
        )
        self._lab = Lab(folder, self._binaries, clock, reaper, self._observe, wishes)
        self._writer_before, self._standby_before = self._lab.writer, self._lab.standby
        self._trigger = self._lab.specification.regions[self._lab.standby].alarm("writer-down").name
        self._narrator = Narrator(timeline, clock, self._trigger)
        self._cues = Cues(options, self._lab, self._narrator, timeline)

    def _observe(self, happening: object) -> None:
        self._narrator.observe(happening)  # type: ignore[arg-type]  # the lab is created before its narrator

    def run(self) -> DrillResult:
        """Runs the drill; when this returns, the lab is gone."""
        with self._lab as lab:
            self._build(lab)
            reached = self._play(lab)
            return self._judge(lab, reached)

    def _build(self, lab: Lab) -> None:
        build(lab, self._binaries, self._narrator, self._timeline, self._options.clients)
        self._cues.deployed()

    def _play(self, lab: Lab) -> End:
        """Plays the outage and what follows, until the drill has reached an end."""
        if not self._is_steady(lab):
            return End.TIMED_OUT
        self._happen(lab)
        reached = self._watch(lab)
        self._cues.after_the_move()
        if self._options.comes_back:
            self._bring_back(lab)
        self._let_run_on()
        return reached

    def _let_run_on(self) -> None:
        """Lets everything run on for a while, so that there is an afterwards to compare with.

        An alarm that is late may have just started one more run, which is about to be refused.
        """
        with self._timeline.waiting("a few seconds more, to compare"):
            self._clock.sleep(AFTER_SECONDS)
        self._narrator.wait("runs that began late", lambda seen: seen.all_ended, LATE_RUN_SECONDS)

    def _is_steady(self, lab: Lab) -> bool:
        """Waits until everything is well, then for a moment that the seed chooses; returns whether it ever was."""
        steady = self._narrator.wait(
            "the alarms that detect an outage to be OK, the lease to be good, and every client to write",
            lambda seen: not unsteady(lab, seen),
            STEADY_LIMIT_SECONDS,
        )
        if not steady:
            lacking = ", ".join(unsteady(lab, self._narrator.seen))
            self._timeline.event(Kind.LAB, f"never steady: {lacking}; no outage was made")
            return False
        self._timeline.event(Kind.ALARM, "every alarm that detects an outage is OK: the deployment is steady")
        with self._timeline.waiting("a moment for the outage, chosen by the seed"):
            self._clock.sleep(BEFORE_SECONDS + self._chance.uniform(0, PHASE_SECONDS))
        return True

    def _happen(self, lab: Lab) -> None:
        """Makes the outage, or starts the workflow as a person does."""
        outage, say = self._outage, self._timeline.event
        if outage is None:
            self._cues.before()
            say(Kind.WORKFLOW, f"a person starts a {self._options.mode}", at=self._clock.now(), mark="zero")
            self._cues.watch()
            lab.start_by_hand(self._options.mode)
            return
        regions = {"writer": lab.writer, "standby": lab.standby}
        if outage.preparation:
            outage.preparation.begin(lab)
            say(Kind.OUTAGE, outage.preparation.sentence.format(**regions))
            with self._timeline.waiting(outage.preparation.waiting):
                self._clock.sleep(outage.preparation.seconds)
        if self._options.guardian_dead:
            lab.stop_monitor(lab.writer)
            say(Kind.OUTAGE, f"the guardian of {lab.writer} dies")
        self._cues.before()
        self._told_before = len(self._narrator.seen.messages)
        sentence = f"{outage.name.upper()}: {outage.sentence.format(**regions)}"
        say(Kind.OUTAGE, sentence, at=self._clock.now(), mark="zero")
        self._cues.watch()
        outage.strike(lab)

    def _watch(self, lab: Lab) -> End:
        """Waits until the drill has reached an end."""
        if self._options.demanded is End.NOTHING_MOVED:
            return self._watch_nothing_move()
        person = Person(self._options.approve, lab.file, self._timeline)
        if not self._workflow_starts():
            return End.NOTHING_MOVED
        if self._options.storm:
            self._storm(lab)
        if self._options.demanded is End.SETTLED:
            return self._watch_settle(lab)
        over = self._narrator.wait("the workflow", lambda seen: self._is_over(seen, person), self._workflow_limit)
        run = self._acting()
        assert run is not None, "a workflow was started"
        if not over and run.status == "RUNNING":
            return End.TIMED_OUT
        if run.end is End.REFUSED and run.asked_person:
            return End.HELD
        if run.end in (End.FAILED_OVER, End.SWITCHED_OVER):
            self._wait_for_clients(lab, self._failing_when_over())
        return run.end or End.ABORTED

    def _is_over(self, seen: Seen, person: Person) -> bool:
        """Returns whether no more is to come; meanwhile the person on call reads what comes."""
        person.read(seen.messages)
        runs = seen.runs
        if self._options.demanded is End.HELD:  # an approval that nobody answers is asked for again and again
            return any(run.end is End.REFUSED and run.asked_person for run in runs)
        if not runs or not seen.all_ended:
            return False
        # An attempt that fails is followed by another; a person's run is not, unless it was broken off.
        return bool(done(runs)) or not (self._options.demanded is End.FAILED_OVER or self._options.troubles)

    def _watch_nothing_move(self) -> End:
        """Waits for as long as anything could move that must not."""
        lasts = max([self._options.outage_seconds, *(trouble.lasts_s for trouble in self._options.troubles)])
        with self._timeline.waiting("a forbidden move", at_most=lasts + QUIET_SECONDS):
            self._clock.sleep(lasts + QUIET_SECONDS)
        told = told_of(self._outage, self._options.troubles)
        self._narrator.wait(
            "people to be told", lambda seen: all(was_told(words, seen.messages) for words in told), TOLD_LIMIT_SECONDS
        )
        ended = self._narrator.wait("the workflow", lambda seen: seen.all_ended, self._workflow_limit)
        moved = acted(self._narrator.seen.runs)
        if not ended:
            return End.TIMED_OUT
        return (moved[0].end or End.ABORTED) if moved else End.NOTHING_MOVED

    def _watch_settle(self, lab: Lab) -> End:
        """Waits until a switchover that was broken off is finished, or has given the writer back, and stays so."""

        def settled(seen: Seen) -> bool:
            # Nobody hears of the end of a run that dies with its region.
            ended = all(run.status != "RUNNING" or not lab.cloud.is_up(run.region) for run in seen.runs)
            return self._cues.all_begun() and ended and seen.lock in (None, "checking")

        for _ in range(2):
            if not self._narrator.wait("the switchover to be finished or given back", settled, self._workflow_limit):
                return End.TIMED_OUT
            self._wait_for_clients(lab, self._failing_when_over())
            with self._timeline.waiting("whether it stays so"):
                self._clock.sleep(SETTLED_SECONDS)
        return End.SETTLED if settled(self._narrator.seen) else End.TIMED_OUT

    @property
    def _workflow_limit(self) -> float:
        """How long a run that moves the writer may take, in virtual seconds, further attempts included."""
        approval = APPROVAL_LIMIT_SECONDS if self._outage and self._outage.asks_person else 0.0
        troubles = TROUBLES_LIMIT_SECONDS if self._options.troubles else 0.0
        return WORKFLOW_LIMIT_SECONDS + self._options.aurora_promotion_seconds + approval + troubles

    def _workflow_starts(self, known: frozenset[str] = frozenset()) -> bool:
        """Waits for a run that is not among the known; returns whether one comes."""
        return self._narrator.wait(
            "the workflow to start", lambda seen: bool(seen.executions.keys() - known), DETECTION_LIMIT_SECONDS
        )

    def _wait_for_clients(self, lab: Lab, lost: int) -> None:
        """Waits until all clients of the writer name except the lost ones write."""
        self._narrator.wait(
            "every surviving client to write again",
            lambda _: lab.load().failing_clients == lost,
            RECONNECT_LIMIT_SECONDS,
        )

    def _storm(self, lab: Lab) -> None:
        """Has many people start a failover at once, beside the alarm's many events."""
        self._timeline.event(Kind.WORKFLOW, f"{STORM_PEOPLE} people start a failover as well")
        with ThreadPoolExecutor(STORM_PEOPLE) as people:
            list(people.map(lambda _: lab.start_by_hand("failover"), range(STORM_PEOPLE)))

    def _bring_back(self, lab: Lab) -> None:
        """Lets the old writer come back, and watches whether it takes a write."""
        self._say_comes_back(lab.writer)
        lab.bring_writer_back()
        with self._timeline.waiting("a forbidden write on the old writer"):
            self._clock.sleep(RETURN_SECONDS)

    def _say_comes_back(self, region: str) -> None:
        self._timeline.event(Kind.OUTAGE, f"{region} comes back, with its database open to its clients")

    def _acting(self, known: frozenset[str] = frozenset()) -> Execution | None:
        """Returns the run that did the work, among those that are not yet known."""
        return acting(run for run in self._narrator.seen.runs if run.name not in known)

    def _clients_lost(self) -> int:
        """Returns how many clients of the writer name can no longer write."""
        loses = self._outage is not None and self._outage.loses_clients(comes_back=self._options.comes_back)
        loses = loses or any(trouble.loses_standby for trouble in self._options.troubles)
        return sum(CLIENTS[self._options.clients].values()) if loses else 0

    def _failing_when_over(self) -> int:
        """Returns how many of the clients that the display shows can no longer write."""
        return CLIENTS_PER_REGION if self._clients_lost() else 0

    # --- the judgement

    def _judge(self, lab: Lab, reached: End) -> DrillResult:
        """Stops the clients and finds out what became of every write."""
        with self._timeline.waiting("the clients' books to be compared with the databases"):
            lab.stop_clients()
            facts = self._facts(lab, proofs_on=lab.standby)
            events = bank.read_events(workload.events for workload in lab.workloads)
            after = lab.standby if facts.writer != lab.writer else lab.writer
            clients = lab.clients["name"] or lab.clients["hosts"]
            judgement = ledger.judge(events, lab.servers[lab.writer], lab.servers[after], self._clock, clients)
        found = self._found(lab, judgement, facts, events)
        closed = found.closed_seconds if found.stays else None
        return self._result(lab, reached, INVARIANTS, found, closed_seconds=closed)

    def _facts(self, lab: Lab, proofs_on: str) -> Facts:
        """Asks the world itself what it looks like now, and the database of ``proofs_on`` for the proofs."""
        record = lab.control_record()
        standby, proving = lab.servers[lab.standby], lab.servers[proofs_on]
        proofs = proving.query("SELECT run FROM recovery_proof") if proving.is_running() else []
        return Facts(
            writer=record["writer_region"]["S"],
            epoch=int(record["epoch"]["N"]),
            lock=record["transition"]["M"]["phase"]["S"] if "transition" in record else None,
            protected=record.get("protected", {"BOOL": True})["BOOL"],
            reprotecting="reprotection" in record,
            name=lab.writer_name_leads_to(),
            standby_writes=standby.is_running() and standby.is_writable(),
            standby_followed=standby.is_running() and standby.standby_lag() is not None,
            proofs=frozenset(row[0] for row in proofs),
            members=lab.global_members(),
        )

    def _found(self, lab: Lab, judgement: Judgement, facts: Facts, events: Sequence[Event]) -> DrillFound:
        """Returns everything against which the invariants are checked."""
        seen = self._narrator.seen
        return DrillFound(
            judgement=judgement,
            facts=facts,
            events=events,
            runs=seen.runs,
            denied=seen.denied,
            last_seconds=self._clock.to_real(AFTER_SECONDS),
            demanded=self._options.demanded,
            outage=self._outage,
            writer=lab.writer,
            standby=lab.standby,
            messages=[message for message in seen.messages[self._told_before :] if lab.cloud.is_up(message.region)],
            clients=frozenset(lab.clients["name"] | lab.clients["hosts"]),
            pinned=PINNED_CLIENTS,
            lost=self._clients_lost(),
            cluster=lab.servers[facts.writer].name,
            troubles=self._options.troubles,
            closed_seconds=self._closed_seconds(lab, events),
            phases=seen.phases,
            next_attempts_seconds=next_attempts_seconds(seen.runs),
        )

    def _closed_seconds(self, lab: Lab, events: Sequence[Event]) -> float:
        name, broke_off = lab.servers[self._writer_before].name, self._cues.broke_off_at()
        # What a switchover closes until it is broken off is its own.
        before = [(0.0, broke_off)] if broke_off is not None else []
        return self._clock.to_virtual(ledger.longest_silence(events, name, [*lab.away, *before]))

    def _result(
        self, lab: Lab, reached: End, rows: Sequence[Invariant[FoundT]], found: FoundT, **more: Any
    ) -> DrillResult:
        """Checks the invariants and puts everything together; ``more`` are further fields of the result."""
        judgement, events, writer = found.judgement, found.events, found.facts.writer
        demanded = [row for row in rows if row.when(found)]
        for problem in judgement.problems:
            self._timeline.event(Kind.LAB, f"PROBLEM: {problem}")
        run, options = self._acting(), self._options
        after = lab.servers[writer].name
        recovered = any(
            each.event == "ack" and each.cluster == after and self._since_zero(each.t) > 0 for each in events
        )
        return DrillResult(
            mode=options.mode,
            outage=options.outage_name,
            seed=options.seed,
            speed=options.speed,
            aurora_promotion_seconds=options.aurora_promotion_seconds,
            arguments=options.arguments,
            troubles=[trouble.name for trouble in options.troubles],
            clients=options.clients,
            rto_by_name_seconds=self._rto_of(lab, "name", events),
            rto_by_hosts_seconds=self._rto_of(lab, "hosts", events),
            lease=self._lease(),
            started_at=self._started_at,
            demanded=options.demanded,
            reached=reached,
            execution_name=run.name if run else None,
            execution_arn=self._arn_of(lab, run) if run else None,
            execution_status=run.status if run else None,
            writer_before=self._writer_before,
            standby=self._standby_before,
            writer_after=writer if recovered or writer == self._writer_before else None,
            gap_seconds=judgement.gap_seconds,
            both_wrote=judgement.both_wrote,
            rpo_seconds=judgement.rpo_seconds,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            duplicated=judgement.duplicated,
            invariants={row.name: row.check(found) for row in demanded},
            invariant_meanings={row.name: row.meaning for row in demanded},
            marks=self._timeline.marks(
                first_acknowledged_write=self._moment(judgement.outage_ended),
                first_failed_write=self._moment(judgement.outage_started),
                **self._signs_of_life(),
            ),
            throughput=_throughput(
                {region: lab.servers[region].name for region in lab.settings.regions}, events, self._since_zero
            ),
            events=self._timeline.events(),
            settings=_settings(lab),
            run_record=run.record if run else None,
            postgresql_version=self._binaries.version,
            notes=notes_of(self._outage),
            tolerated_errors=self._narrator.seen.tolerated,
            problems=judgement.problems,
            **more,
        )

    def _rto_of(self, lab: Lab, kind: str, events: Sequence[Event]) -> float | None:
        """Returns the time without writes of the clients of one kind, from the first writer to the one of now."""
        before, after = lab.servers[self._writer_before].name, lab.servers[self._standby_before].name
        return ledger.rto_of(events, before, after, lab.clients[kind], self._clock)

    def _signs_of_life(self) -> dict[str, float | None]:
        """Returns when the guardian of the first writer gave its last sign before the detection, and its first word."""
        marks, zero = self._timeline.marks(), self._timeline.zero
        ours = [each for each in self._narrator.seen.lease if each.writer == self._writer_before]
        until = zero + (marks.detected if marks.detected is not None else 0.0)
        words = [each.at - zero for each in ours if each.word and each.at >= zero]
        signs = [each.at - zero for each in ours if each.at <= until]
        detected = marks.detected is not None
        return {
            "last_sign_of_life": signs[-1] if signs and detected else None,
            "word_of_guardian": words[0] if words else None,
        }

    def _lease(self) -> list[LeaseSpan]:
        zero = self._timeline.zero
        return lease_spans(
            [
                LeaseSeen(each.at - zero, each.writer, each.until and each.until - zero)
                for each in self._narrator.seen.lease
            ]
        )

    def _since_zero(self, real_time: float) -> float:
        """Converts a real time (seconds since 1970) into virtual seconds since the outage."""
        return self._clock.virtual_time(real_time) - self._timeline.zero

    def _moment(self, real_time: float | None) -> float | None:
        """Does the same for a moment that may never have come."""
        return None if real_time is None else self._since_zero(real_time)

    def _arn_of(self, lab: Lab, run: Execution) -> str:
        """Returns the ARN of a run of the failover workflow, which runs in the region that was the standby."""
        names = Names(lab.settings, lab.specification.account)
        machine = names.state_machine(self._standby_before)
        return names.arn("states", self._standby_before, f"execution:{machine}:{run.name}")


def _throughput(clusters: dict[str, str], events: Sequence[Event], since_zero: Callable[[float], float]) -> Throughput:
    """Counts all writes; ``clusters`` are the regions' clusters by their names."""
    moments = [since_zero(each.t) for each in events]
    return Throughput.count(
        {
            region: [since_zero(each.t) for each in events if each.event == "ack" and each.cluster == cluster]
            for region, cluster in clusters.items()
        },
        [since_zero(each.t) for each in events if each.event == "fail"],
        started_s=min(moments, default=0.0),
        ended_s=max(moments, default=1.0),
    )


def _settings(lab: Lab) -> dict[str, str | int | float | bool]:
    """Returns the settings that bear on the figures."""
    thresholds = lab.settings.thresholds
    return {
        "environment_suffix": lab.settings.environment_suffix,
        "trigger_mode": lab.settings.trigger_mode,
        "rpo_budget_ms": thresholds.rpo_budget_ms,
        "recovery_grace_s": thresholds.recovery_grace_s,
        "transfers_per_second": TRANSFERS_PER_SECOND * sum(each.settings.clients for each in lab.workloads),
    }
