"""What ``verify`` does, where it is told to, to see what asking does not show.

Each but the failover leaves the deployment as it was.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from failoverctl import runs
from failoverctl.account import Account
from failoverctl.asks.moves import BY_ALARM
from failoverctl.command import Session
from failoverctl.deployment import Deployment, changing
from failoverctl.errors import CannotTell, Refused, is_denied
from failoverctl.outlook import outlook_by_record
from failoverctl.runs import Run
from failoverctl.start import Mode, plan_move, started
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.errors import FailoverError, TransientFailure
from handlers.gateways.global_database import GlobalDatabase

Found = TypeVar("Found")

LOOK_EVERY_S = 2.0
# A switchover's own limits end it before this.
SWITCHOVER_WITHIN_S = 1800.0
GUARDIAN_WITHIN_S = 60.0
# CloudWatch says a change of state to the bus at once, and the bus delivers within seconds; a run that it starts
# rehearses for half a minute.
TRIGGER_WITHIN_S = 180.0
# Detection, a lease, a promotion as long as `Promote` looks for it, and one more attempt.
FAILOVER_WITHIN_S = 900.0
PROBE_S = 1.0
RESTART_EVERY_S = 30.0  # a restart that RDS has accepted needs some seconds
MOST = 20  # of the newest runs that are looked at


def switch_over_and_back(session: Session, *, yes: bool) -> None:
    """Moves the writer to the standby's region and back; raises `Refused` where either run does not do it."""
    deployment = session.deployment
    home = deployment.read().record.writer_region
    there = deployment.peer(home)
    session.say(
        f"The writer is moved to {there} and back to {home}: applications cannot write for some seconds, twice."
    )
    session.confirm("Do that now?", yes=yes)
    for target in (there, home):
        _wait_for_the_guardian(deployment)
        plan = plan_move(deployment, deployment.read(), Mode.SWITCHOVER, {})
        run = started(deployment, plan, f"verify-{secrets.token_hex(4)}")
        session.say(f"Started run {run.name}, a switchover to {target}.")
        ended = _ended(deployment, run)
        if ended.outcome != "recovered":
            writer = deployment.read().record.writer_region
            raise Refused(
                f"run {run.name} ended: {ended.outcome}. The writer is in {writer}: `failoverctl show {run.name}`"
            )
        session.say(f"Run {run.name}: {ended.outcome}.")


def _wait_for_the_guardian(deployment: Deployment) -> None:
    """Waits until the writer's guardian renews: a writer that has just moved there has no lease yet."""

    def look() -> bool | None:
        reading = deployment.read()
        record, now = reading.record, reading.now
        grace = deployment.settings.thresholds.recovery_grace_s
        return guardian_seen(record, is_silent(record, now), now, grace).says == "alive" or None

    _waited_for(look, GUARDIAN_WITHIN_S, "the writer's guardian does not renew its lease: `failoverctl status`")


def _ended(deployment: Deployment, run: Run) -> Run:
    def look() -> Run | None:
        found = runs.described(deployment, run.region, run.workflow, run.name)
        return found if found is not None and found.is_over else None

    return _waited_for(look, SWITCHOVER_WITHIN_S, f"run {run.name} has not ended: `failoverctl watch {run.name}`")


def fail_over(session: Session, account: Account, *, yes: bool) -> None:
    """Makes an outage of the writer's database, and waits for the failover that it starts by itself.

    The cluster gets a security group that lets nobody in, and its instances are restarted, which ends every session:
    nobody reaches the database, in its region or outside, and it is not damaged. The failover's own fence takes that
    group's place. Where no failover comes, the cluster gets its groups back.

    Raises `Refused` where an outage would not fail over now: nothing is then done; `CannotTell` where none came.
    """
    if account.in_lab:
        raise Refused("the lab makes its own outages: strike it on its page (`make lab`), and ask again without this")
    reading = account.reading
    home, there = account.writer, account.peer(account.writer)
    expected = outlook_by_record(reading.record, account.settings, reading.now)
    if expected.kind != "automatic":
        raise Refused(f"an outage would not fail over by itself now. {expected.sentence}")
    outage = Outage(account, home)
    session.say(
        f"The database in {home} is cut off from everybody and restarted, until {there} has taken over by itself: an "
        "outage for every application, of about a minute. What was not replicated at that moment is lost.",
        f"Afterwards there is no standby until a re-protection (`failoverctl start --mode {Mode.REPROTECT}`), which "
        "removes the old cluster and builds it anew.",
    )
    session.confirm(f"Cut off the writer in {home} now?", yes=yes)
    before = {each.name for each in runs.listed(account.deployment, there, MOST)}
    began = time.monotonic()

    def look() -> Run | None:
        for each in runs.listed(account.deployment, there, MOST):
            if each.name not in before and each.is_over:
                found = runs.described(account.deployment, there, each.workflow, each.name)
                if found is not None and found.outcome == "recovered":
                    return found
        outage.keep_up()
        return None

    try:
        outage.begin()
        run = _waited_for(look, FAILOVER_WITHIN_S, f"no failover to {there} within {FAILOVER_WITHIN_S:.0f} s")
    finally:
        session.say(*outage.end())
    session.say(
        f"Run {run.name}: {run.outcome}, {time.monotonic() - began:.0f} s after the database was cut off.",
        f"There is no standby now: `failoverctl start --mode {Mode.REPROTECT}`.",
    )


class Outage:
    """A database that nobody reaches, in ``region``."""

    def __init__(self, account: Account, region: str) -> None:
        """Finds what is needed; raises `Refused` where there is no group that lets nobody in."""
        names = account.names
        self._account, self._region = account, region
        self._database = GlobalDatabase(
            account.client("rds", region), names.global_cluster, names.cluster(region), names.cluster_arn(region)
        )
        self._groups = sorted(self._database.security_groups())
        self._shut = _group_for_nobody(account, region)
        self._restarted = 0.0

    def begin(self) -> None:
        """Restarts the instances first, for RDS may refuse that of a cluster that it is changing."""
        self._doing(self._restart)
        self._doing(lambda: self._database.set_security_groups([self._shut]))

    def keep_up(self) -> None:
        """Restarts the instances again while somebody has a session: a group keeps out new ones only."""
        if time.monotonic() < self._restarted + RESTART_EVERY_S:
            return
        try:
            if self._account.prober(self._region).probe("own", PROBE_S).role is not None and self._is_shut():
                self._restart()
        except FailoverError:  # it is looked at again
            return

    def end(self) -> list[str]:
        """Gives the cluster its groups back, if its region still has the writer; returns what to say of that."""
        by_hand = (
            f"aws rds modify-db-cluster --region {self._region} --db-cluster-identifier "
            f"{self._account.names.cluster(self._region)} --vpc-security-group-ids"
        )
        try:
            if not self._is_shut():
                return []
            record = self._account.deployment.read().record
            if record.writer_region != self._region or record.moving is not None:
                return [
                    f"The old cluster in {self._region} still has the group {self._shut}: a re-protection puts its "
                    "fence there."
                ]
            self._database.set_security_groups(self._groups)
        except (FailoverError, CannotTell) as error:
            return [
                f"The cluster in {self._region} may still be cut off ({error}). If its region has the writer "
                f"(`failoverctl status`), and only then: {by_hand} {' '.join(self._groups)}"
            ]
        return [f"The cluster in {self._region} has its security groups again; its guardian opens it."]

    def _restart(self) -> None:
        self._restarted = time.monotonic()
        self._database.restart()

    def _is_shut(self) -> bool:
        return self._database.security_groups() == {self._shut}

    def _doing(self, work: Callable[[], None]) -> None:
        try:
            work()
        except FailoverError as error:
            if is_denied(error):
                raise Refused(
                    f"{self._account.deployment.identity.arn} may not make an outage, which nobody on call needs to "
                    "(rds:RebootDBInstance, rds:ModifyDBCluster): use the credentials of whoever deploys"
                ) from error
            raise


def _group_for_nobody(account: Account, region: str) -> str:
    """Returns the id of the prober's security group, which the prober's network cards have: it lets nobody in."""
    given = account.settings.existing_in(region).prober_security_group_id
    by = {"group-id": given} if given else {"group-name": account.names.security_group("prober", region)}
    found = account.answer(
        "ec2",
        region,
        "describe_security_groups",
        Filters=[{"Name": name, "Values": [value]} for name, value in by.items()],
    )["SecurityGroups"]
    if len(found) != 1 or found[0].get("IpPermissions"):
        raise Refused(
            f"there is no one security group of the prober in {region} that lets nobody in ({', '.join(by.values())})"
        )
    return str(found[0]["GroupId"])


def ring_the_alarm(session: Session, account: Account, *, yes: bool) -> None:
    """Sets the alarm that starts the workflow, and waits for the rehearsal that it starts.

    Raises `Refused` where the alarm would start a failover: nothing is then done.
    """
    if account.settings.trigger_mode != "rehearsal":
        raise Refused('the alarm starts a failover here: set `trigger_mode = "rehearsal"` and apply, to try it')
    region = account.peer(account.writer)
    alarm = account.names.alarm("writer-down", region)
    session.say(f"The alarm {alarm} is set to ALARM: it pages, starts a rehearsal, and goes back by itself.")
    session.confirm("Do that now?", yes=yes)
    before = {each.name for each in runs.listed(account.deployment, region, MOST)}
    with changing(account.deployment, f"setting the alarm {alarm}"):
        account.answer(
            "cloudwatch",
            region,
            "set_alarm_state",
            AlarmName=alarm,
            StateValue="ALARM",
            StateReason="failoverctl verify: does it start the workflow?",
        )

    def look() -> Run | None:
        for each in runs.listed(account.deployment, region, MOST):
            if each.name not in before and each.is_over:
                found = runs.described(account.deployment, region, each.workflow, each.name)
                if found and str((found.asked or {}).get("started_by", "")).startswith(BY_ALARM):
                    return found
        return None

    run = _waited_for(look, TRIGGER_WITHIN_S, f"no run that {alarm} started has ended within {TRIGGER_WITHIN_S:.0f} s")
    session.say(f"Run {run.name}, started by the alarm: {run.outcome}.")


def _waited_for(look: Callable[[], Found | None], at_most_s: float, otherwise: str) -> Found:
    """Returns what ``look`` finds at last; raises `CannotTell` where that is nothing."""
    end = time.monotonic() + at_most_s
    while True:
        try:
            found = look()
        except TransientFailure:  # the next look may be answered
            found = None
        if found is not None:
            return found
        if time.monotonic() >= end:
            raise CannotTell(otherwise)
        time.sleep(LOOK_EVERY_S)
