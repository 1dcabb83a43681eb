"""What the roles are for, as data: each journey plays a part of the system's life, with its real handlers.

Together they need every permission that anybody is granted, but for those that `reviewed.txt` gives a reason for. What
a journey asks AWS for is recorded by `tests.deployment.rights`.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

from botocore.signers import RequestSigner
from moto.rds.models import rds_backends

from drills.aws.events import EventBus, create_function_rule, create_rule
from drills.aws.happenings import Happening, Kind
from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.lease import TICK_S
from handlers.gateways.data_api import StatementRejected
from orchestration.specification.names import MONITORING_USER
from tests.deployment import ACCOUNT, CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.monitors import new_watch, tick
from tests.deployment.rights import Call, Used
from tests.deployment.surroundings import surround, writer_used
from tests.rights.options import ALL_OPTIONS, APPLICATION_ALARM, HOOKS, OPTIONS
from tests.statemachines import conditions
from tests.statemachines.conditions import OTHER, RUN
from tests.statemachines.scenarios import ASKED, AUTOMATIC, BY_NAME, SWITCHOVER


@dataclass(frozen=True)
class Journey:
    """One part of the system's life: its name is what a reader of the tables sees."""

    name: str
    play: Callable[[Deployment], object]


@dataclass(frozen=True)
class Record:
    """What a journey needed."""

    used: Counter[Used]
    calls: list[Call]


@cache
def travel(name: str) -> Record:
    """Play a journey, once in a session however often it is asked for."""
    journey = next(one for one in JOURNEYS if one.name == name)
    CLOCK.sleep(1000)  # far from the one before
    with Deployment(**ALL_OPTIONS) as deployment:
        journey.play(deployment)
    return Record(deployment.rights.used, deployment.rights.calls)


# --- a failover


def writer_dies_and_monitors_move_it(deployment: Deployment) -> None:
    """Both monitors while all is well; then the standby's starts the run, and the new writer's guards it."""
    watch(deployment, WRITER, 2)
    watch(deployment, STANDBY, 1)
    deployment.guardian_was_here()
    deployment.databases.up[WRITER] = False
    lost = deployment.lose_region(WRITER)
    deployment.trouble("dynamodb.UpdateItem", "refused", step="claim", times=12)
    with events(deployment):
        watch(deployment, STANDBY, 30)
    deployment.wait_for(lambda: deployment.record()["epoch"] == 2)
    lost.times = 0
    deployment.old_region_returns()
    watch(deployment, STANDBY, 2)
    watch(deployment, WRITER, 2)


def watch(deployment: Deployment, region: str, ticks: int) -> None:
    """Have a region's monitor look so often."""
    with deployment.lambdas.environment(region, "monitor") as module:
        watcher = new_watch(module)
        for _ in range(ticks):
            tick(watcher)
            CLOCK.sleep(TICK_S)


@contextmanager
def events(deployment: Deployment) -> Iterator[EventBus]:
    """EventBridge delivers what is put on the standby's bus; each rule of a workflow starts it in its own role.

    Functions are invoked by whatever `EventBus.invoke_by` is given.
    """

    def delivered(happening: Happening) -> None:
        if happening.kind is Kind.RULE_DELIVERED:
            machine = deployment.specification.names.state_machine_arn(happening.region)
            deployment.rights.does(happening.subject, "states:StartExecution", machine, happening.region)

    bus = EventBus(ACCOUNT, CLOCK, lambda region: False, delivered)  # type: ignore[arg-type]
    for rule in deployment.specification.regions[STANDBY].rules:
        machine = deployment.specification.names.state_machine_arn(STANDBY)
        role = deployment.specification.names.role_arn(rule.name)
        create_rule(deployment.client("events", STANDBY), rule, machine, role)
    for invoking in deployment.specification.regions[STANDBY].function_rules:
        arn = deployment.specification.names.function_arn(invoking.function.step, STANDBY)
        create_function_rule(deployment.client("events", STANDBY), invoking, arn)
    with ExitStack() as stack:
        bus.install(stack)
        yield bus


def alarm_starts_a_run_that_refuses(deployment: Deployment) -> None:
    region = deployment.specification.regions[STANDBY]
    alarm = region.alarm("writer-down").name
    event = {
        "id": "alarm",
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "resources": [deployment.specification.names.alarm_arn("writer-down", STANDBY)],
        "region": STANDBY,
        "time": CLOCK.now(),
        "detail": {"alarmName": alarm, "state": {"value": "ALARM"}},
    }
    with events(deployment) as bus:
        bus.put(event)


def failed_over(deployment: Deployment) -> None:
    deployment.writer_dies()
    assert deployment.run(ASKED).end == "Recovered"


def scenario(name: str) -> Journey:
    """What `tests.statemachines.scenarios` plays under that name."""
    played = BY_NAME[name]

    def play(deployment: Deployment) -> None:
        played.prepare(deployment)
        assert deployment.run(played.asked or ASKED, RUN).end == played.end

    return Journey(name, play)


def switch_is_engaged_too_late(deployment: Deployment) -> None:
    deployment.writer_dies()
    with noted_events(deployment) as events:
        assert deployment.run(ASKED).end == "Recovered"
    repeat_too_late(deployment, {"repoint_dns": events["repoint_dns"]})


def stopped_run_is_taken_over(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run_until("detach_secondary", ASKED, OTHER)
    deployment.stop(OTHER)
    assert deployment.run(AUTOMATIC, RUN).end == "Recovered"


# --- what the settings hang on a failover


def settings_hang_more_on_it(deployment: Deployment) -> None:
    """EventBridge delivers `WriterMoved` to the functions that only the settings bring.

    The hooks of all kinds work, and the document's then fails; the application's alarm rings; the old writer has used
    more than the new one is given at least.
    """
    make_what_hooks_start(deployment)
    make_application_alarm(deployment)
    writer_used(deployment, 6.0)
    delivered: list[tuple[str, str, Any]] = []
    with events(deployment) as bus:
        bus.invoke_by(lambda region, name, event: delivered.append((region, name, event)))
        failed_over(deployment)
    assert len(delivered) == len(OPTIONS)
    for region, name, event in delivered:
        assert not deployment.lambdas.invoke(region, name, event).failed, name
    deployment.gate.surroundings.automation = "Failed"
    deployment.call("run_hooks", delivered[0][2])
    told = "\n".join(subject for subject, _ in deployment.messages(STANDBY))
    assert all(what in told for what in ("HOOK", "APPLICATION UNHEALTHY", "CAPACITY RAISED")), told


def make_what_hooks_start(deployment: Deployment) -> None:
    deployment.gate.surroundings.functions |= {hook["function"] for hook in HOOKS if "function" in hook}
    for hook in HOOKS:
        if "state_machine" in hook:
            deployment.client("stepfunctions", STANDBY).create_state_machine(
                name=hook["state_machine"],
                definition='{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}',
                roleArn=deployment.specification.names.role_arn("of-somebody-else"),
            )


def make_application_alarm(deployment: Deployment) -> None:
    cloudwatch = deployment.client("cloudwatch", STANDBY)
    cloudwatch.put_metric_alarm(
        AlarmName=APPLICATION_ALARM,
        Namespace="Payments",
        MetricName="Errors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1,
    )
    cloudwatch.set_alarm_state(AlarmName=APPLICATION_ALARM, StateValue="ALARM", StateReason="the test says so")


# --- the way back


def failed_back(deployment: Deployment) -> None:
    failed_over(deployment)
    assert deployment.reprotect().end == "Reprotected"
    deployment.new_writer_beats()
    assert deployment.run(SWITCHOVER, "back", WRITER).end == "Recovered"


def production_is_reprotected(deployment: Deployment) -> None:
    """The databases are protected against deletion and have tags; people are asked, and told at the second try; the
    steps are repeated too late.
    """
    tag_and_protect(deployment)
    failed_over(deployment)
    deployment.old_region_returns()
    conditions.approved_by("grace")(deployment)
    deployment.trouble("sns.Publish", "refused", times=4, step="notify_reprotection")
    with noted_events(deployment) as events:
        assert deployment.run({"started_by": "ada"}, "reprotect-1", reprotect=True).end == "Reprotected"
    repeat_too_late(deployment, events)
    forget_what_is_kept(deployment)
    repeat_too_late(deployment, events)


@contextmanager
def noted_events(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Each step with the event with which it is called first."""
    events: dict[str, Any] = {}
    after = deployment.lambdas.after

    def note(step: str, event: Any) -> None:
        after(step, event)
        events.setdefault(step, event)

    deployment.lambdas.after = note
    yield events
    deployment.lambdas.after = lambda step, event: None


def repeat_too_late(deployment: Deployment, events: dict[str, Any]) -> None:
    """Call each step once more, as a retry that was given up does: the run is over, and its lock is another's."""
    for step, event in events.items():
        with suppress(FailoverError):
            deployment.call(step, event)


def tag_and_protect(deployment: Deployment) -> None:
    tags = [{"Key": "team", "Value": "payments"}]
    names = deployment.specification.names
    backend = rds_backends[ACCOUNT]
    backend[WRITER].global_clusters[names.global_cluster].deletion_protection = True
    for region in (WRITER, STANDBY):
        backend[region].clusters[names.cluster(region)].deletion_protection = True
        for arn in (names.cluster_arn(region), *names.instance_arns(region)):
            with deployment.gate.wide_open():
                deployment.client("rds", region).add_tags_to_resource(ResourceName=arn, Tags=tags)


def forget_what_is_kept(deployment: Deployment) -> None:
    bucket, objects = deployment.specification.regions[STANDBY].salvage_bucket, deployment.client("s3", STANDBY)
    for found in objects.list_objects_v2(Bucket=bucket)["Contents"]:
        objects.delete_object(Bucket=bucket, Key=found["Key"])


def what_was_kept_is_lost(deployment: Deployment) -> None:
    """Somebody deletes it while it is needed: the run gives its lock back."""
    failed_over(deployment)
    deployment.old_region_returns()
    deployment.lambdas.before = lambda step, event: (
        forget_what_is_kept(deployment) if step == "export_salvage" else None
    )
    assert deployment.run({"started_by": "ada"}, "reprotect-1", reprotect=True).end == "NeedsPerson"


# --- guarding


def guardian_loses_its_replica(deployment: Deployment) -> None:
    deployment.trouble("*", "refused", region=WRITER, times=10**6)
    watch(deployment, WRITER, 3)


def guardian_fences(deployment: Deployment) -> None:
    """An old writer that comes back; no SQL is to be had there, and RDS is busy restarting it."""
    deployment.trouble("rds.RebootDBInstance", "InvalidDBInstanceStateFault", times=10)
    failed_over(deployment)
    watch(deployment, WRITER, 3)
    # As the look at the clock has it, for the lease's sake.
    deployment.call("fence", {"order": "fence", "reason": "the lease ends", "lease": CLOCK.now()}, WRITER)


def switchover_came_to_nothing(deployment: Deployment) -> None:
    """The guardian takes the writer back once RDS has shown nothing of it for a while."""
    conditions.all_is_well(deployment)
    conditions.other_run_holds_the_lock(engaged=True, mode="switchover", requests=1)(deployment)
    watch(deployment, WRITER, 4)


# --- what a person starts, and what nobody sees


def database_is_prepared(deployment: Deployment) -> None:
    name = deployment.specification.names.master_secret
    deployment.client("secretsmanager", WRITER).create_secret(Name=name, SecretString="{}")
    deployment.call("bootstrap_database", {}, WRITER)
    asked_before = 4  # the transaction begins after these
    deployment.trouble("rds-data.ExecuteStatement", "DatabaseErrorException", skip=asked_before)
    with suppress(StatementRejected):
        deployment.call("bootstrap_database", {}, WRITER)


def databases_are_logged_in_to(deployment: Deployment) -> None:
    """Prober and salvage sign their password by themselves: no request is seen, so the signature is looked at."""
    sign = RequestSigner.generate_presigned_url

    def signed(
        signer: RequestSigner, *, request_dict: Any, operation_name: str, region_name: str = "", **named: Any
    ) -> str:
        if operation_name == "connect":
            step, region = deployment.lambdas.doer(), deployment.lambdas.doers_region()
            role = deployment.specification.names.function(step, region)
            user = f"dbuser:cluster-ABC/{MONITORING_USER}"
            assert MONITORING_USER in request_dict["body"].values()
            deployment.rights.does(
                role, "rds-db:connect", deployment.specification.names.arn("rds-db", region_name, user), region
            )
        return str(
            sign(signer, request_dict=request_dict, operation_name=operation_name, region_name=region_name, **named)
        )

    def resolved(name: str) -> tuple[str, list[str], list[str]]:
        for region in (WRITER, STANDBY):
            cluster = deployment.specification.regions[region].cluster.identifier
            if name == deployment.specification.names.cluster_dns(region):
                return f"{cluster}.cluster-abc.{region}.rds.amazonaws.com", [], []
        raise OSError(name)

    with (
        mock.patch.object(RequestSigner, "generate_presigned_url", signed),
        mock.patch.object(socket, "gethostbyname_ex", resolved),
        mock.patch.object(socket, "create_connection", mock.Mock(side_effect=ConnectionRefusedError)),
    ):
        for target in ("own", "peer"):
            deployment.call("prober", {"target": target, "timeout_s": 1})
        with deployment.lambdas.environment(STANDBY, "salvage") as salvage:
            for name in (salvage.ENVIRONMENT.cluster_dns_name, salvage.ENVIRONMENT.peer_cluster_dns_name):
                with suppress(TransientFailure), salvage.connected(salvage.ENVIRONMENT, name, salvage.RDS):
                    pass


def request_is_rejected(deployment: Deployment) -> None:
    """No step tells of it, so the rule on Step Functions' own events has people told."""
    assert deployment.run({"mode": "sideways"}).end == "RejectRequest"
    deployment.wait_for(lambda: bool(deployment.messages(STANDBY)))


def health_checkers_ask(deployment: Deployment) -> None:
    deployment.call("writer_switch", {}, STANDBY)


def report_cannot_be_kept(deployment: Deployment) -> None:
    deployment.trouble("s3.PutObject", "refused", step="keep_report", times=10)
    conditions.all_is_well(deployment)
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "reported")
    deployment.wait_for(lambda: any("REPORT NOT KEPT" in text for _, text in deployment.messages(STANDBY)))


def backup_fails(deployment: Deployment) -> None:
    event = {"detail-type": "Backup Job State Change", "region": STANDBY, "detail": {"state": "FAILED"}}
    deployment.call("announce_backup", event, STANDBY)


def somebody_looks_at_the_dashboard(deployment: Deployment) -> None:
    failed_over(deployment)
    deployment.call("show_incident", {}, STANDBY)


def readiness_is_looked_at(deployment: Deployment) -> None:
    """By schedule in both regions; once the region's own replica of the record does not answer."""
    surround(deployment)
    for region in (WRITER, STANDBY):
        deployment.guardian_was_here()
        deployment.call("readiness", {"source": "aws.events"}, region)
    deployment.trouble("dynamodb.GetItem", "refused", region=STANDBY, times=2)
    deployment.guardian_was_here()
    deployment.call("readiness", {"source": "aws.events"}, STANDBY)


JOURNEYS = (
    Journey("the writer dies and the monitors move it", writer_dies_and_monitors_move_it),
    Journey("the alarm starts a run", alarm_starts_a_run_that_refuses),
    scenario("the writer region dies and the standby becomes the writer"),
    scenario("p4: every endpoint of the failed region refuses and the standby becomes the writer"),
    scenario("p5: the standby is behind by more than the budget and a person accepts the loss"),
    scenario("p5: the writer answers and nothing moves"),
    scenario("p10: rds is busy, the writer renews meanwhile and keeps its role"),
    Journey("the switch is engaged once more after a failover's end", switch_is_engaged_too_late),
    scenario("no topic takes the message and the end is the same"),
    Journey("a failover takes over from a stopped run", stopped_run_is_taken_over),
    Journey("the settings hang more on a failover", settings_hang_more_on_it),
    Journey("the report of a run cannot be kept", report_cannot_be_kept),
    Journey("a backup fails", backup_fails),
    Journey("somebody looks at the dashboard", somebody_looks_at_the_dashboard),
    Journey("a request is rejected", request_is_rejected),
    scenario("a healthy writer is switched over"),
    scenario("p10: nothing comes of a switchover that was asked for twice and the writer is given back"),
    Journey("a re-protection and a failback", failed_back),
    Journey("a re-protection of a protected database with tags", production_is_reprotected),
    Journey("a re-protection that loses what it has kept", what_was_kept_is_lost),
    Journey("the writer's guardian loses its table's replica", guardian_loses_its_replica),
    Journey("the old writer's guardian fences it", guardian_fences),
    Journey("the writer's guardian takes it back", switchover_came_to_nothing),
    Journey("the database is prepared", database_is_prepared),
    Journey("the databases are logged in to", databases_are_logged_in_to),
    Journey("Route 53's health checkers ask", health_checkers_ask),
    Journey("readiness is looked at", readiness_is_looked_at),
)
