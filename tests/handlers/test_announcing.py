"""Programs are told what people are told, and nothing waits for that or depends on it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.events.models import EventsBackend

from tests.deployment import STANDBY, Deployment

FAILOVER = {"mode": "failover", "started_by": "ada"}
Put = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """What is put on the buses: region, detail type and detail."""
    found: Put = []

    def put_events(backend: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in events:
            assert entry["Source"] == "failover.orchestrator"
            found.append((backend.region_name, entry["DetailType"], json.loads(entry["Detail"])))
        return [{"EventId": "1"} for _ in events]

    monkeypatch.setattr(EventsBackend, "put_events", put_events)
    return found


def test_programs_in_the_new_region_are_told_of_a_failover(deployment: Deployment, put: Put) -> None:
    deployment.writer_dies()
    assert deployment.run(FAILOVER, "run-1").end == "Recovered"
    assert {(region, kind) for region, kind, _ in put} == {
        (STANDBY, "FailoverStarted"),
        (STANDBY, "WriterMoved"),
        (STANDBY, "Unprotected"),
    }
    (moved,) = [detail for _, kind, detail in put if kind == "WriterMoved"]
    assert {"run": "run-1", "new_region": STANDBY, "epoch": 2, "proved": True}.items() <= moved.items()
    assert moved["global_cluster"] == deployment.specification.global_identifier


def test_programs_are_told_that_a_failover_waits_for_a_person(deployment: Deployment, put: Put) -> None:
    claim = deployment.call("claim", {"run": "run-1", "input": FAILOVER})
    asked = {"run": "run-1", "claim": claim, "token": "AQC/k+==", "lag": {"reason": "2000 ms would be lost"}}
    deployment.call("ask_approval", asked)
    ((_, kind, detail),) = put
    assert (kind, detail["reason"]) == ("FailoverWaits", "2000 ms would be lost")


@pytest.mark.parametrize("trouble", ["refused", "InternalError"])
def test_p7_a_bus_that_takes_nothing_changes_nothing(trouble: str, deployment: Deployment) -> None:
    deployment.trouble("eventbridge.PutEvents", trouble, times=100)
    deployment.writer_dies()
    run = deployment.run(FAILOVER)
    assert run.end == "Recovered"
    assert not [event["type"] for event in run.events if event["type"].endswith("Failed")], "no step is repeated"
    assert any("Failover done" in subject for subject, _ in deployment.messages(STANDBY))


@pytest.mark.parametrize("trouble", ["refused", "InternalError"])
def test_p7_a_question_is_asked_whether_or_not_programs_hear_of_it(trouble: str, deployment: Deployment) -> None:
    deployment.trouble("eventbridge.PutEvents", trouble, times=100)
    claim = deployment.call("claim", {"run": "run-1", "input": FAILOVER})
    asked = {"run": "run-1", "claim": claim, "token": "AQC/k+==", "lag": {"reason": "2000 ms would be lost"}}
    assert len(deployment.call("ask_approval", asked)["sent"]) == 2


def test_programs_are_told_where_no_topic_takes_the_message(deployment: Deployment, put: Put) -> None:
    deployment.trouble("sns.Publish", "refused", step="notify", times=10**6)
    deployment.writer_dies()
    deployment.run(FAILOVER)
    assert "WriterMoved" in {kind for _, kind, _ in put}


def test_programs_are_not_told_of_what_changed_nothing(deployment: Deployment, put: Put) -> None:
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "run-1")
    deployment.run(FAILOVER, "run-2")
    assert put == []
