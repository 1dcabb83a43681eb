"""The AWS plane as a whole: what its users see through the APIs."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.core.config import default_user_config
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models import table as table_model
from moto.dynamodb.responses import DynamoHandler
from moto.stepfunctions.parser.backend.execution import Execution

from drills.aws.cloud import ACCOUNT, Cloud
from drills.aws.clusters import security_group, writer_endpoint
from drills.aws.happenings import Happening, Kind
from drills.world.clock import Clock
from drills.world.reachability import Fault, Reachability
from handlers.core.detection import EVENT_SOURCE, EVENT_TYPE
from orchestration.settings import load
from orchestration.specification import Specification, describe
from tests.drills.no_databases import NoDatabases
from tests.drills.small_functions import write_package

WRITER, STANDBY = "us-east-1", "us-west-2"
WaitUntil = Callable[[Callable[[], object]], None]
# Fast enough that a minute is a few seconds.
FAST = 10.0

HURRIED = "writer_switch"
ECHO: dict[str, Any] = {
    "StartAt": "Wait",
    "TimeoutSeconds": 900,
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 10, "Next": "Ask"},
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "", "Payload": {"do.$": "$.do", "seconds": 1000, "list": [{"name": "x"}]}},
            "ResultSelector": {"name.$": "$.Payload.list[0].name"},
            "TimeoutSeconds": 600,
            "Retry": [{"ErrorEquals": ["NoSuchAccount"], "IntervalSeconds": 10, "MaxAttempts": 2, "BackoffRate": 1.0}],
            "Catch": [{"ErrorEquals": ["NoSuchAccount", "States.Timeout"], "Next": "Caught"}],
            "End": True,
        },
        "Caught": {"Type": "Pass", "End": True},
    },
}


def specification() -> Specification:
    """The project's own, with `ECHO` in place of the workflows: it asks a function, or one that has little time.

    All others have as long in a fast world as theirs is in the real one: a busy machine must not run into that.
    """
    described = describe(load(environment_suffix="test"), ACCOUNT)
    for name, region in described.regions.items():
        machines = [
            replace(machine, definition=json.dumps(asking(region.functions[step].name)))
            for machine, step in ((region.state_machine, "notify"), (region.reprotection, HURRIED))
        ]
        functions = {
            step: function
            if step == HURRIED
            else replace(function, timeout_seconds=function.timeout_seconds * int(FAST))
            for step, function in region.functions.items()
        }
        described.regions[name] = replace(
            region, state_machine=machines[0], reprotection=machines[1], functions=functions
        )
    return described


def asking(function: str) -> dict[str, Any]:
    """`ECHO` of a function."""
    machine: dict[str, Any] = copy.deepcopy(ECHO)
    machine["States"]["Ask"]["Parameters"]["FunctionName"] = function
    return machine


class World(NoDatabases):
    """A cloud, what it told, and which databases it promoted."""

    def __init__(self, folder: Path, *, speed: float = FAST, deliveries: int = 1) -> None:
        self.clock = Clock.started_now(speed)
        self.told: list[Happening] = []
        self.promoted: list[str] = []
        self.pids: list[int] = []
        self.promotion_allowed = threading.Event()
        self.reachability = Reachability([WRITER, STANDBY, "us-east-2"])
        self.admitting: dict[str, bool] = {}
        self.specification = specification()
        package = write_package(folder / "package.zip", self.specification)
        self.cloud = Cloud(
            self.specification,
            {"workflow": package, "database": package},
            folder,
            self.clock,
            self.reachability,
            register=self.pids.append,
            dns_servers={WRITER: ("127.0.0.1", 1), STANDBY: ("127.0.0.1", 1)},
            databases=self,
            promotion_seconds=5,
            observe=self.told.append,
            deliveries=deliveries,
        )

    def promote(self, region: str) -> None:
        self.promotion_allowed.wait()
        self.promoted.append(region)

    def drain(self, region: str) -> None:
        self.promoted.append(f"not {region}")

    def follow(self, region: str, leader: str) -> None:
        self.promoted.append(f"{region} follows {leader}")

    def admit(self, region: str, *, clients: bool) -> None:
        self.admitting[region] = clients

    def restart(self, region: str) -> None:
        self.promoted.append(f"{region} again")

    def retire(self, region: str) -> None:
        self.promoted.append(f"no {region}")

    def rebuild(self, region: str, leader: str) -> None:
        self.promoted.append(f"{region} follows {leader}")

    def of(self, kind: Kind) -> list[Happening]:
        return [happening for happening in list(self.told) if happening.kind is kind]

    def client(self, service: str, region: str = STANDBY) -> Any:
        return self.cloud.client(service, region)

    def name(self, step: str, region: str = STANDBY) -> str:
        return self.specification.regions[region].functions[step].name

    def run(self, text: str, region: str = STANDBY, machine: str | None = None) -> dict[str, Any]:
        """Run the workflow, or the one of that name, to its end and describe it."""
        arn = self.cloud.start_execution(region, text, machine=machine)
        describe_execution = self.client("stepfunctions", region).describe_execution
        while (found := describe_execution(executionArn=arn))["status"] == "RUNNING":
            threading.Event().wait(0.02)
        return dict(found)

    def put(self, region: str, key: str, value: float, age: float) -> None:
        """Publish a value of the metric that an alarm watches, ``age`` virtual seconds ago."""
        metric = self.specification.regions[region].alarm(key).metric
        dimensions = [{"Name": name, "Value": text} for name, text in metric.dimensions.items()]
        moment = datetime.fromtimestamp(self.clock.now() - age, UTC)
        datum = {"MetricName": metric.name, "Value": value, "Timestamp": moment, "Dimensions": dimensions}
        self.client("cloudwatch", region).put_metric_data(Namespace=metric.namespace, MetricData=[datum])

    def evaluate(self, region: str, *keys: str) -> None:
        """Evaluate alarms as their own moment would."""
        for key in keys:
            alarm = self.specification.regions[region].alarm(key)
            self.cloud.alarms.evaluate(region, alarm, self.clock.now())


class Kept:
    """A world of some speed for the tests that leave it as it was; one at a time, because each changes moto."""

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._make_folder = make_folder
        self._stack = ExitStack()
        self._worlds: dict[float, World] = {}

    def of(self, speed: float) -> World:
        if speed not in self._worlds:
            self.close()
            self._worlds[speed] = World(self._make_folder("cloud"), speed=speed)
            self._stack.enter_context(self._worlds[speed].cloud)
        return self._worlds[speed]

    def close(self) -> None:
        self._worlds.clear()
        self._stack.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with closing(Kept(tmp_path_factory.mktemp)) as kept:
        yield kept


@pytest.fixture
def shared(kept: Kept) -> World:
    """A world in which minutes are seconds."""
    return kept.of(FAST)


@pytest.fixture
def calm(kept: Kept) -> World:
    """A world in real time, where functions call AWS."""
    return kept.of(1.0)


@pytest.fixture
def alone(kept: Kept) -> None:
    """There is no other world."""
    kept.close()


@pytest.fixture
def world(tmp_path: Path, alone: None) -> Iterator[World]:
    """A world of one's own, in real time."""
    made = World(tmp_path, speed=1)
    with made.cloud:
        yield made
        made.promotion_allowed.set()


def test_the_control_record_is_one_in_both_regions(shared: World) -> None:
    table = shared.specification.control_table
    key = {table.hash_key: {"S": "one"}}
    shared.client("dynamodb", WRITER).put_item(TableName=table.name, Item=key | {"epoch": {"N": "1"}})
    update = {
        "TableName": table.name,
        "Key": key,
        "UpdateExpression": "SET epoch = :next",
        "ConditionExpression": "epoch = :now",
        "ExpressionAttributeValues": {":now": {"N": "1"}, ":next": {"N": "2"}},
    }
    shared.client("dynamodb", STANDBY).update_item(**update)
    found = shared.client("dynamodb", WRITER).get_item(TableName=table.name, Key=key, ConsistentRead=True)
    assert found["Item"]["epoch"] == {"N": "2"}
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        shared.client("dynamodb", WRITER).update_item(**update)


def test_answers_are_dated_by_the_labs_clock(shared: World) -> None:
    while shared.clock.now() < time.time() + 3:  # until they can be told apart by whole seconds
        time.sleep(0.01)
    before = int(shared.clock.now())
    answer = shared.cloud.client("dynamodb", WRITER).list_tables()
    dates = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert before <= parsedate_to_datetime(dates).timestamp() <= shared.clock.now()


def test_a_conditional_write_has_one_winner(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse_slowly(*arguments: Any) -> Any:
        """moto has read the item and not yet written it: long enough for the others to read it as well."""
        time.sleep(0.02)
        return get_filter_expression(*arguments)

    monkeypatch.setattr(table_model, "get_filter_expression", parse_slowly)
    table = shared.specification.control_table
    clients = [shared.client("dynamodb", region) for region in (WRITER, STANDBY)] * 8

    def claim(number: int, client: Any) -> bool:
        try:
            client.put_item(
                TableName=table.name,
                Item={table.hash_key: {"S": f"race {number}"}},
                ConditionExpression=f"attribute_not_exists(#{table.hash_key})",
                ExpressionAttributeNames={f"#{table.hash_key}": table.hash_key},
            )
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(len(clients)) as threads:
        for race in range(2):
            assert sum(threads.map(lambda client, race=race: claim(race, client), clients)) == 1


def test_functions_are_invoked_through_the_api(shared: World) -> None:
    client = shared.client("lambda")
    good = client.invoke(FunctionName=shared.name("prober"), Payload=b'{"do": "echo"}')
    assert json.load(good["Payload"]) == {"do": "echo"}
    assert "FunctionError" not in good
    bad = client.invoke(FunctionName=shared.name("prober"), Payload=b'{"do": "fail"}')
    assert bad["FunctionError"] == "Unhandled"
    assert json.load(bad["Payload"])["errorType"] == "NoSuchAccount"
    arn = f"arn:aws:lambda:{STANDBY}:{ACCOUNT}:function:{shared.name('prober')}"
    assert client.invoke(FunctionName=arn, Payload=b'{"do": "echo"}')["StatusCode"] == 200
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=shared.name("prober", WRITER))


def test_an_event_invocation_returns_at_once(shared: World, tmp_path: Path, wait_until: WaitUntil) -> None:
    payload = json.dumps({"do": "meet", "count": 1, "folder": str(tmp_path)}).encode()
    answer = shared.client("lambda").invoke(
        FunctionName=shared.name("verify_lag"), InvocationType="Event", Payload=payload
    )
    assert answer["StatusCode"] == 202
    wait_until(lambda: list(tmp_path.iterdir()))


def test_a_workflow_runs_in_virtual_time_and_the_timeline_sees_it(shared: World) -> None:
    before = shared.clock.now()
    found = shared.run('{"do": "echo"}')
    after = shared.clock.now()
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"name": "x"})
    assert before <= found["startDate"].timestamp() <= found["stopDate"].timestamp() <= after
    assert (found["stopDate"] - found["startDate"]).total_seconds() >= 10
    mine = [one for one in list(shared.told) if found["name"] in (one.subject, one.detail.get("execution"))]
    assert [(one.kind, one.subject) for one in mine] == [
        (Kind.EXECUTION_STARTED, found["name"]),
        (Kind.STATE_ENTERED, "Wait"),
        (Kind.STATE_EXITED, "Wait"),
        (Kind.STATE_ENTERED, "Ask"),
        (Kind.STATE_EXITED, "Ask"),
        (Kind.EXECUTION_ENDED, found["name"]),
    ]
    assert mine[-1].detail["status"] == "SUCCEEDED"


def test_retries_and_timeouts_of_a_workflow_are_virtual(shared: World) -> None:
    started = shared.clock.now()
    failed = shared.run('{"do": "fail"}')
    assert json.loads(failed["output"])["Error"] == "NoSuchAccount"
    tried = [one for one in shared.of(Kind.TASK_FAILED) if one.detail["execution"] == failed["name"]]
    assert [one.subject for one in tried] == ["NoSuchAccount"] * 3
    assert shared.clock.now() - started >= 10 + 2 * 10
    # The state has a minute of this machine, and the function half a second.
    late = shared.run('{"do": "sleep"}', machine=shared.specification.regions[STANDBY].reprotection.name)
    assert (late["status"], late["error"]) == ("FAILED", "Sandbox.Timedout")


def test_executions_without_a_name_get_one_each(shared: World) -> None:
    arns = {shared.cloud.start_execution(STANDBY, '{"do": "echo"}') for _ in range(2)}
    assert len(arns) == 2
    assert not [arn for arn in arns if arn.endswith("None")]


def test_each_region_has_a_reprotection_workflow_of_its_own(shared: World) -> None:
    for region in (WRITER, STANDBY):
        name = shared.specification.regions[region].reprotection.name
        arn = shared.cloud.start_execution(region, "{}", machine=name)
        assert f":{region}:" in arn
        assert f":{name}:" in arn


def test_the_global_database_is_seen_from_both_regions(shared: World) -> None:
    for region in (WRITER, STANDBY):
        answer = shared.client("rds", region).describe_global_clusters(
            GlobalClusterIdentifier=shared.specification.global_identifier
        )
        members = answer["GlobalClusters"][0]["GlobalClusterMembers"]
        assert [member["IsWriter"] for member in members] == [True, False]
        cluster = shared.specification.regions[region].cluster
        found = shared.client("rds", region).describe_db_clusters(DBClusterIdentifier=cluster.identifier)
        assert found["DBClusters"][0]["Endpoint"] == writer_endpoint(cluster)
        assert found["DBClusters"][0]["Status"] == "available"
    client = shared.client("rds")
    with pytest.raises(client.exceptions.GlobalClusterNotFoundFault):
        client.describe_global_clusters(GlobalClusterIdentifier="another")


def test_a_detach_is_checked_as_rds_does(shared: World) -> None:
    client = shared.client("rds", WRITER)
    identifier = shared.specification.global_identifier
    arns = {
        region: f"arn:aws:rds:{region}:{ACCOUNT}:cluster:{shared.specification.regions[region].cluster.identifier}"
        for region in (WRITER, STANDBY)
    }
    with pytest.raises(client.exceptions.InvalidGlobalClusterStateFault):
        client.remove_from_global_cluster(GlobalClusterIdentifier=identifier, DbClusterIdentifier=arns[WRITER])
    with pytest.raises(client.exceptions.DBClusterNotFoundFault):
        client.remove_from_global_cluster(GlobalClusterIdentifier=identifier, DbClusterIdentifier=arns[STANDBY])
    with pytest.raises(client.exceptions.GlobalClusterNotFoundFault):
        client.remove_from_global_cluster(GlobalClusterIdentifier="another", DbClusterIdentifier=arns[WRITER])


def arn_of(world: World, region: str) -> str:
    return f"arn:aws:rds:{region}:{ACCOUNT}:cluster:{world.specification.regions[region].cluster.identifier}"


def test_a_switchover_needs_both_clusters(shared: World) -> None:
    rds = shared.client("rds")
    request = {
        "GlobalClusterIdentifier": shared.specification.global_identifier,
        "TargetDbClusterIdentifier": arn_of(shared, STANDBY),
    }
    shared.reachability.cut(WRITER, STANDBY)
    with pytest.raises(rds.exceptions.InvalidGlobalClusterStateFault, match=f"cannot reach {WRITER}"):
        rds.switchover_global_cluster(**request)
    shared.reachability.mend()
    with pytest.raises(rds.exceptions.DBClusterNotFoundFault):
        rds.switchover_global_cluster(**request | {"TargetDbClusterIdentifier": arn_of(shared, STANDBY) + "-other"})


def test_a_cluster_admits_clients_as_long_as_it_keeps_its_own_security_group(shared: World) -> None:
    rds, cluster = shared.client("rds", WRITER), shared.specification.regions[WRITER].cluster
    for groups, admits in ([security_group(WRITER, "fence")], False), ([security_group(WRITER, "database")], True):
        rds.modify_db_cluster(DBClusterIdentifier=cluster.identifier, VpcSecurityGroupIds=groups, ApplyImmediately=True)
        assert shared.admitting[WRITER] is admits
        found = rds.describe_db_clusters(DBClusterIdentifier=cluster.identifier)["DBClusters"][0]
        assert [one["VpcSecurityGroupId"] for one in found["VpcSecurityGroups"]] == groups
    assert [one.detail["admits"] for one in shared.of(Kind.SECURITY_GROUP_CHANGED)] == [False, True]


def test_the_control_record_is_served_where_a_majority_of_its_regions_is_reached(shared: World) -> None:
    table = shared.specification.control_table
    request = {"TableName": table.name, "Key": {table.hash_key: {"S": "quorum"}}, "ConsistentRead": True}
    inside = shared.specification.regions[WRITER].idempotency_table
    shared.reachability.cut(WRITER, STANDBY)
    for region in (WRITER, STANDBY):
        shared.client("dynamodb", region).get_item(**request)  # each still has the witness
    shared.reachability.cut(WRITER, "us-east-2")
    with pytest.raises(ClientError, match="InternalServerError"):
        shared.client("dynamodb", WRITER).get_item(**request)
    shared.client("dynamodb", STANDBY).get_item(**request)
    own = {"TableName": inside.name, "Key": {inside.hash_key: {"S": "x"}}}
    shared.client("dynamodb", WRITER).get_item(**own)  # a table of the region's own needs nobody
    shared.reachability.mend()
    shared.client("dynamodb", WRITER).get_item(**request)


def test_a_control_table_that_fails_answers_500_everywhere_and_only_it_does(shared: World) -> None:
    table, other = shared.specification.control_table, shared.specification.regions[WRITER].runs_table
    shared.cloud.control_table.failing_until = shared.clock.now() + 1_000
    for region in (WRITER, STANDBY):
        with pytest.raises(ClientError, match="InternalServerError"):
            shared.client("dynamodb", region).scan(TableName=table.name)
    shared.client("dynamodb", WRITER).scan(TableName=other.name)
    shared.cloud.control_table.failing_until = shared.clock.now()
    shared.client("dynamodb", WRITER).scan(TableName=table.name)


def test_each_write_of_the_control_record_is_told_and_no_other(shared: World) -> None:
    table, other = shared.specification.control_table, shared.specification.regions[WRITER].runs_table
    dynamodb, told = shared.client("dynamodb", WRITER), len(shared.of(Kind.RECORD_CHANGED))
    dynamodb.put_item(TableName=other.name, Item={other.hash_key: {"S": "two"}})
    key = {table.hash_key: {"S": "one"}}
    dynamodb.put_item(TableName=table.name, Item=key | {"epoch": {"N": "7"}})
    refused = {":eight": {"N": "8"}, ":nine": {"N": "9"}}
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        dynamodb.update_item(
            TableName=table.name,
            Key=key,
            UpdateExpression="SET epoch = :nine",
            ConditionExpression="epoch = :eight",
            ExpressionAttributeValues=refused,
        )
    seen = shared.of(Kind.RECORD_CHANGED)[told:]
    assert [(each.region, each.detail["item"]["epoch"]) for each in seen] == [(WRITER, {"N": "7"})]


def test_a_bus_that_loses_our_events_takes_them_and_delivers_those_of_aws(world: World) -> None:
    world.cloud.lose_events_of_ours()
    entry = {"Source": "failover.monitor", "DetailType": "Writer Down", "Detail": "{}"}
    put = world.client("events", STANDBY).put_events
    assert put(Entries=[entry])["FailedEntryCount"] == 0
    assert world.of(Kind.RULE_DELIVERED) == []
    assert [each.subject for each in world.of(Kind.EVENT_PUT)] == ["failover.monitor"]
    world.put(STANDBY, "writer-down", 1, age=5)
    world.put(STANDBY, "writer-down", 1, age=15)
    world.evaluate(STANDBY, "writer-down")
    assert [each.region for each in world.of(Kind.RULE_DELIVERED)] == [STANDBY]


def test_a_bus_that_is_down_delivers_nothing(world: World) -> None:
    world.cloud.lose_every_event()
    world.put(STANDBY, "writer-down", 1, age=5)
    world.put(STANDBY, "writer-down", 1, age=15)
    world.evaluate(STANDBY, "writer-down")
    assert world.cloud.alarm_state(STANDBY, "writer-down") == "ALARM"
    assert world.of(Kind.RULE_DELIVERED) == []


def test_late_metrics_show_alarms_what_was_before_them(world: World) -> None:
    world.put(STANDBY, "writer-down", 1, age=-40)  # in 40 s
    world.put(STANDBY, "writer-down", 1, age=-50)
    alarm = world.specification.regions[STANDBY].alarm("writer-down")
    world.cloud.alarms.see_late(60)
    for seconds, state in ((55, "OK"), (95, "OK"), (115, "ALARM")):
        world.cloud.alarms.evaluate(STANDBY, alarm, world.clock.now() + seconds)
        assert world.cloud.alarm_state(STANDBY, "writer-down") == state, seconds


@pytest.mark.usefixtures("alone")
def test_late_schedules_start_within_their_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    world = World(tmp_path)
    late_s: list[float] = []
    started: list[Any] = []

    def at_once(seconds: float, start: Callable[[], None]) -> Any:
        late_s.append(seconds * world.clock.speed)
        return SimpleNamespace(start=start)

    with world.cloud:
        monkeypatch.setattr(threading, "Timer", at_once)
        monkeypatch.setattr(world.cloud.lambdas, "invoke_async", lambda *invoked: started.append(invoked))
        world.cloud.start_schedules_late(15)
        world.cloud.start()
        wait_until(lambda: len(started) >= len(world.specification.regions))
    assert all(0 <= seconds <= 15 for seconds in late_s)
    assert max(late_s) > 1


@pytest.mark.usefixtures("alone")
def test_a_detached_cluster_is_promoted(tmp_path: Path, wait_until: WaitUntil) -> None:
    world = World(tmp_path)
    with world.cloud:
        cluster = world.specification.regions[STANDBY].cluster
        arn = f"arn:aws:rds:{STANDBY}:{ACCOUNT}:cluster:{cluster.identifier}"
        request = {"GlobalClusterIdentifier": world.specification.global_identifier, "DbClusterIdentifier": arn}
        rds = world.client("rds")
        answer = rds.remove_from_global_cluster(**request)
        members = [member["DBClusterArn"] for member in answer["GlobalCluster"]["GlobalClusterMembers"]]
        assert len(members) == 1
        assert arn not in members
        assert world.cloud.database.status(STANDBY) == "promoting"
        with pytest.raises(rds.exceptions.DBClusterNotFoundFault):
            rds.remove_from_global_cluster(**request)
        world.promotion_allowed.set()
        wait_until(lambda: world.of(Kind.PROMOTED))
        assert world.promoted == [STANDBY]
        found = rds.describe_db_clusters(DBClusterIdentifier=cluster.identifier)
        assert found["DBClusters"][0]["Status"] == "available"
        assert [one.subject for one in world.of(Kind.DETACHED)] == [cluster.identifier]


@pytest.mark.usefixtures("alone")
def test_a_switchover_stops_the_old_writer_first_and_lets_it_follow(tmp_path: Path, wait_until: WaitUntil) -> None:
    world = World(tmp_path)
    with world.cloud:
        rds, identifier = world.client("rds"), world.specification.global_identifier
        request = {"GlobalClusterIdentifier": identifier, "TargetDbClusterIdentifier": arn_of(world, STANDBY)}

        def roles() -> dict[str, bool]:
            answer = rds.describe_global_clusters(GlobalClusterIdentifier=identifier)["GlobalClusters"][0]
            return {one["DBClusterArn"].split(":")[3]: one["IsWriter"] for one in answer["GlobalClusterMembers"]}

        assert rds.switchover_global_cluster(**request)["GlobalCluster"]["Status"] == "switching-over"
        with pytest.raises(rds.exceptions.InvalidGlobalClusterStateFault, match="switching-over"):
            rds.switchover_global_cluster(**request)
        wait_until(lambda: world.promoted == [f"not {WRITER}"])
        assert not any(roles().values())
        world.promotion_allowed.set()
        wait_until(lambda: world.of(Kind.FOLLOWS))
        assert world.promoted == [f"not {WRITER}", STANDBY, f"{WRITER} follows {STANDBY}"]
        assert roles() == {WRITER: False, STANDBY: True}
        assert {world.cloud.database.status(region) for region in (WRITER, STANDBY)} == {"available"}
        with pytest.raises(rds.exceptions.InvalidGlobalClusterStateFault, match="primary already"):
            rds.switchover_global_cluster(**request)


def test_a_stopped_function_is_throttled_and_what_ran_is_ended(world: World) -> None:
    world.cloud.lambdas.invoke(STANDBY, world.name("notify"), {"do": "echo"})
    world.cloud.stop_function(STANDBY, "notify")
    assert not [pid for pid in world.pids if psutil.pid_exists(pid)]
    client = world.client("lambda")
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName=world.name("notify"), Payload=b"{}")
    assert world.run('{"do": "echo"}')["error"] == "Lambda.TooManyRequestsException"
    assert world.cloud.lambdas.invoke(WRITER, world.name("notify", WRITER), {"do": "echo"}).value == {"do": "echo"}


def test_dns_in_a_region_that_is_cut_off_goes_by_the_last_news(world: World) -> None:
    key = world.specification.zone.writer_check.key
    assert not world.cloud.answer_in(WRITER, key)
    world.reachability.isolate(WRITER)
    for check in world.cloud.health_checks.endpoints.values():
        check._opinions = [False] * len(check._opinions)
    assert world.cloud.answer_in(STANDBY, key)
    assert not world.cloud.answer_in(WRITER, key)
    world.reachability.mend()
    assert world.cloud.answer_in(WRITER, key)


def test_the_alarm_rings_after_two_periods_and_starts_the_workflow_once(world: World, wait_until: WaitUntil) -> None:
    region = world.specification.regions[STANDBY]
    alarm = region.alarm("writer-down")
    assert world.cloud.alarm_state(STANDBY, "writer-down") == "INSUFFICIENT_DATA"
    world.put(STANDBY, "writer-down", 1, age=5)
    world.evaluate(STANDBY, "writer-down")
    assert world.cloud.alarm_state(STANDBY, "writer-down") == "OK"
    assert world.of(Kind.RULE_DELIVERED) == []
    world.put(STANDBY, "writer-down", 1, age=15)
    world.evaluate(STANDBY, "writer-down")
    assert world.cloud.alarm_state(STANDBY, "writer-down") == "ALARM"
    world.evaluate(STANDBY, "writer-down")
    delivered = world.of(Kind.RULE_DELIVERED)
    assert [one.subject for one in delivered] == [region.rules[0].name]
    wait_until(lambda: world.of(Kind.EXECUTION_STARTED))
    text = json.loads(world.of(Kind.EXECUTION_STARTED)[0].detail["input"])
    assert text["started_by"] == f"alarm {alarm.name}"
    down = world.client("cloudwatch").describe_alarms(AlarmNames=[alarm.name])
    changed = down["MetricAlarms"][0]["StateUpdatedTimestamp"]
    assert text["asked_at"] == f"{changed:%Y-%m-%dT%H:%M:%SZ}"
    assert text["target_region"] == STANDBY
    assert world.of(Kind.EXECUTION_STARTED)[0].subject == delivered[0].detail["execution"]
    assert world.cloud.alarm_state(WRITER, "writer-down") == "INSUFFICIENT_DATA"


def test_an_event_that_a_function_puts_starts_the_workflow(world: World, wait_until: WaitUntil) -> None:
    region = world.specification.regions[STANDBY]
    detail = {"epoch": 7, "asked_at": '", "accept_data_loss": true'}
    entry = {"Source": EVENT_SOURCE, "DetailType": EVENT_TYPE, "Detail": json.dumps(detail)}
    events = world.client("events")
    answer = events.put_events(Entries=[entry, entry | {"Source": "somebody.else"}, entry | {"Source": "aws.rds"}])
    assert answer["FailedEntryCount"] == 1  # the sources of AWS services are theirs
    wait_until(lambda: world.of(Kind.EXECUTION_STARTED))
    (delivered,) = world.of(Kind.RULE_DELIVERED)
    assert delivered.subject == region.rules[1].name
    text = json.loads(delivered.detail["input"])
    put = world.of(Kind.EVENT_PUT)[0].detail["event"]
    assert (text["epoch"], text["attempt"], text["asked_at"]) == (7, 1, put["time"])


def test_an_alarm_that_notifies_sends_a_message(world: World) -> None:
    region = world.specification.regions[STANDBY]
    for age in (5, 15):
        world.put(STANDBY, "writer-down", 1, age=age)
    world.evaluate(STANDBY, "writer-down", "replication-lag")
    messages = world.of(Kind.MESSAGE_PUBLISHED)
    assert [(one.region, one.subject) for one in messages] == [(STANDBY, region.topic)]
    assert messages[0].detail["subject"] == f'ALARM: "{region.alarm("writer-down").name}" in {STANDBY}'


def test_a_silent_heartbeat_rings(world: World) -> None:
    alarm = world.specification.regions[STANDBY].alarm("heartbeat-missing")
    for age in (70, 130):
        world.put(STANDBY, alarm.key, 1, age=age)
    world.evaluate(STANDBY, alarm.key)
    assert world.cloud.alarm_state(STANDBY, alarm.key) == "OK"
    world.cloud.alarms.evaluate(STANDBY, alarm, world.clock.now() + 3 * alarm.metric.period_seconds)
    assert world.cloud.alarm_state(STANDBY, alarm.key) == "ALARM"


def test_the_event_of_an_alarm_has_the_documented_shape(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(world.cloud.alarms._bus, "put", events.append)
    for age in (5, 15):
        world.put(STANDBY, "writer-down", 1, age=age)
    world.evaluate(STANDBY, "writer-down")
    (metric,) = events
    alarm = world.specification.regions[STANDBY].alarm("writer-down")
    assert set(metric) == {
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    }  # fmt: skip
    assert metric["detail-type"] == "CloudWatch Alarm State Change"
    assert metric["resources"] == [f"arn:aws:cloudwatch:{STANDBY}:{ACCOUNT}:alarm:{alarm.name}"]
    assert set(metric["detail"]) == {"alarmName", "state", "previousState", "configuration"}
    assert set(metric["detail"]["state"]) == {"value", "reason", "reasonData", "timestamp"}
    assert metric["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    datetime.strptime(metric["detail"]["state"]["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert json.loads(metric["detail"]["state"]["reasonData"])["recentDatapoints"] == [1.0, 1.0]


@pytest.mark.usefixtures("alone")
def test_a_duplicate_delivery_starts_a_second_execution(tmp_path: Path) -> None:
    world = World(tmp_path, speed=1, deliveries=2)
    with world.cloud:
        for age in (5, 15):
            world.put(STANDBY, "writer-down", 1, age=age)
        world.evaluate(STANDBY, "writer-down")
        started = world.of(Kind.EXECUTION_STARTED)
        assert len({one.subject for one in started}) == 2
        assert started[0].detail["input"] == started[1].detail["input"]


@pytest.mark.usefixtures("alone")
def test_schedules_and_health_checks_run_from_the_start(tmp_path: Path, wait_until: WaitUntil) -> None:
    world = World(tmp_path, speed=100)

    def unasked(step: str, region: str, why: str) -> int:
        log = tmp_path / "logs" / f"{world.name(step, region)}.log"
        return log.read_text().count(f"unasked {why}") if log.exists() else 0

    with world.cloud:
        key = world.specification.zone.writer_check.key
        assert not world.cloud.is_healthy(key)  # a new inverted check
        world.cloud.start()
        wait_until(lambda: all(unasked("monitor", region, "Scheduled Event") >= 2 for region in (WRITER, STANDBY)))
        wait_until(lambda: world.cloud.is_healthy(key))
        wait_until(lambda: all(unasked("writer_switch", region, "/") >= 1 for region in (WRITER, STANDBY)))
        wait_until(lambda: world.cloud.alarm_state(STANDBY, "heartbeat-missing") == "ALARM")


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.HANG])
def test_a_region_that_is_down_does_nothing_and_the_other_goes_on(world: World, fault: Fault) -> None:
    lost = {"service": world.client("stepfunctions", STANDBY), "alarms": world.client("cloudwatch", STANDBY)}
    execution = world.cloud.start_execution(STANDBY, '{"do": "echo"}')
    world.cloud.lambdas.invoke(STANDBY, world.name("notify"), {"do": "echo"})
    world.cloud.take_down(STANDBY, fault)
    told = len(world.told)
    world.evaluate(STANDBY, "heartbeat-missing")
    assert world.cloud.alarm_state(STANDBY, "heartbeat-missing") == "INSUFFICIENT_DATA"
    assert world.told[told:] == []
    if fault is Fault.REFUSE:
        with pytest.raises(ConnectionClosedError):
            lost["service"].describe_execution(executionArn=execution)
        assert not [pid for pid in world.pids if psutil.pid_exists(pid)]
    assert world.cloud.lambdas.invoke(WRITER, world.name("notify", WRITER), {"do": "echo"}).value == {"do": "echo"}
    world.cloud.bring_back(STANDBY)
    assert lost["service"].describe_execution(executionArn=execution)["status"] == "ABORTED"
    assert world.cloud.lambdas.invoke(STANDBY, world.name("notify"), {"do": "echo"}).value == {"do": "echo"}


METRIC = {"Namespace": "FailoverOrchestrator", "MetricData": [{"MetricName": "M", "Value": 1.0}]}


@pytest.mark.parametrize(
    ("step", "service", "operation", "parameters", "outcome"),
    [
        ("monitor", "cloudwatch", "put_metric_data", METRIC, "done"),
        ("monitor", "cloudwatch", "put_metric_data", METRIC | {"Namespace": "Another"}, "AccessDeniedException"),
        ("notify", "cloudwatch", "put_metric_data", METRIC, "AccessDeniedException"),
        ("release_claim", "dynamodb", "describe_table", {"TableName": "{control}"}, "AccessDeniedException"),
        ("writer_switch", "dynamodb", "get_item", {"TableName": "{control}", "Key": {"database": {"S": "x"}}}, "done"),
        (
            "writer_switch",
            "dynamodb",
            "get_item",
            {"TableName": "{tokens}", "Key": {"id": {"S": "x"}}},
            "AccessDeniedException",
        ),
        ("notify", "sns", "publish", {"TopicArn": "{topic}", "Message": "x"}, "done"),
        ("notify", "sns", "publish", {"TopicArn": "{topic}-other", "Message": "x"}, "AccessDenied"),
        ("release_claim", "sns", "publish", {"TopicArn": "{topic}", "Message": "x"}, "AccessDenied"),
        ("promote", "lambda", "invoke", {"FunctionName": "{prober}", "Payload": '{"do": "echo"}'}, "done"),
        ("promote", "lambda", "invoke", {"FunctionName": "{notify}", "Payload": "{}"}, "AccessDeniedException"),
        ("promote", "lambda", "list_functions", {}, "AccessDeniedException"),
        ("promote", "rds", "describe_db_clusters", {"DBClusterIdentifier": "{cluster}"}, "done"),
        ("promote", "rds", "describe_db_clusters", {"DBClusterIdentifier": "another"}, "AccessDenied"),
        ("check_health", "rds", "describe_global_clusters", {"GlobalClusterIdentifier": "{global}"}, "done"),
        (
            "check_health",
            "rds in us-east-1",
            "describe_global_clusters",
            {"GlobalClusterIdentifier": "{global}"},
            "AccessDenied",
        ),
        ("export_salvage", "s3", "put_object", {"Bucket": "{bucket}", "Key": "epoch-2/a.sql", "Body": "x"}, "done"),
        ("export_salvage", "s3", "put_object", {"Bucket": "{bucket}", "Key": "a.sql", "Body": "x"}, "AccessDenied"),
        ("build_standby", "s3", "get_object", {"Bucket": "{bucket}", "Key": "epoch-2/none"}, "NoSuchKey"),
        ("build_standby", "s3", "put_object", {"Bucket": "{bucket}", "Key": "epoch-2/a", "Body": "x"}, "AccessDenied"),
        ("export_salvage", "s3", "delete_object", {"Bucket": "{bucket}", "Key": "epoch-2/a.sql"}, "AccessDenied"),
    ],
)
def test_a_function_may_do_what_its_permissions_say(
    calm: World, step: str, service: str, operation: str, parameters: dict[str, Any], outcome: str
) -> None:
    region = calm.specification.regions[STANDBY]
    names = {
        "control": calm.specification.control_table.name,
        "tokens": region.idempotency_table.name,
        "topic": f"arn:aws:sns:{STANDBY}:{ACCOUNT}:{region.topic}",
        "prober": calm.name("prober"),
        "notify": calm.name("notify"),
        "cluster": region.cluster.identifier,
        "global": calm.specification.global_identifier,
        "bucket": region.salvage_bucket,
    }
    text = json.dumps(parameters)
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    service, _, where = service.partition(" in ")
    event = {"do": "call", "service": service, "operation": operation, "parameters": json.loads(text)}
    event |= {"where": {"region_name": where}} if where else {}
    denied = len(calm.of(Kind.ACCESS_DENIED))
    assert calm.cloud.lambdas.invoke(STANDBY, calm.name(step), event).value == outcome
    assert len(calm.of(Kind.ACCESS_DENIED)) - denied == (0 if outcome in ("done", "NoSuchKey") else 1)


def test_a_function_calls_from_its_own_region(calm: World) -> None:
    calm.reachability.cut(WRITER, STANDBY)
    event = {"do": "call", "service": "dynamodb", "operation": "get_item"}
    key = {"TableName": calm.specification.control_table.name, "Key": {"database": {"S": "x"}}}
    own = event | {"parameters": key}
    across = own | {"where": {"region_name": STANDBY}}
    assert calm.cloud.lambdas.invoke(WRITER, calm.name("monitor", WRITER), own).value == "done"
    # The client's own limits (60 s) are longer than its region stays cut off.
    threading.Timer(1.0, calm.reachability.mend).start()
    assert calm.cloud.lambdas.invoke(WRITER, calm.name("monitor", WRITER), across).value == "done"
    assert calm.reachability.reaches(WRITER, STANDBY)


@pytest.mark.parametrize(
    ("step", "operation", "parameters", "outcome"),
    [
        ("fence_old_writer", "invoke", {"FunctionName": "{fence}", "Payload": '{"do": "echo"}'}, "done"),
        ("fence_old_writer", "invoke", {"FunctionName": "{notify}", "Payload": "{}"}, "AccessDeniedException"),
        ("notify", "invoke", {"FunctionName": "{fence}", "Payload": "{}"}, "AccessDenied"),  # may not assume the role
    ],
)
def test_a_role_is_for_those_it_trusts_and_for_what_it_allows(
    calm: World, step: str, operation: str, parameters: dict[str, str], outcome: str
) -> None:
    role = calm.specification.regions[WRITER].role_for_peer
    text = json.dumps(parameters)
    for name in ("fence", "notify"):
        text = text.replace(f"{{{name}}}", calm.name(name, WRITER))
    event = {"do": "call", "service": "lambda", "operation": operation, "parameters": json.loads(text)}
    there = {"role": f"arn:aws:iam::{ACCOUNT}:role/{role.name}", "where": {"region_name": WRITER}}
    assert calm.cloud.lambdas.invoke(STANDBY, calm.name(step), event | there).value == outcome


@pytest.mark.parametrize(
    ("step", "role", "operation", "parameters", "outcome"),
    [
        ("build_standby", "rebuild", "delete_db_instance", {"DBInstanceIdentifier": "another"}, "AccessDenied"),
        ("build_standby", "rebuild", "describe_db_clusters", {"DBClusterIdentifier": "{cluster}"}, "done"),
        (
            "snapshot_old_cluster",
            "reprotection",
            "delete_db_cluster",
            {"DBClusterIdentifier": "{cluster}"},
            "AccessDenied",
        ),
        (
            "snapshot_old_cluster",
            "reprotection",
            "describe_db_cluster_snapshots",
            {"DBClusterSnapshotIdentifier": "{cluster}-epoch-9"},
            "DBClusterSnapshotNotFoundFault",
        ),
        (
            "snapshot_old_cluster",
            "reprotection",
            "describe_db_cluster_snapshots",
            {"DBClusterSnapshotIdentifier": "somebody-elses"},
            "AccessDenied",
        ),
        (
            "snapshot_old_cluster",
            "rebuild",
            "describe_db_clusters",
            {"DBClusterIdentifier": "{cluster}"},
            "AccessDenied",
        ),
    ],
)
def test_the_roles_of_a_reprotection_are_for_their_steps_and_their_database(
    calm: World, step: str, role: str, operation: str, parameters: dict[str, str], outcome: str
) -> None:
    there = calm.specification.regions[WRITER]
    names = {"rebuild": there.role_for_rebuild.name, "reprotection": there.role_for_reprotection.name}
    text = json.dumps(parameters).replace("{cluster}", there.cluster.identifier)
    event = {"do": "call", "service": "rds", "operation": operation, "parameters": json.loads(text)}
    event |= {"role": f"arn:aws:iam::{ACCOUNT}:role/{names[role]}", "where": {"region_name": WRITER}}
    assert calm.cloud.lambdas.invoke(STANDBY, calm.name(step), event).value == outcome


def test_an_assumed_role_calls_from_the_region_of_who_assumed_it(calm: World) -> None:
    role = calm.specification.regions[WRITER].role_for_peer
    key = f"LAB-{calm.name('fence_old_writer')}"
    session = calm.cloud.callers.assume(key, f"arn:aws:iam::{ACCOUNT}:role/{role.name}")
    assert calm.cloud.callers.region_of(session) == STANDBY


@pytest.mark.usefixtures("alone")
def test_a_closed_cloud_leaves_nothing_changed_and_nothing_running(
    tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads_before = set(threading.enumerate())
    patched_before = (DynamoHandler.call_action, Execution.start, dict(default_user_config))
    world = World(tmp_path, speed=1)
    held, wait_for = threading.Event(), world.reachability.wait_for

    def held_wait(*arguments: Any) -> None:
        held.set()
        wait_for(*arguments)

    monkeypatch.setattr(world.reachability, "wait_for", held_wait)
    with world.cloud, ThreadPoolExecutor() as threads:
        world.cloud.start()
        world.cloud.start_execution(STANDBY, '{"do": "sleep"}')
        wait_until(lambda: len(world.pids) > 1)  # the first one compiles the packages
        world.cloud.take_down(WRITER, Fault.HANG)
        hanging = threads.submit(world.client("sns", WRITER).list_topics)
        wait_until(held.is_set)  # one that has not arrived finds no server, one that hangs for long gives up by itself
        world.cloud.close()
        assert isinstance(hanging.exception(), ConnectionClosedError)
    assert (DynamoHandler.call_action, Execution.start, dict(default_user_config)) == patched_before
    assert not [pid for pid in world.pids if psutil.pid_exists(pid)]
    wait_until(lambda: set(threading.enumerate()) <= threads_before)


def test_metric_data_is_kept_for_an_hour(world: World) -> None:
    for age in (7200, 3700, 3500, 1):
        world.put(STANDBY, "writer-down", age, age=age)
    world.cloud.alarms.forget(STANDBY, world.clock.now())
    metric = world.specification.regions[STANDBY].alarm("writer-down").metric
    found = world.client("cloudwatch").get_metric_statistics(
        Namespace=metric.namespace,
        MetricName=metric.name,
        Dimensions=[{"Name": name, "Value": text} for name, text in metric.dimensions.items()],
        StartTime=datetime.fromtimestamp(world.clock.now() - 9000, UTC),
        EndTime=datetime.fromtimestamp(world.clock.now() + 60, UTC),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert sorted(point["Maximum"] for point in found) == [1, 3500]


def test_mending_ends_every_trouble_of_the_services(world: World, wait_until: WaitUntil) -> None:
    cloud, prober = world.cloud, world.name("prober")
    cloud.stop_function(STANDBY, "prober")
    cloud.lose_every_event()
    cloud.control_table.failing_until = world.clock.now() + 600
    cloud.database.behaviour.down_until[STANDBY] = world.clock.now() + 600
    cloud.mend()
    assert json.load(world.client("lambda").invoke(FunctionName=prober, Payload=b'{"do": "echo"}')["Payload"])
    assert world.client("rds").describe_global_clusters()["GlobalClusters"]
    table = world.specification.control_table
    world.client("dynamodb").put_item(TableName=table.name, Item={table.hash_key: {"S": "one"}})
    entry = {"Source": EVENT_SOURCE, "DetailType": EVENT_TYPE, "Detail": '{"epoch": 7, "asked_at": "now"}'}
    world.client("events").put_events(Entries=[entry])
    wait_until(lambda: world.of(Kind.EXECUTION_STARTED))
