"""P2: a storm of starts, through the real claim and its conditional writes against the lab's control table."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drills.aws.cloud import ACCOUNT, Cloud
from drills.world.clock import Clock
from handlers.core.claim import Claim
from handlers.core.request import Request
from handlers.gateways.control_table import ControlTable
from handlers.gateways.runs import Runs
from orchestration.settings import load
from orchestration.specification import Specification, describe
from tests.drills.no_databases import cloud_without_databases

EVENTS, PEOPLE = 50, 20
COOL_DOWN_S = 1800.0
WRITER, STANDBY = "us-east-1", "us-west-2"


@pytest.fixture
def specification() -> Specification:
    return describe(load(environment_suffix="test"), ACCOUNT)


@pytest.fixture
def cloud(tmp_path: Path, specification: Specification) -> Iterator[Cloud]:
    made = cloud_without_databases(specification, tmp_path, Clock.started_now(1))
    with made:
        made.client("dynamodb", STANDBY).put_item(
            TableName=specification.control_table.name, Item=specification.first_control_record
        )
        yield made


def test_p2_of_fifty_alarm_events_and_twenty_people_one_acts_and_the_others_name_it(
    cloud: Cloud, specification: Specification, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A handler reads its environment when it is imported.
    for name, value in specification.regions[STANDBY].functions["claim"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", STANDBY)
    claim = importlib.import_module("handlers.failover.claim").claim
    requests = {
        f"event-{number}": Request("failover", "alarm", "the one incident", STANDBY, automatic=True)
        for number in range(EVENTS)
    } | {f"person-{number}": Request("failover", "somebody", f"call {number}", STANDBY) for number in range(PEOPLE)}
    together = threading.Barrier(len(requests))

    def start(run: str) -> Claim:
        client = cloud.client("dynamodb", STANDBY)
        control = ControlTable([client], specification.control_table.name, specification.global_identifier)
        machine = specification.names.state_machine_arn(STANDBY)
        runs = Runs(cloud.client("stepfunctions", STANDBY), machine)
        together.wait()
        claimed: Claim = claim(control, runs, requests[run], run, COOL_DOWN_S)
        return claimed

    with ThreadPoolExecutor(len(requests)) as threads:
        claims = list(threads.map(start, requests))
    [acting] = [one for one in claims if one.decision == "proceed"]
    others = [one for one in claims if one is not acting]
    assert len(others) == EVENTS + PEOPLE - 1
    assert all(one.decision == "duplicate" and acting.run in one.reason for one in others)
