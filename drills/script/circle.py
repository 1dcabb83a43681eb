"""A drill that goes the whole way round: failover, re-protection, and at the end failback, under load all the time.

Each round strikes the region that writes at that moment, whichever it is; the alarms start the failover. The region
comes back, with its database open to its clients. A person starts the re-protection, approves the old cluster's
retirement by the command in the message, and, when the writer is away from where it began after the last round, starts
the failback by the command in the last message. Then the clients stop, and the person replays what was salvaged.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drills.script import salvage
from drills.script.drill import (
    AFTER_SECONDS,
    DETECTION_LIMIT_SECONDS,
    RECONNECT_LIMIT_SECONDS,
    WORKFLOW_LIMIT_SECONDS,
    Drill,
    Facts,
    is_bounded,
    run_record,
)
from drills.script.drill import MEANINGS as DRILL_MEANINGS
from drills.script.person import Person
from drills.verdict import ledger
from drills.verdict.ledger import Judgement
from drills.verdict.moves import Move, MoveJudgement, judge_moves, unexplained
from drills.verdict.result import DrillResult, End, Kind, Leg
from drills.world import bank

if TYPE_CHECKING:
    from drills.lab import Lab
    from drills.show.narrator import Execution
    from drills.world.bank import Event
    from drills.world.postgres import Server

# How long an outage lasts after its failover, before the region comes back (virtual seconds).
OUTAGE_LASTS_SECONDS = 5.0
# A re-protection waits for RDS in pauses of 15 to 30 s; this ends a drill in which one of them never ends.
REPROTECTION_LIMIT_SECONDS = 1200.0
# The standby has everything when nobody writes any more (real seconds).
CATCH_UP_SECONDS = 20.0

# A region that dies loses what was on the wire, now and then nothing; one that is cut off goes on for some seconds.
SURELY_LOSES = "isolate"

CIRCLE_MEANINGS = {
    "replicated_is_kept": "every acknowledged write that was replicated is on the writer at the end",
    "salvage_has_the_lost": "the lost writes are exactly those acknowledged ones that are in the salvage files",
    "loss_was_bounded": "no failover lost a write that is older than its run's record says may be lost",
    "recovery_proved": "every move's own write through the writer name is on the writer at the end",
    "something_was_lost": "at least one acknowledged write was lost, so that the salvage had something to show",
    "replay_applies_all": "every statement of the salvage files was applied when they were replayed",
    "replay_repeats_nothing": "replayed once more, no statement of them was applied",
    "nothing_lost_in_the_end": "after the replay no acknowledged write is missing",
    "writer_is_home": "the writer is where it began, and the standby where that began",
    "standby_follows": "the standby streams from the writer, holds all it holds, and is in the global database",
    "epoch_counts_moves": "the epoch has grown by one with each move",
    "protected_again": "the control record is protected, and holds no lock",
    "each_step_one_run": "each step was the work of one run, and no other changed anything",
    "clients_recovered": "every client writes at the end, those pinned to the first writer's endpoint too",
    "one_writer": "nothing was acknowledged by an old writer once the new one had taken over, in any move",
}


@dataclass(frozen=True)
class Step:
    """A step that was done. ``began`` and ``ended`` are virtual times, ``began_real`` is the machine's."""

    kind: str
    run: str
    began: float
    began_real: float
    ended: float
    before: str
    writer: str
    epoch: int


class Circle(Drill):
    """The steps of one drill that goes round."""

    meanings = DRILL_MEANINGS | CIRCLE_MEANINGS

    def _play(self, lab: Lab) -> End:
        """All rounds, and the way back."""
        self._steps: list[Step] = []
        person = Person("yes", lab.cloud, self._timeline)
        for _ in range(self._options.rounds):
            if not self._is_steady(lab):
                return End.TIMED_OUT
            for play in (self._fail_over, self._re_protect):
                end = play(lab, person)
                if end not in (End.FAILED_OVER, End.REPROTECTED):
                    return end
        if lab.writer != self._writer_before:
            if not self._is_steady(lab):
                return End.TIMED_OUT
            end = self._fail_back(lab, person)
            if end is not End.SWITCHED_OVER:
                return end
        with self._timeline.waiting("a few seconds more, to compare"):
            self._clock.sleep(AFTER_SECONDS)
        return End.FULL_CIRCLE

    def _fail_over(self, lab: Lab, person: Person) -> End:
        """Strike the writer's region, and let it come back once the other one writes."""
        struck, began, began_real = lab.writer, self._clock.now(), time.time()
        known = set(self._narrator.seen.executions)
        self._happen(lab)
        started = self._narrator.wait(
            "the workflow to start", lambda seen: seen.executions.keys() > known, DETECTION_LIMIT_SECONDS
        )
        if not started:
            return End.NOTHING_MOVED
        run = self._newest(known)
        end = self._finish(run, person, WORKFLOW_LIMIT_SECONDS + self._options.aurora_promotion_seconds)
        if end is not End.FAILED_OVER:
            return end
        self._wait_for_clients(lab, self._clients_lost())
        lab.follow_roles()
        self._done(lab, "failover", run, began, began_real, struck)
        with self._timeline.waiting(f"{struck} to come back"):
            self._clock.sleep(OUTAGE_LASTS_SECONDS)
        self._timeline.event(Kind.OUTAGE, f"{struck} comes back, with its database open to its clients")
        lab.bring_back(struck)
        return end

    def _re_protect(self, lab: Lab, person: Person) -> End:
        """Let a person start the re-protection and approve the retirement."""
        began, began_real = self._clock.now(), time.time()
        self._timeline.event(Kind.WORKFLOW, f"a person starts the re-protection in {lab.writer}")
        run = self._execution(lab.start_reprotection())
        end = self._finish(run, person, REPROTECTION_LIMIT_SECONDS)
        if end is not End.REPROTECTED:
            return end
        self._done(lab, "re-protection", run, began, began_real, lab.writer)
        return end

    def _fail_back(self, lab: Lab, person: Person) -> End:
        """Let a person move the writer back, by the command of the re-protection's last message."""
        began, began_real, away = self._clock.now(), time.time(), lab.writer
        arn = person.start(self._narrator.seen.messages)
        if arn is None:
            self._timeline.event(Kind.LAB, "PROBLEM: no message has a command that starts the failback")
            return End.NEEDS_PERSON
        run = self._execution(arn)
        end = self._finish(run, person, WORKFLOW_LIMIT_SECONDS + self._options.aurora_promotion_seconds)
        if end is not End.SWITCHED_OVER:
            return end
        self._wait_for_clients(lab, 0)
        lab.follow_roles()
        self._done(lab, "failback", run, began, began_real, away)
        return end

    def _finish(self, run: Execution, person: Person, at_most: float) -> End:
        """Wait for a run's end; meanwhile the person on call reads what comes."""

        def is_over(_seen: object) -> bool:
            person.read(self._narrator.seen.messages)
            return run.status != "RUNNING"

        if not self._narrator.wait(f"the run {run.name}", is_over, at_most):
            return End.TIMED_OUT
        return run.end or End.ABORTED

    def _newest(self, known: set[str]) -> Execution:
        """The run that does the work among those that were not known."""
        new = [run for name, run in self._narrator.seen.executions.items() if name not in known]
        return next((run for run in new if run.end is not End.REFUSED), new[0])

    def _execution(self, arn: str) -> Execution:
        """The run of that ARN, once the narrator knows it."""
        name = arn.rsplit(":", 1)[-1]
        self._narrator.wait(f"the run {name} to start", lambda seen: name in seen.executions, WORKFLOW_LIMIT_SECONDS)
        return self._narrator.seen.executions[name]

    def _wait_for_clients(self, lab: Lab, lost: int) -> None:
        self._narrator.wait(
            "every client that can to write again",
            lambda _: lab.load().failing_clients == lost,
            RECONNECT_LIMIT_SECONDS,
        )

    def _done(self, lab: Lab, kind: str, run: Execution, began: float, began_real: float, before: str) -> None:
        record = lab.control_record()
        writer, epoch = record["writer_region"]["S"], int(record["epoch"]["N"])
        step = Step(kind, run.name, began, began_real, self._clock.now(), before, writer, epoch)
        self._steps.append(step)
        self._timeline.event(Kind.LAB, f"{kind} done: {writer} writes, epoch {epoch}")

    # --- the judgement

    def _judge(self, lab: Lab, reached: End) -> DrillResult:
        """Stop the clients, find out what became of every write, and replay what was salvaged."""
        with self._timeline.waiting("the clients' books to be compared with the databases"):
            clients = sum(each.settings.clients for each in lab.workloads if each.is_running())
            lab.stop_clients()
            lab.follow_roles()
            writer = lab.servers[lab.writer]
            writer.revive()
            facts = self._facts(lab)
            events = bank.read_events(workload.events for workload in lab.workloads)
            present = ledger.transfers_on(writer)
            moves = self._moves(lab)
            judged = judge_moves(events, moves, present, self._clock)
            files = salvage.files_of(
                {key: text for each in lab.settings.regions for key, text in lab.salvage_files(each).items()}
            )
        texts = [text for epoch in sorted(files) for text in files[epoch]]
        said: list[Counter[str]] = []
        for again in ("", " once more"):
            said.append(salvage.replay(writer, texts))
            self._timeline.event(Kind.DATABASE, f"a person replays the salvage files{again}: {_counted(said[-1])}")
        judgement = self._judgement(events, moves, judged, present, writer)
        acknowledged = {event.id for event in events if event.event == "ack"}
        lost, salvaged = acknowledged - present, salvage.transfers_in(texts)
        unsaved, needless = lost - salvaged, (salvaged & acknowledged) - lost
        if unsaved or needless:
            judgement.problems.append(
                f"{len(unsaved)} lost transfers are not in the salvage, {len(needless)} are there though not lost: "
                f"{sorted(unsaved | needless)[:3]}"
            )
        invariants = {
            **judgement.invariants,
            "replicated_is_kept": not unexplained(events, moves, present),
            "loss_was_bounded": self._losses_were_bounded(judged),
            "recovery_proved": self._recoveries_proved(writer),
            "salvage_has_the_lost": not unsaved and not needless,
            "replay_applies_all": said[0].total() == said[0]["applied"] == len(salvaged),
            "replay_repeats_nothing": said[1].total() == said[1]["known"] == said[0].total(),
            "nothing_lost_in_the_end": acknowledged <= ledger.transfers_on(writer),
            "clients_recovered": len(self._writing(events)) == clients,
            **self._state(lab, facts),
        }
        if self._options.outage == SURELY_LOSES:
            invariants["something_was_lost"] = bool(lost)
        return self._result(
            lab,
            reached,
            judgement,
            events,
            lab.writer,
            invariants,
            legs=self._legs(judged, files),
            replayed=said[0]["applied"],
        )

    def _losses_were_bounded(self, judged: list[MoveJudgement]) -> bool:
        """Whether each failover's run knew how much it might lose; what a failback loses is never explained."""
        moves = [step for step in self._steps if step.kind != "re-protection"]
        return all(
            is_bounded(move.rpo_seconds, run_record(self._narrator.seen.executions[step.run]))
            for step, move in zip(moves, judged, strict=True)
            if step.kind == "failover"
        )

    def _recoveries_proved(self, writer: Server) -> bool:
        proved = {row[0] for row in writer.query("SELECT run FROM recovery_proof")}
        return proved == {step.run for step in self._steps if step.kind != "re-protection"}

    def _moves(self, lab: Lab) -> list[Move]:
        """The moves of the writer; a failover's old writer left what it never replicated with its cluster's end."""
        found = iter(lab.divergences)
        moves = []
        for step in self._steps:
            if step.kind == "re-protection":
                continue
            move = Move(step.began_real, lab.servers[step.before].name, lab.servers[step.writer].name)
            if step.kind == "failover" and (divergence := next(found, None)):
                move = replace(move, unreplicated=divergence.unreplicated)
            moves.append(move)
        return moves

    def _judgement(
        self, events: list[Event], moves: list[Move], judged: list[MoveJudgement], present: set[str], writer: Server
    ) -> Judgement:
        """The figures of all moves together; those of the outage are the first one's."""
        books = ledger.read_books(writer)
        findings = books.findings()
        acknowledged = {event.id for event in events if event.event == "ack"}
        both_wrote = sum(each.both_wrote for each in judged)
        findings["one_writer"] = f"{both_wrote} transfers were acknowledged by an old writer" if both_wrote else ""
        first = judged[0] if judged else None
        return Judgement(
            acknowledged=len(acknowledged),
            failed_attempts=sum(event.event == "fail" for event in events),
            lost=len(acknowledged - present),
            duplicated=books.duplicated,
            unreplicated=sum(len(move.unreplicated) for move in moves),
            rpo_seconds=max((each.rpo_seconds for each in judged), default=0.0),
            rto_seconds=first.rto_seconds if first else None,
            resumption_median_seconds=None,
            resumption_last_seconds=None,
            gap_seconds=first.gap_seconds if first else None,
            both_wrote=both_wrote,
            outage_started=first.outage_started if first else None,
            outage_ended=first.outage_ended if first else None,
            divergence_position=None,
            invariants={name: not problem for name, problem in findings.items()},
            problems=[problem for problem in findings.values() if problem],
        )

    def _state(self, lab: Lab, facts: Facts) -> dict[str, bool]:
        """Whether the world is as it was at the beginning, some epochs later."""
        record = lab.control_record()
        moves = [step for step in self._steps if step.kind != "re-protection"]
        runs = self._narrator.seen.executions.values()
        acted = [run.name for run in runs if run.end is not End.REFUSED]
        roles = {self._writer_before: True, self._standby_before: False}
        return {
            "writer_is_home": (lab.writer, lab.standby) == (self._writer_before, self._standby_before),
            "standby_follows": facts.members == roles and self._standby_has_everything(lab),
            "epoch_counts_moves": facts.epoch == 1 + len(moves),
            "protected_again": record.get("protected", {"BOOL": True})["BOOL"]
            and "reprotection" not in record
            and not facts.locked,
            "name_leads_to_writer": facts.name == facts.writer,
            "each_step_one_run": sorted(acted) == sorted(step.run for step in self._steps),
            "least_privilege": not self._narrator.seen.denied,
        }

    def _writing(self, events: list[Event]) -> set[int]:
        """The clients that were answered in the last seconds of the drill."""
        last = max((event.t for event in events), default=0.0)
        since = last - self._clock.to_real(AFTER_SECONDS)
        return {event.client for event in events if event.event == "ack" and event.t > since}

    def _standby_has_everything(self, lab: Lab) -> bool:
        writer, standby = lab.servers[lab.writer], lab.servers[lab.standby]
        if not standby.is_running() or not standby.is_standby:
            return False
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while ledger.transfers_on(standby) != ledger.transfers_on(writer):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return writer.standby_lag() is not None

    def _legs(self, judged: list[MoveJudgement], files: dict[int, list[str]]) -> list[Leg]:
        """The steps as the report shows them."""
        figures = iter(judged)
        legs: list[Leg] = []
        for step in self._steps:
            leg = Leg(
                step=step.kind,
                run=step.run,
                started_s=step.began - self._timeline.zero,
                seconds=step.ended - step.began,
                writer=step.writer,
                epoch=step.epoch,
            )
            if step.kind == "re-protection":
                found = salvage.transfers_in(files.get(step.epoch, []))
                leg = leg.model_copy(update={"salvaged": len(found)})
            else:
                move = next(figures)
                leg = leg.model_copy(
                    update={
                        "lost": len(move.lost),
                        "rto_seconds": move.rto_seconds,
                        "gap_seconds": move.gap_seconds,
                        "both_wrote": move.both_wrote,
                    }
                )
            legs.append(leg)
        return legs


def _counted(said: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in said.items()) or "nothing in them"
