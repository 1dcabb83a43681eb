"""``failoverctl gameday``: has AWS FIS cut the writer's database off, sees the failover through, and ends the cut.

docs/gameday.md says what that shows and what it does not.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from failoverctl import fault_injection, gameday_report, runs
from failoverctl.account import Account
from failoverctl.command import CANNOT_TELL, DONE, INTERRUPTED, REFUSED, Session
from failoverctl.deployment import Reading
from failoverctl.errors import CannotTell, Refused
from failoverctl.fault_injection import Experiment, Interface, Template
from failoverctl.findings import EXIT_CODES, show
from failoverctl.gameday_report import Played
from failoverctl.outlook import UNTIL_MOVED_S, outlook_by_record
from failoverctl.ready import asked as readiness
from failoverctl.runs import Run
from failoverctl.start import Yes
from failoverctl.timeline import followed, newest
from failoverctl.words import clock
from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.readiness import Finding, Level, verdict
from orchestration.specification.game_day import ACTION, SCOPE

PlanIt = Annotated[bool, typer.Option("--plan", help="Only say what would be done, and whether it may be.")]
RunIt = Annotated[bool, typer.Option("--run", help="Do it: applications cannot write until the failover is over.")]
StopIt = Annotated[bool, typer.Option("--stop", help="End a cut that somebody has left: the database is back at once.")]
Production = Annotated[
    str | None,
    typer.Option("--production", metavar="NAME", help="The global database's name: needed where it is a production."),
]
Folder = Annotated[
    Path, typer.Option("--output", metavar="FOLDER", help="Where the report is written, as a page and as JSON.")
]

STOP = "failoverctl gameday --stop"
LOOK_EVERY_S = 2.0
# From the start of an experiment to its first change. 13 s were seen (ericdahl/hello-fis, README, 2023).
CUT_WITHIN_S = 180.0
# Beyond the time that the guardian's word takes to count: two attempts of the monitor, and the first look of a run.
COMES_WITHIN_S = 120.0
RESTORED_WITHIN_S = 180.0
MOVED = "recovered"  # how a run ends that has moved the writer
MOST = 20  # of the newest runs that are looked at
RATE = 0.10  # US dollars for a minute of one action (AWS's price list of FIS, October 2024)


@dataclass(frozen=True)
class Day:
    """A game day as it would be held now, and whether it may be."""

    writer: str
    standby: str
    epoch: int
    template: Template
    interfaces: Sequence[Interface]
    findings: Sequence[Finding]

    @property
    def answer(self) -> Level:
        """The worst that was found."""
        return verdict(self.findings)


def gameday(
    session: Session,
    *,
    plan: PlanIt = False,
    run: RunIt = False,
    stop: StopIt = False,
    yes: Yes = False,
    production: Production = None,
    output: Folder = Path(),
) -> int | None:
    """Have AWS FIS cut the writer's database off, and see the failover through: --plan says what, --run does it."""
    if [plan, run, stop].count(True) != 1:
        raise Refused("say --plan, which only looks, --run, which does it, or --stop. Nothing was changed.")
    if session.chosen.lab:
        raise Refused("the lab has no AWS FIS: `make drill` and `make lab` strike a region there")
    account = Account(session.deployment)
    if not account.settings.game_day.enabled:
        raise Refused(
            "game days are off in the settings: set `enabled = true` in [game_day] and apply (docs/gameday.md says "
            "what that adds). Nothing was changed."
        )
    if stop:
        return _stop(session, account)
    day = planned(account, production)
    words = in_words(account, day)
    session.say(*words, "")
    show(session, day.answer, SENTENCES[day.answer], day.findings)
    if plan:
        session.tell({"answer": day.answer, "plan": words, "day": day})
        return EXIT_CODES[day.answer]
    faults = "; ".join(f"{each.fact} ({each.check})" for each in day.findings if each.level == day.answer)
    if day.answer in ("failing", "cannot tell"):
        raise (Refused if day.answer == "failing" else CannotTell)(
            f"no game day now, and nothing was changed: {faults}"
        )
    if not os.access(output, os.W_OK):
        raise Refused(f"the report cannot be written to {output}; name a folder with --output. Nothing was changed.")
    session.confirm(f"Cut the database of {day.writer} off now?", yes=yes)
    played = play(session, account, day)
    data = gameday_report.data(account, played, words)
    session.say(*gameday_report.write(data, output), *_next(day, played))
    session.tell(data)
    return played.exit_code


SENTENCES: dict[Level, str] = {
    "ok": "A game day may be held now.",
    "warning": "A game day may be held now; there is something to see to.",
    "failing": "No game day now.",
    "cannot tell": "Cannot tell whether a game day may be held now.",
}


def _stop(session: Session, account: Account) -> int:
    """Ends what runs, in either region: after a failover the record names the other one."""
    code, ended = DONE, []
    for region in account.regions:
        try:
            found = _running_in(account, region)
        except (FailoverError, Refused) as error:  # the other region's may be there to be ended
            session.say(f"Nobody knows whether {region} is cut off: {error}", style="bold red")
            code = CANNOT_TELL
            continue
        if found is None:
            session.say(f"No experiment runs in {region}.")
            continue
        played = Played(region, account.peer(region), found)
        _restore(session, account, played)
        code = max(code, played.exit_code)
        ended.append(played.experiment)
    session.tell({"experiments": ended})
    return code


# --- the plan


def planned(account: Account, production: str | None) -> Day:
    """Returns the game day that would be held now; raises `Refused` where none can be."""
    if production is not None and not account.settings.protected:
        raise Refused("--production means nothing here, for this is no production; leave it out. Nothing was changed.")
    reading = account.deployment.read()
    writer = reading.record.writer_region
    template = fault_injection.template(account, writer)
    interfaces = fault_injection.interfaces(account, template)
    ready = readiness(account.deployment)
    findings = [
        *_of_production(account, writer, production),
        _of_record(account, reading),
        _of_running(account),
        *_of_alarms(account, template),
        _of_interfaces(account, template, interfaces),
        *(each for each in ready if each.level != "ok"),
    ]
    if verdict(ready) == "ok":
        findings.append(Finding("ready", "both", "ok", "every check of `failoverctl ready` is green", ""))
    return Day(writer, account.peer(writer), reading.record.epoch, template, interfaces, findings)


def in_words(account: Account, day: Day) -> list[str]:
    """Returns what would be done, to whom, what is expected of it, and what ends it, in lines for people."""
    template, settings = day.template, account.settings
    expected_s = settings.thresholds.recovery_grace_s + UNTIL_MOVED_S
    others = [each for each in day.interfaces if not each.is_database]
    return [
        f"Game day of {account.names.global_cluster}: {day.writer} is cut off, and {day.standby} has to take over "
        f"(epoch {day.epoch}).",
        f"What is cut: all traffic into and out of the database's {len(template.subnets)} subnets "
        f"({', '.join(template.subnets)}), by AWS FIS ({ACTION}, scope {SCOPE}, experiment template {template.id}). "
        "Sessions hang, and nobody writes until the failover is over.",
        "What is not: functions, the control table and Aurora's replication. The guardian lives, and says that its "
        "database is out of reach.",
        f"Who is hit: {len(day.interfaces)} network interfaces in these subnets, {len(others)} of them not of RDS"
        + "".join(f"\n  {each.id} in {each.subnet}: {each.what}" for each in others),
        f"What is expected: {day.standby} is asked to take over after about {expected_s:.0f} s ("
        f"{settings.thresholds.recovery_grace_s} s of them are recovery_grace_s), and Aurora's promotion comes on top. "
        "The old cluster is fenced: its instances are restarted and its security group is closed. Up to "
        f"{settings.thresholds.rpo_budget_ms} ms of writes may be lost; over that, the run asks a person.",
        f"What ends it: the end of the failover, or {COMES_WITHIN_S + settings.thresholds.recovery_grace_s:.0f} s "
        f"without one; Ctrl-C here; {template.minutes:.0f} min at most; one of the alarms "
        f"{', '.join(template.alarms)}.",
        f"What it costs: {RATE:.2f} US dollars a minute, {RATE * template.minutes:.2f} at most.",
        "Afterwards there is no standby until a re-protection (failoverctl start --mode reprotect); the way back is a "
        "failback.",
    ]


def _of_production(account: Account, region: str, named: str | None) -> list[Finding]:
    if not account.settings.protected:
        return []
    name = account.names.global_cluster
    if named == name:
        return [Finding("production", region, "ok", f"{name} is a production, and was named", "")]
    fact = f"{name} is a production" + (f", and {named} was named" if named else "")
    return [Finding("production", region, "failing", fact, f"name it, if you mean it: --production {name}")]


def _of_record(account: Account, reading: Reading) -> Finding:
    """Returns whether a failover would come by itself, by the very rules that would let it through."""
    record = reading.record
    seen = outlook_by_record(record, account.settings, reading.now)
    good = seen.kind == "automatic" and record.transition is None
    return Finding(
        "outlook",
        record.writer_region,
        "ok" if good else "failing",
        seen.sentence,
        "" if good else "`failoverctl status` says more",
    )


def _of_running(account: Account) -> Finding:
    found = [each for region in account.regions if (each := _running_in(account, region))]
    for each in found:
        fact, remedy = f"{each.id} runs already ({each.status})", f"wait until it is over, or `{STOP}`"
        return Finding("experiment", each.region, "failing", fact, remedy)
    return Finding("experiment", "both", "ok", "none runs", "")


def _running_in(account: Account, region: str) -> Experiment | None:
    return fault_injection.running(account, fault_injection.template(account, region))


def _of_alarms(account: Account, template: Template) -> Iterator[Finding]:
    """Yields whether each alarm could end the experiment, and would not do so at once."""
    states = fault_injection.alarm_states(account, template)
    remedies: dict[str | None, tuple[Level, str]] = {
        None: ("failing", "make it, or take it out of game_day.stop_alarms"),
        "ALARM": ("failing", "it would end the experiment at once: see to it first"),
        "INSUFFICIENT_DATA": ("warning", "it has no data, and ends nothing before it has"),
        "OK": ("ok", ""),
    }
    for name in template.alarms:
        state = states.get(name)
        level, remedy = remedies[state]
        yield Finding("stop alarm", template.region, level, f"{name}: {state or 'is not there'}", remedy)


def _of_interfaces(account: Account, template: Template, found: Sequence[Interface]) -> Finding:
    databases = sum(each.is_database for each in found)
    if not databases:
        return Finding(
            "subnets",
            template.region,
            "failing",
            "no database is in these subnets",
            f"see to it, or {fault_injection.APPLY}",
        )
    others = len(found) - databases
    if not others and account.settings.existing_in(template.region).vpc_id is None:
        return Finding("subnets", template.region, "ok", f"{databases} interfaces of RDS and no others", "")
    return Finding(
        "subnets",
        template.region,
        "warning",
        f"{others} interfaces of others are cut off, too; and of the {databases} of RDS, those of other databases",
        "ask their owners, or move them first",
    )


# --- the run


def play(session: Session, account: Account, day: Day) -> Played:
    """Starts the experiment, sees the failover through, and ends the experiment, whatever happens meanwhile.

    Raises `Refused` where things are not as they were when it was planned, and `CannotTell` where nobody knows
    whether the experiment was started.
    """
    reading = account.deployment.read()
    found = _of_record(account, reading)
    if found.level != "ok" or reading.record.epoch != day.epoch:
        raise Refused(f"it is not as it was when you were asked, and nothing was changed: {found.fact}")
    with _signals_interrupt():
        try:
            played = Played(day.writer, day.standby, fault_injection.start(account, day.template))
        except KeyboardInterrupt:
            raise CannotTell(f"broken off while it was started, so it may run: {STOP}") from None
        try:
            session.say(
                f"Experiment {played.experiment.id} was started in {day.writer}. It ends by itself after "
                f"{day.template.minutes:.0f} min; from another terminal: {STOP}"
            )
            _see_through(session, account, day, played)
        except KeyboardInterrupt:
            played.why_not, played.exit_code = "it was broken off by a person", INTERRUPTED
        except Refused as error:
            played.why_not, played.exit_code = str(error), REFUSED
        except (CannotTell, FailoverError) as error:
            played.why_not, played.exit_code = str(error), CANNOT_TELL
        finally:
            _restore(session, account, played)
    return played


def _see_through(session: Session, account: Account, day: Day, played: Played) -> None:
    """Follows the run that the outage brings, or the runs, until the writer has moved.

    Raises `Refused` where it does not move.
    """
    known = {each.name for each in newest(account.deployment, MOST)}
    _wait_for_the_cut(session, account, played)
    within_s = account.settings.thresholds.recovery_grace_s + COMES_WITHIN_S
    end = time.monotonic() + within_s
    while not _has_moved(record := _record(account), day):
        run = None if record is None or record.transition is None else _run_of(account, day, record.transition.run)
        if run is not None and run.name not in known:
            known.add(run.name)
            played.run, played.states = followed(session, run)
            end = time.monotonic() + COMES_WITHIN_S  # the next attempt comes within a minute
            continue
        played.experiment = _looked(account, played.experiment)
        last = f"; run {played.run.name} ended: {played.run.outcome}" if played.run else ""
        if played.experiment.is_over:
            raise Refused(f"FIS ended the experiment before a failover came ({played.experiment.reason}){last}")
        if time.monotonic() >= end:
            raise Refused(f"no failover came within {within_s:.0f} s{last}")
        time.sleep(LOOK_EVERY_S)
    if played.run is None or played.run.outcome != MOVED:
        _find_what_moved_it(session, account, day, played, known)


def _has_moved(record: ControlRecord | None, day: Day) -> bool:
    return record is not None and record.writer_region == day.standby


def _find_what_moved_it(session: Session, account: Account, day: Day, played: Played, known: set[str]) -> None:
    """Finds the run that took and gave back the lock between two looks; raises `Refused` where it did not end well."""
    for each in newest(account.deployment, MOST):
        run = None if each.name in known else _run_of(account, day, each.name)
        if run is not None and (not run.is_over or run.outcome == MOVED):
            played.run, played.states = followed(session, run)
            if played.run.outcome == MOVED:
                return
    raise Refused(f"the writer moved, and the run ended: {played.run.outcome if played.run else 'nobody knows which'}")


def _wait_for_the_cut(session: Session, account: Account, played: Played) -> None:
    end = time.monotonic() + CUT_WITHIN_S
    while played.experiment.cut_at is None:
        if played.experiment.is_over:
            raise Refused(f"FIS cut nothing off: {played.experiment.status} ({played.experiment.reason})")
        if time.monotonic() >= end:
            raise Refused(f"FIS cut nothing off within {CUT_WITHIN_S:.0f} s")
        time.sleep(LOOK_EVERY_S)
        played.experiment = _looked(account, played.experiment)
    session.say(f"{played.writer} is cut off since {clock(played.experiment.cut_at, time.time())}.")


def _restore(session: Session, account: Account, played: Played) -> None:
    """Has FIS give the subnets their network ACLs back, and waits until it has; says what to do where it does not."""
    end, asked = time.monotonic() + RESTORED_WITHIN_S, False
    while time.monotonic() < end:
        try:
            played.experiment = fault_injection.look(account, played.experiment)
            if played.experiment.is_over:
                session.say(f"The cut is over: {played.experiment.status} ({played.experiment.reason}).")
                return
            if not asked:
                session.say("Ending the cut…")
                fault_injection.stop(account, played.experiment)
                asked = True
            time.sleep(LOOK_EVERY_S)
        except FailoverError as error:
            session.say(f"FIS gives no answer, asking again: {error}", style="bold yellow")
            time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            session.say(f"The cut may go on. End it: {STOP}", style="bold red")
            raise
    played.exit_code = CANNOT_TELL
    played.why_not = played.why_not or "nobody knows whether the cut is over"
    session.say(
        f"Nobody knows whether the cut is over. End it: {STOP}; otherwise it ends by itself.",
        style="bold red",
    )


def _record(account: Account) -> ControlRecord | None:
    """Returns the control record; None where no region shows it now."""
    try:
        return account.deployment.read().record
    except CannotTell:
        return None


def _run_of(account: Account, day: Day, name: str) -> Run | None:
    try:
        return runs.described(account.deployment, day.standby, "failover", name)
    except TransientFailure:
        return None


def _looked(account: Account, at: Experiment) -> Experiment:
    """Returns what has become of the experiment; what was known of it, where FIS gives no answer."""
    try:
        return fault_injection.look(account, at)
    except TransientFailure:
        return at


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Takes the end of the terminal, and a kill, for a Ctrl-C: the cut must not go on unwatched."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _next(day: Day, played: Played) -> list[str]:
    """Returns what to do now."""
    if played.exit_code == DONE and played.run is not None:
        return [
            f"The run's own report: failoverctl report {played.run.name}",
            f"There is no standby now. Build one in {day.writer}: failoverctl start --mode reprotect",
            "Then, if you like: failoverctl start --mode failback",
        ]
    return [f"The game day did not end well: {played.why_not}", "Look: failoverctl status, then failoverctl runs"]
