"""Every assumption about AWS: what is seen where it holds, what where it does not, and which rights asking takes."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from failoverctl.asks import control, database, functions
from failoverctl.assumption import ask_all
from failoverctl.assumptions import ASSUMPTIONS, PAGE, document
from failoverctl.command import Chosen, Session
from failoverctl.errors import CannotTell, Refused
from failoverctl.verify import keep_figures
from handlers.core.readiness import Finding
from orchestration import measured
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe
from orchestration.specification.model import FunctionRule, Rule, Schedule
from tests.failoverctl.aws_answers import ACCOUNT, NOW, RECORD, SETTINGS, STANDBY, WRITER, Answer, Aws, refused

NAMES = describe(SETTINGS, ACCOUNT).names
SPECIFICATION = describe(SETTINGS, ACCOUNT)
AT = datetime.fromtimestamp(NOW, UTC)
# With what the settings may ask for, beside the rest.
WITH_ALL = describe(
    load(
        environment_suffix="test",
        hooks=[{"name": "scale", "when": "WriterMoved", "function": "scale-out"}],
        application_alarms=["errors"],
        database={"capacity_follows": True},
    ),
    ACCOUNT,
)
BY_NAME = {each.name: each for each in ASSUMPTIONS}


@dataclass(frozen=True)
class Case:
    """What AWS answers where an assumption holds, and by the words that are to be seen, where it does not."""

    holds: Mapping[str, Answer]
    fails: Mapping[str, Mapping[str, Answer]]


def version(**more: Any) -> dict[str, Any]:
    return {"DBEngineVersions": [{"Engine": "aurora-postgresql", "SupportsGlobalDatabases": True, **more}]}


def option(*zones: str, **more: Any) -> dict[str, Any]:
    zone_list = [{"Name": zone} for zone in zones]
    return {"OrderableDBInstanceOptions": [{"AvailabilityZones": zone_list, "SupportsGlobalDatabases": True, **more}]}


def parameter(**more: Any) -> dict[str, Any]:
    return {"EngineDefaults": {"Parameters": [{"ParameterName": "reserved_connections", **more}]}}


def cluster(region: str = WRITER, **more: Any) -> dict[str, Any]:
    name = f"payments.cluster-ro-x.{region}.rds.amazonaws.com"
    return {"DBClusters": [{"ReaderEndpoint": name, "Endpoint": name.replace("-ro", ""), **more}]}


def instance(address: str) -> dict[str, Any]:
    return {"DBInstances": [{"DBInstanceIdentifier": "a", "Endpoint": {"Address": address}}]}


def points(**each: list[float]) -> dict[str, Any]:
    """Datapoints of consecutive minutes, by statistic; None for a minute without one."""
    columns = zip(*each.values(), strict=True)
    rows = [dict(zip(each, row, strict=True)) for row in columns]
    found = [
        {"Timestamp": AT - timedelta(minutes=len(rows) - at), **row}
        for at, row in enumerate(rows)
        if None not in row.values()
    ]
    return {"Datapoints": found}


def table(**more: Any) -> dict[str, Any]:
    return {
        "Table": {
            "MultiRegionConsistency": "STRONG",
            "Replicas": [{"RegionName": each, "ReplicaStatus": "ACTIVE"} for each in SETTINGS.regions],
            "GlobalTableWitnesses": [{"RegionName": SETTINGS.witness_region, "WitnessStatus": "ACTIVE"}],
            **more,
        }
    }


def copy(**more: Any) -> dict[str, Any]:
    key = f"alias/failover-usw2-{SETTINGS.environment_suffix}"
    return {"ReplicationStatus": [{"Region": STANDBY, "Status": "InSync", "KmsKeyId": key, **more}]}


def simulated(decision: str = "allowed", **more: Any) -> Answer:
    def answer(ActionNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        found = [{"EvalActionName": each, "EvalDecision": decision, **more} for each in ActionNames]
        return {"EvaluationResults": found, "IsTruncated": False}

    return answer


def role(trusts: bool = True) -> Answer:
    def answer(RoleName: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        roles = {each.name: each for region in SPECIFICATION.regions.values() for each in region.roles_for_others}
        found = {
            "Path": "/",
            "RoleName": RoleName,
            "RoleId": "AROA0123456789ABCDEF",
            "Arn": NAMES.role_arn(RoleName),
            "CreateDate": AT,
            "AssumeRolePolicyDocument": json.dumps(list(roles[RoleName].trusted) if trusts else []),
        }
        return {"Role": found}

    return answer


def invoke_policy(condition: dict[str, Any]) -> dict[str, Any]:
    statement = {"Action": "lambda:InvokeFunction", "Principal": "*", "Condition": condition}
    return {"Policy": json.dumps({"Statement": [statement]})}


URL = {
    "FunctionUrl": "https://0123456789abcdef.lambda-url.us-east-1.on.aws/",
    "FunctionArn": NAMES.function_arn("writer_switch", WRITER),
    "AuthType": "NONE",
    "CreationTime": "2026-01-01",
    "LastModifiedTime": "2026-01-01",
}
BY_URL = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}


def all_alarms(state: str = "OK", *, enabled: bool = True, without: int = 0) -> Answer:
    def answer(AlarmNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        found = [{"AlarmName": each, "StateValue": state, "ActionsEnabled": enabled} for each in AlarmNames[without:]]
        return {"MetricAlarms": found}

    return answer


def rule(state: str = "ENABLED", pattern: str | None = None, schedule: str | None = None) -> Answer:
    def answer(region: str, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        deployed = WITH_ALL.regions[region]
        for each in deployed.schedules:
            if each.name == Name:
                return {"State": state, "ScheduleExpression": schedule or each.expression}
        patterns = {each.name: each.event_pattern for each in deployed.rules}
        patterns |= {each.name: each.event_pattern for each in deployed.function_rules}
        return {"State": state, "EventPattern": pattern or json.dumps(patterns[Name])}

    return answer


def observed(*statuses: str) -> dict[str, Any]:
    return {"HealthCheckObservations": [{"Region": "eu-west-1", "StatusReport": {"Status": one}} for one in statuses]}


NOT_ENGAGED = "Failure: HTTP Status Code 503, Service Unavailable"
ZONE: dict[str, Answer] = {
    "route53.ListHostedZonesByName": {
        "HostedZones": [
            {"Id": "/hostedzone/PUBLIC", "Name": f"{NAMES.zone}.", "CallerReference": "public"},
            {
                "Id": "/hostedzone/Z1",
                "Name": f"{NAMES.zone}.",
                "CallerReference": "zone",
                "Config": {"PrivateZone": True},
            },
        ],
        "IsTruncated": False,
        "MaxItems": "100",
    },
    "route53.ListResourceRecordSets": lambda HostedZoneId, **_: {  # noqa: N803
        "ResourceRecordSets": [
            {"Name": f"{NAMES.writer}.", "Type": "CNAME", "Failover": "PRIMARY", "HealthCheckId": "both"}
        ]
        if HostedZoneId == "Z1"
        else [],
        "IsTruncated": False,
        "MaxItems": "100",
    },
    "route53.GetHealthCheck": {
        "HealthCheck": {
            "Id": "both",
            "CallerReference": "both",
            "HealthCheckConfig": {"Type": "CALCULATED", "ChildHealthChecks": ["one", "two"]},
            "HealthCheckVersion": 1,
        }
    },
    "route53.GetHealthCheckStatus": observed(NOT_ENGAGED, NOT_ENGAGED),
}
REPORT_PLAN = f"arn:aws:backup:{WRITER}:{ACCOUNT}:report-plan:"


def report(region: str, status: str) -> dict[str, Any]:
    plan = f"{NAMES.backup_vault(region)}_backup_job_report".replace("-", "_")
    return {"ReportJobs": [{"ReportPlanArn": f"{REPORT_PLAN}{plan}-x", "Status": status, "StatusMessage": "no key"}]}


def moved(mode: str, asked: str, took: float, outcome: str = "recovered") -> dict[str, Any]:
    """A run that moved the writer, for which Aurora took so long (s)."""
    phases = [
        {"phase": asked, "began": NOW, "ended": NOW + 1},
        {"phase": "promote", "began": NOW + 1, "ended": NOW + took},
    ]
    return {"output": json.dumps({"outcome": outcome, "mode": mode, "phases": phases})}


def by_alarm(late_s: int) -> dict[str, Any]:
    """A run that the alarm started, so late."""
    asked_at = (AT - timedelta(seconds=late_s)).isoformat()
    return {"input": json.dumps({"started_by": "alarm writer-down-usw2-test", "asked_at": asked_at})}


def runs(*each: dict[str, Any]) -> dict[str, Answer]:
    """The runs of the standby's region, the oldest first."""
    base = {"stateMachineArn": NAMES.state_machine_arn(STANDBY), "status": "SUCCEEDED"}

    def arn(number: int) -> str:
        return f"{NAMES.state_machine_arn(STANDBY).replace(':stateMachine:', ':execution:')}:run-{number}"

    def listed(region: str, **_: Any) -> dict[str, Any]:
        found = [
            {**base, "name": f"run-{number}", "executionArn": arn(number), "startDate": AT + timedelta(seconds=number)}
            for number in range(len(each) if region == STANDBY else 0)
        ]
        return {"executions": found}

    def described(executionArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        number = int(executionArn.rpartition("-")[2])
        return {**base, "name": f"run-{number}", "executionArn": executionArn, "startDate": AT, **each[number]}

    return {"stepfunctions.ListExecutions": listed, "stepfunctions.DescribeExecution": described}


LAG = SPECIFICATION.regions[STANDBY].alarm("replication-lag").metric
LAG_METRIC = {"Metrics": [{"Dimensions": [{"Name": key, "Value": value} for key, value in LAG.dimensions.items()]}]}
BY_CLUSTER_ONLY = {"Metrics": [{"Dimensions": [{"Name": "DBClusterIdentifier", "Value": NAMES.cluster(STANDBY)}]}]}

CASES: dict[str, Case] = {
    "engine": Case(
        {"rds.DescribeDBEngineVersions": version()},
        {
            "is not offered": {"rds.DescribeDBEngineVersions": {"DBEngineVersions": []}},
            "not for global databases": {"rds.DescribeDBEngineVersions": version(SupportsGlobalDatabases=False)},
        },
    ),
    "instance-classes": Case(
        {
            "rds.DescribeDBInstances": {"DBInstances": [{"DBInstanceClass": "db.r6g.large"}]},
            "rds.DescribeOrderableDBInstanceOptions": option("us-east-1a", "us-east-1b"),
        },
        {
            "db.r6g.large cannot be ordered for 17": {
                "rds.DescribeOrderableDBInstanceOptions": {"OrderableDBInstanceOptions": []}
            },
            "in a global database": {
                "rds.DescribeOrderableDBInstanceOptions": option("a", "b", SupportsGlobalDatabases=False)
            },
            "in us-east-1a only": {"rds.DescribeOrderableDBInstanceOptions": option("us-east-1a")},
        },
    ),
    "reserved-connections-parameter": Case(
        {"rds.DescribeEngineDefaultClusterParameters": parameter(IsModifiable=True)},
        {
            "not modifiable": {"rds.DescribeEngineDefaultClusterParameters": parameter(IsModifiable=False)},
            "has no cluster parameter": {"rds.DescribeEngineDefaultClusterParameters": {"EngineDefaults": {}}},
        },
    ),
    "endpoints": Case(
        {"rds.DescribeDBClusters": cluster()},
        {
            "reader endpoint is not reported": {"rds.DescribeDBClusters": {"DBClusters": [{}]}},
            "and not payments.cluster-x": {"rds.DescribeDBClusters": cluster(Endpoint="elsewhere")},
        },
    ),
    "instance-endpoints": Case(
        {"rds.DescribeDBClusters": cluster(), "rds.DescribeDBInstances": instance("a.x.us-east-1.rds.amazonaws.com")},
        {
            "that of a is elsewhere": {"rds.DescribeDBInstances": instance("elsewhere")},
            "that of a is None": {"rds.DescribeDBInstances": {"DBInstances": [{"DBInstanceIdentifier": "a"}]}},
            "has no instances": {"rds.DescribeDBInstances": {"DBInstances": []}},
        },
    ),
    "endpoints-resolve": Case({"rds.DescribeDBClusters": cluster()}, {}),  # below: the resolver is the machine's
    "data-api": Case(
        {"rds.DescribeDBClusters": cluster(HttpEndpointEnabled=True, IAMDatabaseAuthenticationEnabled=True)},
        {
            "the Data API is off": {"rds.DescribeDBClusters": cluster(IAMDatabaseAuthenticationEnabled=True)},
            "login by IAM is off": {"rds.DescribeDBClusters": cluster(HttpEndpointEnabled=True)},
        },
    ),
    "lag-metric": Case(
        {"cloudwatch.ListMetrics": LAG_METRIC, "cloudwatch.GetMetricStatistics": points(Maximum=[40.0, 60.0])},
        {
            "by DBClusterIdentifier and SourceRegion, but by DBClusterIdentifier": {
                "cloudwatch.ListMetrics": BY_CLUSTER_ONLY
            },
            "but by none": {"cloudwatch.ListMetrics": {"Metrics": []}},
            "no value": {"cloudwatch.GetMetricStatistics": points(Maximum=[])},
        },
    ),
    "idle-capacity": Case(
        {
            "rds.DescribeDBClusters": cluster(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5}),
            "rds.DescribeDBInstances": {"DBInstances": [{"DBInstanceClass": "db.serverless"}]},
            "cloudwatch.GetMetricStatistics": points(Minimum=[2.0, 0.5]),
        },
        {
            "2 ACU at least": {"cloudwatch.GetMetricStatistics": points(Minimum=[2.0, 3.0])},
            "the minimum is 0": {
                "rds.DescribeDBClusters": cluster(ServerlessV2ScalingConfiguration={"MinCapacity": 0.0})
            },
            "CloudWatch has no capacity": {"cloudwatch.GetMetricStatistics": points(Minimum=[])},
            "RDS does not tell the cluster's minimum": {"rds.DescribeDBClusters": cluster()},
        },
    ),
    "rds-answers": Case(
        {"rds.DescribeGlobalClusters": {"GlobalClusters": []}, "rds.DescribeDBClusters": cluster()},
        {},  # below: a clock that is skipped
    ),
    "control-strong": Case(
        {"dynamodb.DescribeTable": table()},
        {
            "it is EVENTUAL": {"dynamodb.DescribeTable": table(MultiRegionConsistency="EVENTUAL")},
            "the witness in us-east-2 is missing": {"dynamodb.DescribeTable": table(GlobalTableWitnesses=[])},
            "is CREATING": {
                "dynamodb.DescribeTable": table(
                    Replicas=[{"RegionName": each, "ReplicaStatus": "CREATING"} for each in SETTINGS.regions]
                )
            },
        },
    ),
    "secret-replica": Case(
        {"secretsmanager.DescribeSecret": copy()},
        {
            "there is no copy": {"secretsmanager.DescribeSecret": {}},
            "is Failed: no key": {"secretsmanager.DescribeSecret": copy(Status="Failed", StatusMessage="no key")},
            "AWS's own key": {"secretsmanager.DescribeSecret": copy(KmsKeyId="alias/aws/secretsmanager")},
        },
    ),
    "permissions": Case(
        {"iam.SimulatePrincipalPolicy": simulated()},
        {
            "more": {"iam.SimulatePrincipalPolicy": simulated("implicitDeny", EvalResourceName="arn:x")},
            "a policy of the organization": {
                "iam.SimulatePrincipalPolicy": simulated(
                    "implicitDeny", OrganizationsDecisionDetail={"AllowedByOrganizations": False}
                )
            },
            "its permissions boundary": {
                "iam.SimulatePrincipalPolicy": simulated(
                    "implicitDeny", PermissionsBoundaryDecisionDetail={"AllowedByPermissionsBoundary": False}
                )
            },
        },
    ),
    "trust": Case({"iam.GetRole": role()}, {"does not trust failover-": {"iam.GetRole": role(trusts=False)}}),
    "switch-by-url-only": Case(
        {"lambda.GetPolicy": invoke_policy(BY_URL), "lambda.GetFunctionUrlConfig": URL},
        {"and not by its URL only": {"lambda.GetPolicy": invoke_policy({})}},
    ),
    "monitors-without-gaps": Case(
        {"cloudwatch.GetMetricStatistics": points(Sum=[1.0] * 60)},
        {
            "in 57 of 60 minutes": {"cloudwatch.GetMetricStatistics": points(Sum=[1.0] * 30 + [0.0] * 3 + [1.0] * 27)},
            "not started at all": {"cloudwatch.GetMetricStatistics": points(Sum=[])},
            "an hour is wanted": {"cloudwatch.GetMetricStatistics": points(Sum=[1.0] * 20)},
            "in 35 of 35 minutes, and not in the last 25": {
                "cloudwatch.GetMetricStatistics": points(Sum=[1.0] * 35 + [0.0] * 25)
            },
        },
    ),
    "alarms": Case(
        {"cloudwatch.DescribeAlarms": all_alarms()},
        {
            "missing: writer-down": {"cloudwatch.DescribeAlarms": all_alarms(without=1)},
            "not evaluated": {"cloudwatch.DescribeAlarms": all_alarms("INSUFFICIENT_DATA")},
            "switched off": {"cloudwatch.DescribeAlarms": all_alarms(enabled=False)},
        },
    ),
    "rules": Case(
        {"events.DescribeRule": rule()},
        {
            "is DISABLED": {"events.DescribeRule": rule("DISABLED")},
            "waits for another event": {"events.DescribeRule": rule(pattern="{}")},
            "has another schedule": {"events.DescribeRule": rule(schedule="rate(2 minutes)")},
        },
    ),
    "health-checkers": Case(
        ZONE,
        {
            "2 of 4 see something else": {  # of two switches
                "route53.GetHealthCheckStatus": observed(NOT_ENGAGED, "Failure: connection timed out")
            },
            "4 of 4": {"route53.GetHealthCheckStatus": observed(*["Success: HTTP Status Code 200, OK"] * 2)},
            "no checker has said": {"route53.GetHealthCheckStatus": observed()},
        },
    ),
    "backup-jobs": Case(
        {"backup.ListBackupJobs": {"BackupJobs": [{"State": "COMPLETED"}]}},
        {
            "1 COMPLETED, 1 FAILED: no role": {
                "backup.ListBackupJobs": {
                    "BackupJobs": [{"State": "COMPLETED"}, {"State": "FAILED", "StatusMessage": "no role"}]
                }
            },
            "there was none": {"backup.ListBackupJobs": {"BackupJobs": []}},
        },
    ),
    "copy-jobs": Case(
        {"backup.ListCopyJobs": {"CopyJobs": [{"State": "COMPLETED"}]}},
        {"none has ended yet": {"backup.ListCopyJobs": {"CopyJobs": [{"State": "RUNNING"}]}}},
    ),
    "report-jobs": Case(
        {"backup.ListReportJobs": lambda region, **_: report(region, "COMPLETED")},
        {
            "FAILED: no key": {"backup.ListReportJobs": lambda region, **_: report(region, "FAILED")},
            "there was none": {"backup.ListReportJobs": lambda region, **_: report("eu-west-1", "FAILED")},
        },
    ),
}
# Of the last runs; where there was none, there is no finding.
CASES |= {
    "promotion-time": Case(
        runs(moved("failover", "detach_secondary", 28.0)), {"41.5 s": runs(moved("failover", "detach_secondary", 41.5))}
    ),
    "switchover-time": Case(
        runs(moved("switchover", "switch_over", 20.0)), {"130.0 s": runs(moved("switchover", "switch_over", 130.0))}
    ),
    "trigger": Case(runs(by_alarm(2)), {"30 s from the alarm": runs(by_alarm(30))}),
}
# Asked through the deployment's own functions, and tested on a whole deployment (test_verify.py).
OF_READINESS = {each.name for each in ASSUMPTIONS if each.ask and each.calls == ("lambda:InvokeFunction",)}
BY_THE_RECORD = {"control-read-anywhere"}


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that knows every name, and a switch that answers."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port: [name])
    monkeypatch.setattr(functions, "_fetched", lambda url: '{"engaged": false}')
    monkeypatch.setattr(control, "PAUSE_S", 0.0)


def found(name: str, answers: Mapping[str, Answer]) -> tuple[list[Finding], Aws]:
    aws = Aws(dict(answers))
    return ask_all(aws.account(), [BY_NAME[name]]), aws


def test_every_assumption_has_a_case_or_an_experiment() -> None:
    asked = {each.name for each in ASSUMPTIONS if each.ask}
    assert asked == {*CASES, *OF_READINESS, *BY_THE_RECORD}
    for each in ASSUMPTIONS:
        assert each.experiment or each.ask, each.name
        assert bool(each.calls) == (each.ask is not None), each.name
    assert len(BY_NAME) == len(ASSUMPTIONS)


@pytest.mark.parametrize("name", CASES)
def test_where_it_holds_it_is_green_and_asks_for_the_rights_that_it_names(name: str) -> None:
    seen, aws = found(name, CASES[name].holds)
    assert [each.level for each in seen] == ["ok"] * len(seen), seen
    assert not any(each.remedy for each in seen)
    assert aws.seen == set(BY_NAME[name].calls)


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, case in CASES.items() for words in case.fails])
def test_where_it_does_not_hold_it_says_what_was_seen_and_what_follows(name: str, words: str) -> None:
    seen, _ = found(name, {**CASES[name].holds, **CASES[name].fails[words]})
    other = [each for each in seen if each.level != "ok"]
    assert other
    assert any(words in each.fact for each in other), seen
    assert {each.remedy for each in other} == {BY_NAME[name].otherwise}


@pytest.mark.parametrize("name", CASES)
def test_who_may_not_ask_is_told_what_for(name: str) -> None:
    denied = {operation: refused("AccessDenied", 403) for operation in CASES[name].holds}
    seen, _ = found(name, denied)
    assert {each.level for each in seen} == {"cannot tell"}
    assert all(f"may not ask this ({', '.join(BY_NAME[name].calls)})" in each.fact for each in seen)


def test_every_rule_of_the_specification_is_asked_for() -> None:
    asked: list[str] = []

    def answer(region: str, Name: str, **of: Any) -> dict[str, Any]:  # noqa: N803
        asked.append(Name)
        found: dict[str, Any] = rule()(region=region, Name=Name, **of)  # type: ignore[operator]
        return found

    seen = ask_all(Aws({"events.DescribeRule": answer}).account(WITH_ALL.settings), [BY_NAME["rules"]])
    assert [each.level for each in seen] == ["ok", "ok"], seen
    fields = [value for region in WITH_ALL.regions.values() for value in vars(region).values()]
    found = [one for value in fields for one in (value if isinstance(value, tuple) else (value,))]
    there = {one.name for one in found if isinstance(one, (Rule, FunctionRule, Schedule))}
    assert set(asked) == there
    assert sum(isinstance(one, FunctionRule) for one in found) == 2 * 6  # three of them only where they are asked for


def test_credentials_that_are_not_taken_end_it() -> None:
    with pytest.raises(CannotTell, match="AWS does not take these credentials"):
        found("engine", {"rds.DescribeDBEngineVersions": refused("ExpiredToken", 403)})


def test_a_standby_whose_writer_endpoint_is_absent_or_does_not_resolve_is_borne(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(name: str, port: None) -> list[str]:
        if STANDBY in name and ".cluster-ro-" not in name:
            raise socket.gaierror
        return [name]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answers: dict[str, Answer] = {"rds.DescribeDBClusters": lambda region, **_: cluster(region)}
    seen, _ = found("endpoints-resolve", answers)
    assert [each.level for each in seen] == ["ok", "ok"]
    assert "which is borne" in seen[1].fact
    seen, _ = found("endpoints", {"rds.DescribeDBClusters": {"DBClusters": [{"ReaderEndpoint": "a.cluster-ro-b"}]}})
    assert [each.level for each in seen] == ["ok", "ok"]


def test_the_writers_endpoints_have_to_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, port: None) -> list[str]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    seen, _ = found("endpoints-resolve", {"rds.DescribeDBClusters": lambda region, **_: cluster(region)})
    assert [each.level for each in seen] == ["failing", "failing"]


def test_rds_that_is_slower_than_a_step_waits_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10_000, 4))
    monkeypatch.setattr(database, "time", type("Slow", (), {"monotonic": staticmethod(lambda: next(times))}))
    seen, _ = found("rds-answers", CASES["rds-answers"].holds)
    assert [each.level for each in seen] == ["failing", "failing"]
    assert "4000 ms" in seen[0].fact


OF_RUNS = ("promotion-time", "switchover-time", "trigger")


@pytest.mark.parametrize("name", OF_RUNS)
def test_where_no_run_shows_it_nothing_is_said_of_it(name: str) -> None:
    assert found(name, runs())[0] == []
    assert found(name, runs({"output": json.dumps({"outcome": "rehearsed", "mode": "rehearsal"})}))[0] == []


def test_the_last_run_that_moved_the_writer_counts_and_no_other() -> None:
    before, refused_one = (
        moved("failover", "detach_secondary", 90.0),
        moved("failover", "detach_secondary", 5.0, "refused"),
    )
    ((seen,), _) = found("promotion-time", runs(before, moved("failover", "detach_secondary", 25.0), refused_one))
    assert "25.0 s in run run-1" in seen.fact


def test_what_was_measured_is_kept_and_is_what_drills_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, session = tmp_path / "measured.json", Session(Chosen())
    monkeypatch.setattr(measured, "FILE", file)
    assert {measured.promotion_s(move) for move in measured.MOVES} == {measured.ASSUMED_PROMOTION_S}
    with pytest.raises(Refused, match="there is nothing to keep"):
        keep_figures(session, Aws(runs()).account())
    keep_figures(session, Aws(runs(moved("failover", "detach_secondary", 41.5))).account())
    keep_figures(session, Aws(runs(moved("switchover", "switch_over", 22.0))).account())
    assert (measured.promotion_s("failover"), measured.promotion_s("switchover")) == (41.5, 22.0)
    keep_figures(session, Aws(runs(moved("failover", "detach_secondary", 28.0))).account())
    assert (measured.promotion_s("failover"), measured.promotion_s("switchover")) == (28.0, 22.0)


def test_every_permission_of_every_role_is_simulated_with_its_conditions() -> None:
    asked: list[dict[str, Any]] = []

    def answer(**of: Any) -> dict[str, Any]:
        asked.append(of)
        return {"EvaluationResults": [], "IsTruncated": False}

    found("permissions", {"iam.SimulatePrincipalPolicy": answer})
    contexts = {each["ContextKeyName"] for one in asked for each in one["ContextEntries"]}
    assert {"aws:RequestedRegion", "kms:ResourceAliases"} <= contexts
    assert not any(re.search(r"[*?]", arn) for one in asked for arn in one["ResourceArns"] if arn != "*")
    wanted = {region.role_for_rebuild.name for region in SPECIFICATION.regions.values()}
    assert {NAMES.role_arn(each) for each in wanted} <= {one["PolicySourceArn"] for one in asked}


# --- the record, written by its guardian and read in both regions


def reads(*until: float) -> list[Finding]:
    """What is found where reads in turn show these ends of the lease; the last one from then on."""
    account, left = Aws({}).account(), list(until)

    def read_in(region: str) -> Any:
        at = left.pop(0) if len(left) > 1 else left[0]
        return replace(account.reading, record=replace(RECORD, lease_expires_at=NOW + at))

    account.deployment.read_in = read_in  # type: ignore[method-assign]
    return ask_all(account, [BY_NAME["control-read-anywhere"]])


def test_p1_a_region_that_shows_an_older_renewal_than_the_other_is_seen() -> None:
    assert [each.level for each in reads(8, 8, 10, 10, 12)] == ["ok"]
    (seen,) = reads(8, 10, 8)
    assert seen.level == "failing"
    assert f"showed a lease until {NOW + 8:.1f} after the other one had shown" in seen.fact


def test_without_a_guardian_nothing_is_known_of_the_record() -> None:
    (seen,) = reads(8)
    assert seen.level == "cannot tell"
    assert "no guardian has renewed" in seen.fact


# --- the page


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run python -m failoverctl.assumptions"


def test_what_rests_on_an_assumption_is_there() -> None:
    for each in ASSUMPTIONS:
        assert each.rests
        for file in each.rests:
            assert (PROJECT_ROOT / file).is_file(), f"{each.name}: {file}"


@pytest.mark.parametrize(("last_min", "level"), [(3, "ok"), (4, "failing"), (25, "failing")])
def test_a_monitor_that_is_started_no_more_is_failing_and_nothing_to_ask_again_for(last_min: int, level: str) -> None:
    """CloudWatch shows the two newest minutes late, and one start may be missing."""
    started = points(Sum=[1.0] * (60 - last_min) + [0.0] * last_min)
    seen, _ = found("monitors-without-gaps", {"cloudwatch.GetMetricStatistics": started})
    assert {each.level for each in seen} == {level}, seen


def test_no_page_keeps_a_list_of_its_own() -> None:
    """A section that says what is assumed refers to the rows."""
    for page in sorted((PROJECT_ROOT / "docs").rglob("*.md")):
        for section in re.split(r"(?m)^## ", page.read_text(encoding="utf-8"))[1:]:
            if section.startswith("What is assumed") and page != PAGE:
                named = set(re.findall(r"`([a-z-]+)`", section))
                assert named & {*BY_NAME}, f"{page.name} does not name its rows"
                assert not re.search(r"(?m)^[*-] ", section), f"{page.name} has a list of its own beside assumptions.md"


# Texts in which something is assumed of AWS.
ASSUMED = re.compile(
    r"(is an assumption|to be verified|not documented|no source says|AWS does not say(?! whose))", re.IGNORECASE
)
# What of these needs no row: the lab's and the simulator's models say themselves how they stand to AWS.
MODELS = ("drills/", "simulation/", "docs/lab.md", "docs/simulation.md", "docs/assumptions.md")


def flowing(text: str) -> str:
    """The text without its line ends, nor what begins the lines of a comment: a sentence may go over any of them."""
    return re.sub(r"\s+(?:(?:#|--|>)\s)?\s*", " ", text)


@pytest.mark.parametrize(
    "text", ["AWS does not say", "    # AWS does\n    # not say", "-- AWS does not\n-- say", "AWS\ndoes not say"]
)
def test_a_sentence_over_two_lines_is_found(text: str) -> None:
    assert ASSUMED.search(flowing(text))


def test_no_assumption_of_aws_is_written_down_without_a_row() -> None:
    rests = {file for each in ASSUMPTIONS for file in each.rests}
    files = [path for folder in ("handlers", "orchestration", "docs") for path in (PROJECT_ROOT / folder).rglob("*.*")]
    texts = {str(path.relative_to(PROJECT_ROOT)): path for path in files if path.suffix in (".py", ".md", ".sql")}
    for name, path in sorted(texts.items()):
        if not name.startswith(MODELS) and ASSUMED.search(flowing(path.read_text(encoding="utf-8"))):
            assert name in rests | {*REVIEWED}, f"{name} assumes something: give it a row in failoverctl/assumptions.py"


# Read, and no assumption that a row could settle: the product bears either answer.
REVIEWED = {
    "handlers/gateways/hooks.py": "what a used token gives: a hook whose end is not seen is recorded as that",
    "docs/decisions/0002-our-own-lab.md": "on models of AWS",
    "docs/decisions/0005-detach-instead-of-managed-failover.md": "why something is not used",
    "orchestration/constructs/dns.py": "how long a calculated check takes to follow: a record waits a minute",
    "orchestration/idle_cost.py": "whether the witness is charged for: it is counted",
    "orchestration/specification/monitoring.py": "how EventBridge quotes a text: only a number is used",
    "orchestration/specification/policies.py": "whether an item takes the key: the role may use it",
}
