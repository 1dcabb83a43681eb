"""``failoverctl verify`` around a database that was adopted: what is weaker there is a warning, and not a defect."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from failoverctl import verify
from failoverctl.asks import control, functions
from failoverctl.deployment import Deployment, Identity
from failoverctl.program import app
from handlers.core.health import Probe
from handlers.core.readiness import Finding
from orchestration.settings import load
from orchestration.specification import describe
from tests.failoverctl.aws_answers import ACCOUNT, NOW, RECORD, STANDBY, WRITER, Answer, Aws, refused
from tests.failoverctl.test_assumptions import BY_NAME, CASES, points
from tests.infrastructure.existing import SETTINGS as ADOPTED
from tests.infrastructure.existing import existing

# A zone of our own, so that the records have the names that the other tests know.
SETTINGS = load(environment_suffix="test", existing=existing(zone_id=None), database=ADOPTED["database"])
SPECIFICATION = describe(SETTINGS, ACCOUNT)
NAMES = SPECIFICATION.names
SECRET = "secretsmanager.DescribeSecret"
Called = Callable[..., Any]


def clusters(minimum: float | None = None, **more: Any) -> Answer:
    """Both clusters with a writer and a reader endpoint; Serverless v2 where there is a minimum of ACUs."""
    capacity = {} if minimum is None else {"ServerlessV2ScalingConfiguration": {"MinCapacity": minimum}}

    def answer(region: str, **_: Any) -> dict[str, Any]:
        reader = f"orders.cluster-ro-x.{region}.rds.amazonaws.com"
        found = {"ReaderEndpoint": reader, "Endpoint": reader.replace("-ro", ""), "HttpEndpointEnabled": True}
        return {"DBClusters": [{**found, "IAMDatabaseAuthenticationEnabled": True, **capacity, **more}]}

    return answer


def instances(of: str) -> Answer:
    def answer(region: str, **_: Any) -> dict[str, Any]:
        address = f"orders-1.x.{region}.rds.amazonaws.com"
        found = {"DBInstanceIdentifier": "orders-1", "DBInstanceClass": of, "Endpoint": {"Address": address}}
        return {"DBInstances": [found]}

    return answer


def measured(acu: list[float]) -> Answer:
    """CloudWatch, with this least capacity of the clusters (ACU)."""

    def answer(MetricName: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        values = {
            "ServerlessDatabaseCapacity": {"Minimum": acu},
            "Invocations": {"Sum": [1.0] * 60},
        }
        return points(**values.get(MetricName, {"Maximum": [40.0]}))

    return answer


def lag_metric(**_: Any) -> dict[str, Any]:
    metric = SPECIFICATION.regions[STANDBY].alarm("replication-lag").metric
    return {"Metrics": [{"Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions.items()]}]}


def secrets(**by_region: dict[str, Any]) -> Answer:
    """Secrets Manager, with these secrets, by the region without its hyphens."""

    def answer(region: str, SecretId: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        assert SecretId == "orders/master"
        if (found := by_region.get(region.replace("-", ""))) is None:
            raise refused("ResourceNotFoundException")
        return found

    return answer


def copied(to: str, status: str = "InSync") -> dict[str, Any]:
    return {"ReplicationStatus": [{"Region": to, "Status": status, "StatusMessage": "no key"}]}


# The databases that are adopted: what RDS and CloudWatch say of them.
PROVISIONED: dict[str, Answer] = {
    "rds.DescribeDBClusters": clusters(),
    "rds.DescribeDBInstances": instances("db.r6g.large"),
    "cloudwatch.GetMetricStatistics": measured([]),
}
SERVERLESS: dict[str, Answer] = {
    "rds.DescribeDBClusters": clusters(minimum=8.0),
    "rds.DescribeDBInstances": instances("db.serverless"),
    "cloudwatch.GetMetricStatistics": measured([8.0, 9.0]),
}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Calls the verb around an adopted database, where AWS answers as it should but for ``answers``; its JSON."""
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "test")
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port: [name])
    monkeypatch.setattr(functions, "_fetched", lambda url: '{"engaged": false}')
    monkeypatch.setattr(control, "PAUSE_S", 0.0)
    monkeypatch.setattr(Deployment, "identity", property(lambda _: Identity(ACCOUNT, "arn:aws:iam::1:user/ada")))
    as_of_our_own = {operation: answer for case in CASES.values() for operation, answer in case.holds.items()}
    both = {"useast1": copied(STANDBY), "uswest2": {}}
    here = {**as_of_our_own, "cloudwatch.ListMetrics": lag_metric, SECRET: secrets(**both)}

    def account(answers: dict[str, Answer]) -> Any:
        asked: Any = Aws({**here, **answers}).account(SETTINGS)
        renewals = iter(range(1000))
        asked.deployment.read_in = lambda region: replace(
            asked.reading, record=replace(RECORD, lease_expires_at=NOW + next(renewals))
        )
        asked.ready = lambda check, region: Finding(check, region, "ok", "as it should be", "")
        reached = Probe("own", "reader", STANDBY, None, 5.0, replicated_until=NOW)
        asked.prober = lambda region: SimpleNamespace(probe=lambda *_, **__: reached)
        return asked

    def call(answers: dict[str, Answer]) -> Any:
        monkeypatch.setattr(verify, "Account", lambda *_, **__: account(answers))
        with pytest.raises(SystemExit) as ended:
            app(["verify", "--json"])
        return {"code": int(ended.value.code or 0), **json.loads(capsys.readouterr().out)}

    return call


def of(said: Any, check: str) -> list[tuple[str, str, str]]:
    return [(each["level"], each["fact"], each["remedy"]) for each in said["findings"] if each["check"] == check]


@pytest.mark.parametrize("database", [PROVISIONED, SERVERLESS], ids=["provisioned", "Serverless v2"])
def test_it_can_end_with_nothing_to_see_to(called: Called, database: dict[str, Answer]) -> None:
    said = called(database)
    assert [each for each in said["findings"] if each["level"] != "ok"] == []
    assert (said["code"], said["answer"]) == (0, "ok")
    assert {each["check"] for each in said["findings"]} >= {n for n, each in BY_NAME.items() if not each.experiment}


def test_provisioned_instances_are_not_asked_for_acus(called: Called) -> None:
    found = of(called(PROVISIONED), "idle-capacity")
    assert [level for level, _, _ in found] == ["ok", "ok"]
    assert found[0][1] == "db.r6g.large: provisioned instances have no capacity that could go down"


def test_serverless_v2_is_compared_with_the_clusters_own_minimum(called: Called) -> None:
    assert SETTINGS.min_capacity(WRITER) == 0.5  # our default, and nothing to this cluster
    assert "8 ACU at least in the last 3 hours; the minimum is 8" in of(called(SERVERLESS), "idle-capacity")[0][1]
    busy = called({**SERVERLESS, "cloudwatch.GetMetricStatistics": measured([9.0])})
    assert {(level, remedy) for level, _, remedy in of(busy, "idle-capacity")} == {
        ("warning", BY_NAME["idle-capacity"].adopted)
    }
    assert busy["code"] == 0


def test_without_the_data_api_it_warns_and_says_what_to_use_instead(called: Called) -> None:
    said = called({**PROVISIONED, "rds.DescribeDBClusters": clusters(HttpEndpointEnabled=False)})
    assert of(said, "data-api") == [("warning", "the Data API is off", BY_NAME["data-api"].adopted)] * 2
    assert "psql" in BY_NAME["data-api"].adopted
    assert said["code"] == 0


def test_without_login_by_iam_nothing_works_around_an_adopted_database_either(called: Called) -> None:
    off = clusters(HttpEndpointEnabled=False, IAMDatabaseAuthenticationEnabled=False)
    said = called({**PROVISIONED, "rds.DescribeDBClusters": off})
    assert [each[:2] for each in of(said, "data-api")] == [("failing", "the Data API and login by IAM are off")] * 2
    assert said["code"] == 1


OF_SECRETS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "copied from the other region": (
        {"useast1": {}, "uswest2": copied(WRITER)},
        ("ok", "the copy in us-east-1 is in sync"),
    ),
    "copied elsewhere only": (
        {"useast1": copied("eu-west-1"), "uswest2": {}},
        ("warning", "each region has a secret orders/master of its own, and nothing keeps the two equal"),
    ),
    "one in each region": (
        {"useast1": {}, "uswest2": {}},
        ("warning", "each region has a secret orders/master of its own, and nothing keeps the two equal"),
    ),
    "none": ({}, ("warning", "there is no secret orders/master in either region")),
    "in one region": ({"useast1": {}}, ("failing", "there is no secret orders/master in us-west-2")),
    "a copy that failed": (
        {"useast1": copied(STANDBY, "Failed"), "uswest2": {}},
        ("failing", "the copy in us-west-2 is Failed: no key"),
    ),
}


@pytest.mark.parametrize("how", OF_SECRETS)
def test_the_owners_secret_may_be_a_copy_or_two_of_one_name(called: Called, how: str) -> None:
    there, (level, fact) = OF_SECRETS[how]
    said = called({**PROVISIONED, SECRET: secrets(**there)})
    assert of(said, "secret-replica") == [(level, fact, "" if level == "ok" else BY_NAME["secret-replica"].adopted)]
    assert said["code"] == (1 if level == "failing" else 0)


def test_who_may_not_read_the_secret_is_told_so(called: Called) -> None:
    said = called({**PROVISIONED, SECRET: refused("AccessDeniedException", 403)})
    ((level, fact, _),) = of(said, "secret-replica")
    assert level == "cannot tell"
    assert "may not ask this (secretsmanager:DescribeSecret)" in fact
