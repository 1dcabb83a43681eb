"""``failoverctl break-glass``: the failover without Step Functions and without Lambda, from this machine.

For the night on which the standby's region has RDS and DynamoDB, but not what the workflow runs on. It does what the
workflow's steps do, by the same rules and rows: the claim decides, the lease and the word are waited for, the
request is noted before it is sent, and only a session that can write says that the promotion is done.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from botocore.exceptions import ClientError

from failoverctl.command import Session
from failoverctl.deployment import Deployment, Reading, changing
from failoverctl.errors import CannotTell, Refused, credentials_fault, is_denied, root_of
from failoverctl.start import Yes
from handlers.core.claim import Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError, RdsBusy, TransientFailure, WordLives
from handlers.core.lease import NO_SIGN_S, decide_wait, may_be_alive_until
from handlers.core.move import FAILED_STATUSES, decide, quiet_since
from handlers.core.request import Request
from handlers.gateways import move_request
from handlers.gateways.control_table import ControlTable
from handlers.gateways.data_api import STATEMENT_TIMEOUT_S, DataApi
from handlers.gateways.global_database import MOVE_READ_TIMEOUT_S, GlobalDatabase

DryRun = Annotated[bool, typer.Option("--dry-run", help="Look, print every call, and change nothing.")]
Resumes = Annotated[
    str | None, typer.Option("--resumes", metavar="RUN", help="Take over from a run that stopped half way.")
]

# How well this machine knows the time of the record's region, which says it in whole seconds: so much later than a step
# would, it takes a lease or a word for over.
CLOCK_KNOWN_TO_S = 2.0
CLOCK_DIFFERS_BY_S = 0.1  # what AWS's clock said is taken over where it proves this one wrong, by half a second or more
LOOK_EVERY_S = 1.0
SAY_EVERY_S = 15.0
# As for a step: a lift that came later could undo a fence that was put up for another reason.
LIFT_COUNTS_FOR_S = 3.0
# Schemas are named: whoever runs this has the database's own search_path.
LIFT = (
    f"SELECT public.lift_fence(number, extract(epoch FROM clock_timestamp()) + {LIFT_COUNTS_FOR_S:g}) "  # noqa: S608
    "FROM public.fence"
)


@dataclass(frozen=True)
class Glass:
    """What a run from this machine works with."""

    session: Session
    deployment: Deployment
    control: ControlTable
    database: GlobalDatabase
    claim: Claim
    sql: DataApi

    @property
    def run(self) -> str:
        """The run's name, which is in the lock."""
        return self.claim.run

    def read(self) -> ControlRecord:
        """Returns the record, by a quorum of its replicas."""
        return self.control.read()


def break_glass(session: Session, *, dry_run: DryRun = False, resumes: Resumes = None, yes: Yes = False) -> int | None:
    """Fail over from this machine, without Step Functions and Lambda; refused while the writer's lease lives."""
    deployment = session.deployment
    reading = _read(deployment)
    run = f"break-glass-{datetime.fromtimestamp(reading.now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    claim = _claimed(deployment, reading, run, resumes)
    _say_what_comes(session, deployment, claim)
    if dry_run:
        session.say("Nothing was done: --dry-run.")
        session.tell({"would": claim})
        return None
    session.confirm(f"Make {claim.target_region} the writer, whatever is lost?", yes=yes)
    reading = _read(deployment)  # anew: a record without a lease is waited for from the claim on
    claim = _claimed(deployment, reading, run, resumes)
    glass = _glass(session, deployment, reading, claim)
    try:
        with changing(deployment, "taking the lock"):
            taken = glass.control.take(lock_for(claim, reading.record, reading.now), reading.record)
        if not taken:
            raise Refused("the record has changed meanwhile: look with `failoverctl status`, then try again")
        session.say(f"Run {claim.run} holds the lock.")
        _move(glass)
    except KeyboardInterrupt:
        session.say(f"Go on: `failoverctl break-glass --resumes {claim.run}`")
        raise
    except FailoverError as error:
        raise CannotTell(
            f"run {claim.run} stopped half way: {error}. Go on: `failoverctl break-glass --resumes {claim.run}`"
        ) from error
    return None


def _read(deployment: Deployment) -> Reading:
    """Returns the record; raises `Refused` where this machine's clock, by which the lease is judged, is wrong."""
    before = time.time()
    reading = deployment.read()
    if not before - CLOCK_DIFFERS_BY_S < reading.now < time.time() + CLOCK_DIFFERS_BY_S:
        raise Refused(
            f"this machine's clock differs from that of {reading.through} by {abs(reading.now - before):.1f} s, and "
            "the lease is judged by it: set the clock first"
        )
    return reading


def _claimed(deployment: Deployment, reading: Reading, run: str, resumes: str | None) -> Claim:
    """Returns what the claim's own rules say; raises `Refused` where they, or the lease, are against it."""
    target = deployment.peer(reading.record.writer_region)
    asked = {"mode": "failover", "started_by": deployment.identity.name, "accept_data_loss": True}
    asked |= {"resumes": resumes} if resumes else {}
    claim = decide_claim(reading.record, Request.read(asked, run, target), run, reading.now, cool_down_s=0.0)
    if claim.decision != "proceed":
        raise Refused(f"it is not begun: {claim.reason}. To take over a run that has stopped: --resumes RUN")
    _refuse_a_living_lease(reading)
    return claim


def _refuse_a_living_lease(reading: Reading) -> None:
    record = reading.record
    if record.moving is not None or record.lease_expires_at is None:
        return  # it is waited for, as by a step
    left = may_be_alive_until(record) + CLOCK_KNOWN_TO_S - reading.now
    if left > 0:
        raise Refused(
            f"the writer in {record.writer_region} may live: its lease expires in {left:.0f} s, clocks considered. "
            "Where it is renewed meanwhile, the writer lives, and a switchover moves it; else try again then"
        )


def _say_what_comes(session: Session, deployment: Deployment, claim: Claim) -> None:
    """Prints every call that changes something, in order."""
    names, target = deployment.names, claim.target_region
    table = f"dynamodb UpdateItem {names.control_table}"
    session.say(
        f"Failover without Step Functions and Lambda: {claim.writer_region} → {target} (epoch {claim.epoch}), as run "
        f"{claim.run}: {claim.reason}.",
        "What it may lose: every write that has not reached the standby. Nobody measures that here, and you accept it.",
        "These calls are made, and reads in between:",
        f"  1. {table}: take, the lock",
        f"  2. {table}: begin_move, when the lease is over; then the end of the guardian's word is waited for",
        f"  3. {table}: begin_request, then rds RemoveFromGlobalCluster {names.cluster(target)} in {target}",
        f"  4. {table}: engage_dns",
        f"  5. rds-data ExecuteStatement on {names.cluster(target)}, until it can write: {LIFT}; INSERT INTO "
        "recovery_proof",
        f"  6. {table}: commit_failover, {target} is the writer of epoch {claim.epoch + 1}",
    )


def _glass(session: Session, deployment: Deployment, reading: Reading, claim: Claim) -> Glass:
    names, target = deployment.names, claim.target_region
    database = GlobalDatabase(
        deployment.client("rds", target),
        names.global_cluster,
        names.cluster(target),
        names.cluster_arn(target),
        deployment.client("rds", target, read_timeout_s=MOVE_READ_TIMEOUT_S),
    )
    # The failed region's replica is not asked first: each request to it could hang.
    control = deployment.control(target if target not in deployment.silent else reading.through)
    sql = DataApi.as_user(  # looks up the secret before anything is changed
        deployment.client("rds-data", target, read_timeout_s=STATEMENT_TIMEOUT_S),
        names.cluster_arn(target),
        deployment.client("secretsmanager", target),
        names.master_secret,
        deployment.settings.database.name,
    )
    return Glass(session, deployment, control, database, claim, sql)


def _move(glass: Glass) -> None:
    """Does what the workflow does after its claim, step by step."""
    say, claim = glass.session.say, glass.claim
    while True:
        _wait_to_move(glass)
        asked_at = time.time()
        if glass.read().only_forward or _detached(glass):
            break
    _best_effort(glass, lambda: glass.control.engage_dns(glass.run))
    say(*_where_the_name_leads(glass.deployment, claim))
    _wait_for_a_write(glass, asked_at)
    epoch = glass.control.commit(claim, time.time())
    say(
        f"{claim.target_region} is the writer of epoch {epoch}, by {glass.deployment.identity.arn}.",
        f"There is no standby now: when {claim.writer_region} is back, `failoverctl start --mode reprotect`.",
    )
    glass.session.tell({"run": glass.run, "writer_region": claim.target_region, "epoch": epoch})


def _where_the_name_leads(deployment: Deployment, claim: Claim) -> list[str]:
    """Says who moves the writer's name: functions, of which one has to run, and no program from here can do it."""
    names, target = deployment.names, claim.target_region
    lines = [f"The record says that the writer's name leads to {target}."]
    if target == deployment.regions[0]:  # what the name leads to where no switch answers
        return lines
    return [
        *lines,
        f"{names.writer} follows within 20 s if a writer switch runs, a Lambda function in either region. Where Lambda "
        f"is down in both, it does not: let clients connect to {names.cluster_dns(target)}.",
    ]


def _wait_to_move(glass: Glass) -> None:
    """Commits to move when the lease is over, and waits for the end of the guardian's word; see `decide_wait`."""
    said = ""
    while True:
        now = time.time() - CLOCK_KNOWN_TO_S
        record = glass.read()
        wait = decide_wait(record, glass.claim, True, now)
        if wait.action == "go":
            return
        if wait.action in ("lost", "refuse"):
            if wait.action == "refuse":
                glass.control.release(glass.run)
            raise Refused(f"{wait.reason}. The lock was given back.")
        if wait.action == "commit":
            if glass.control.begin_move(glass.run, glass.claim.epoch, record.lease_expires_at, time.time()):
                glass.session.say("Committed to move: the old writer cannot renew any more.")
            continue
        if wait.action != said:
            glass.session.say(f"Waits: {wait.reason}")
            said = wait.action
        time.sleep(LOOK_EVERY_S)


def _detached(glass: Glass) -> bool:
    """Asks RDS, once it is noted; False when RDS is busy, or the word lives, and all is looked at anew."""
    try:
        doubt = move_request.send(
            glass.control,
            glass.run,
            glass.database.detach,
            lambda: glass.database.membership() == "none",
            may_wait=True,
        )
    except (RdsBusy, WordLives) as error:
        glass.session.say(f"Not yet: {error}")
        time.sleep(NO_SIGN_S)  # as the workflow does: the guardian of a writer that has recovered renews, and vetoes
        return False
    glass.session.say(
        "RDS was asked to detach the standby" + (f"; not known whether it does: {doubt}" if doubt else ".")
    )
    return True


def _wait_for_a_write(glass: Glass, asked_at: float) -> None:
    """Waits until a session of the new writer has written, for as long as Aurora takes, and asks again if need be."""
    target = glass.claim.target_region
    quiet: float | None = asked_at
    said_at = 0.0
    while True:
        glass.control.assert_moving(glass.run)  # only the run that moves the writer lifts the fence that came with it
        try:
            glass.sql.run_all([LIFT, _proof(glass)])
        except FailoverError as error:
            # Nothing says which error the Data API gives for a cluster that has no writer yet. RDS was asked, so the
            # only way is forward, whatever it is; but nobody waits for rights that are not there.
            if is_denied(error) or credentials_fault(error):
                raise
            answer = _said(error)
        else:
            glass.session.say(f"{target} has taken a write.")
            return
        try:
            sight = glass.database.look()
        except TransientFailure:
            sight = None
        now = time.time()
        if sight is not None:
            if sight.status in FAILED_STATUSES:
                raise CannotTell(f"the cluster will not become a writer by itself: {sight.in_words}")
            quiet = quiet_since(quiet, sight, now)
            held = glass.read().transition
            requests = held.move_requests if held else 0
            if quiet is not None and decide("failover", requests, now - quiet, writer_is_down=True)[0] == "ask_again":
                _detached(glass)
                quiet = now
        if now - said_at >= SAY_EVERY_S:
            glass.session.say(f"Waits for a write: {sight.in_words if sight else 'RDS does not answer'}; {answer}")
            said_at = now
        time.sleep(LOOK_EVERY_S)


def _said(error: FailoverError) -> str:
    """Returns what the Data API, or the way to it, says, without what was called to hear it."""
    root = root_of(error)
    return str(root.response.get("Error", {}).get("Message", root)) if isinstance(root, ClientError) else str(root)


def _proof(glass: Glass) -> str:
    """Returns the statement that proves a write; the run's name is this program's own, and needs no quoting."""
    return (
        f"INSERT INTO public.recovery_proof (run, epoch) VALUES ('{glass.run}', {glass.claim.epoch + 1}) "  # noqa: S608
        "ON CONFLICT (run) DO NOTHING"
    )


def _best_effort(glass: Glass, work: Callable[[], None]) -> None:
    try:
        work()
    except TransientFailure as error:  # the commit engages it in any case
        glass.session.say(f"Not done for now: {error}")
