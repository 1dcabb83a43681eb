"""A drill that goes full circle: failover, re-protection and, at the end, failback, under load all the time.

Each round strikes the region that has the writer at that moment, whichever it is, with an outage of its own; the alarms
start the failover. The region comes back, with its database open to its clients. A person starts the re-protection,
approves the old cluster's retirement with the command in the message, and, if the writer is not where it began after
the last round, starts the failback with the command in the last message. Then the clients stop, and the person replays
what was salvaged.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from drills.ends import End
from drills.script import salvage
from drills.script.drill import AFTER_SECONDS, WORKFLOW_LIMIT_SECONDS, Drill
from drills.script.person import Person
from drills.verdict import ledger
from drills.verdict.events import Kind
from drills.verdict.moves import Move, judge_moves
from drills.verdict.rounds import ROUND_INVARIANTS, RoundFound, Step, legs_of, sum_up
from drills.world import bank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.lab import Lab
    from drills.verdict.result import DrillResult, StepKind
    from drills.verdict.seen import Execution
    from drills.world.postgres import Server

# How long an outage lasts after its failover, before the region comes back (virtual seconds).
OUTAGE_LASTS_SECONDS = 5.0
# A re-protection waits for RDS in pauses of 15 to 30 s; this ends a drill in which one of them never ends.
REPROTECTION_LIMIT_SECONDS = 1200.0
# Once nobody writes, the standby has everything within this time (real seconds).
CATCH_UP_SECONDS = 20.0


class Circle(Drill):
    """The steps of one drill that goes full circle."""

    def _play(self, lab: Lab) -> End:
        """Plays all rounds and the failback; returns the end that was reached."""
        self._steps: list[Step] = []
        person = Person("yes", lab.file, self._timeline)
        for outage in self._options.outages:
            self._outage = outage
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
        self._let_run_on()
        return End.FULL_CIRCLE

    def _fail_over(self, lab: Lab, person: Person) -> End:
        """Strikes the writer's region, and lets it come back once the other one has the writer."""
        struck, began, began_real = lab.writer, self._clock.now(), time.time()
        known = frozenset(self._narrator.seen.executions)
        self._happen(lab)
        run = self._acting(known) if self._workflow_starts(known) else None
        if run is None:
            return End.NOTHING_MOVED
        end = self._finish(run, person, self._workflow_limit)
        if end is not End.FAILED_OVER:
            return end
        self._wait_for_clients(lab, self._failing_when_over())
        lab.follow_roles()
        self._done(lab, "failover", run, began, began_real, struck)
        with self._timeline.waiting(f"{struck} to come back"):
            self._clock.sleep(OUTAGE_LASTS_SECONDS)
        self._say_comes_back(struck)
        lab.bring_back(struck)
        return end

    def _re_protect(self, lab: Lab, person: Person) -> End:
        """Has a person start the re-protection and approve the retirement."""
        began, began_real = self._clock.now(), time.time()
        self._timeline.event(Kind.WORKFLOW, f"a person starts the re-protection in {lab.writer}")
        run = self._execution(lab.start_reprotection())
        end = self._finish(run, person, REPROTECTION_LIMIT_SECONDS)
        if end is not End.REPROTECTED:
            return end
        self._done(lab, "re-protection", run, began, began_real, lab.writer)
        return end

    def _fail_back(self, lab: Lab, person: Person) -> End:
        """Has a person move the writer back, with the command from the re-protection's last message."""
        began, began_real, away = self._clock.now(), time.time(), lab.writer
        arn = person.start(self._narrator.seen.messages)
        if arn is None:
            self._timeline.event(Kind.LAB, "PROBLEM: no message has a command that starts the failback")
            return End.NEEDS_PERSON
        run = self._execution(arn)
        end = self._finish(run, person, self._workflow_limit)
        if end is not End.SWITCHED_OVER:
            return end
        self._wait_for_clients(lab, 0)
        lab.follow_roles()
        self._done(lab, "failback", run, began, began_real, away)
        return end

    def _finish(self, run: Execution, person: Person, at_most: float) -> End:
        """Waits for a run's end; meanwhile the person on call reads what comes."""

        def is_over(_seen: object) -> bool:
            person.read(self._narrator.seen.messages)
            return run.status != "RUNNING"

        if not self._narrator.wait(f"the run {run.name}", is_over, at_most):
            return End.TIMED_OUT
        return run.end or End.ABORTED

    def _execution(self, arn: str) -> Execution:
        """Returns the run of that ARN, once the narrator knows it."""
        name = arn.rsplit(":", 1)[-1]
        self._narrator.wait(f"the run {name} to start", lambda seen: name in seen.executions, WORKFLOW_LIMIT_SECONDS)
        return self._narrator.seen.executions[name]

    def _done(self, lab: Lab, kind: StepKind, run: Execution, began: float, began_real: float, before: str) -> None:
        record = lab.control_record()
        writer, epoch = record["writer_region"]["S"], int(record["epoch"]["N"])
        step = Step(kind, run.name, began, began_real, self._clock.now(), before, writer, epoch)
        self._steps.append(step)
        self._timeline.event(Kind.LAB, f"{kind} done: {writer} writes, epoch {epoch}")

    # --- the judgement

    def _judge(self, lab: Lab, reached: End) -> DrillResult:
        """Stops the clients, finds out what became of every write, and replays what was salvaged."""
        with self._timeline.waiting("the clients' books to be compared with the databases"):
            clients = sum(each.settings.clients for each in lab.workloads if each.is_running())
            lab.stop_clients()
            lab.follow_roles()
            writer = lab.servers[lab.writer]
            writer.revive()
            facts = self._facts(lab, proofs_on=lab.writer)
            events = bank.read_events(workload.events for workload in lab.workloads)
            present = ledger.transfers_on(writer)
            moves = self._moves(lab)
            judged = judge_moves(events, moves, present, self._clock)
            files = salvage.files_of(
                {key: text for each in lab.settings.regions for key, text in lab.salvage_files(each).items()}
            )
        texts = [text for epoch in sorted(files) for text in files[epoch]]
        said = self._replay(lab, writer, files, ""), self._replay(lab, writer, files, " once more")
        found = RoundFound(
            judgement=sum_up(events, moves, judged, present, ledger.read_books(writer)),
            facts=facts,
            events=events,
            runs=self._narrator.seen.runs,
            denied=self._narrator.seen.denied,
            last_seconds=self._clock.to_real(AFTER_SECONDS),
            surely_loses=any(outage is not None and outage.surely_loses for outage in self._options.outages),
            home=(self._writer_before, self._standby_before),
            roles=(lab.writer, lab.standby),
            steps=self._steps,
            moves=moves,
            judged=judged,
            present=present,
            present_after_replay=ledger.transfers_on(writer),
            salvaged=salvage.transfers_in(texts),
            said=said,
            clients=clients,
            standby_has_all=self._standby_has_everything(lab),
        )
        found.judgement.problems.extend(found.salvage_problems())
        salvaged = {epoch: salvage.transfers_in(texts) for epoch, texts in files.items()}
        legs = legs_of(found, salvaged, self._timeline.zero)
        return self._result(lab, reached, ROUND_INVARIANTS, found, legs=legs, replayed=said[0]["applied"])

    def _replay(self, lab: Lab, writer: Server, epochs: Iterable[int], again: str) -> Counter[str]:
        """Has the person replay what was salvaged of each epoch; returns what the bank's function answered."""
        person, said = Person("yes", lab.file, self._timeline), Counter[str]()
        for epoch in sorted(epochs):
            said.update(person.call(f"failoverctl salvage replay {epoch} --connection {writer.url}").get("answers", {}))
        self._timeline.event(Kind.DATABASE, f"a person replays what was salvaged{again}: {_counted(said)}")
        return said

    def _moves(self, lab: Lab) -> list[Move]:
        """Returns the moves of the writer, failovers with what their old writers had not replicated at deletion."""
        found = iter(lab.divergences)
        moves = []
        for step in self._steps:
            if not step.moves:
                continue
            move = Move(step.began_real, lab.servers[step.before].name, lab.servers[step.writer].name)
            if step.kind == "failover" and (divergence := next(found, None)):
                move = replace(move, unreplicated=divergence.unreplicated)
            moves.append(move)
        return moves

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


def _counted(said: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in said.items()) or "nothing in them"
