"""Each step by itself, by its effect: once, twice, and after it was killed."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from moto.rds.models import DBCluster

from handlers.core.errors import (
    DetachRejected,
    FailoverError,
    FenceFailed,
    HalfWay,
    InvalidRequest,
    LeaseLive,
    LockLost,
    NotificationFailed,
    NotRecoveredYet,
    PromotionFailed,
    RdsBusy,
    StandbySilent,
    SwitchoverRejected,
    TransientFailure,
    WordLives,
)
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, NO_SIGN_S
from handlers.core.reprotection import Order, Snapshot
from handlers.core.salvage import Place, Salvage
from handlers.core.sessions import PROBES_OF_THE_STEPS
from handlers.gateways.prober import ProbeFailed
from orchestration.specification.budgets import limit
from orchestration.specification.failover import STEPS
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment

RUN = "run-1"
ASKED = {"mode": "failover", "started_by": "ada"}
FIRST_LOOK: dict[str, Any] = {"request": {}, "before": {}}  # of Promote


@pytest.fixture
def event(deployment: Deployment) -> dict[str, Any]:
    """The event of every step after the claim, which has been made; the run has not committed to move the writer."""
    deployment.writer_dies()
    return {"run": RUN, "claim": untimed(deployment.call("claim", {"run": RUN, "input": ASKED}))}


@pytest.fixture
def moving(deployment: Deployment, event: dict[str, Any]) -> dict[str, Any]:
    """The same, after the run has committed to move the writer."""
    assert deployment.call("wait_for_lease", event | {"lag": {"proceed": True}})["taken"]
    return event


def untimed(result: dict[str, Any]) -> dict[str, Any]:
    """A step's result without its timing."""
    return {name: value for name, value in result.items() if name != "timing"}


def detach(deployment: Deployment, event: dict[str, Any]) -> None:
    deployment.call("detach_secondary", event)
    deployment.wait_for_promotion()


# --- claim


def test_a_claim_takes_the_lock(deployment: Deployment) -> None:
    before = CLOCK.now()
    claim = deployment.call("claim", {"run": RUN, "input": ASKED})
    assert claim["decision"] == "proceed"
    lock = deployment.lock()
    assert lock is not None
    assert (lock["run"], lock["target_region"], lock["dns_engaged"]) == (RUN, STANDBY, False)
    assert before <= float(lock["started_at"]) <= CLOCK.now()
    assert float(lock["deadline"]) > float(lock["started_at"])


def test_a_rehearsal_takes_no_lock(deployment: Deployment) -> None:
    before = deployment.record()
    claim = deployment.call("claim", {"run": RUN, "input": ASKED | {"mode": "rehearsal"}})
    assert claim["decision"] == "proceed"
    assert deployment.record() == before


def test_p2_a_claim_that_loses_a_race_says_who_has_won(deployment: Deployment) -> None:
    """Between this run's look and its write, another run takes the lock."""
    raced: list[str] = []

    def race(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not raced:
            raced.append(operation)
            deployment.change_record(
                transition={
                    "run": "run-0",
                    "mode": "failover",
                    "phase": "checking",
                    "incident": "outage 7",
                    "target_region": STANDBY,
                    "started_at": int(CLOCK.now()),
                    "deadline": int(CLOCK.now()) + 900,
                }
            )

    deployment.gate.before = race
    claim = deployment.call("claim", {"run": RUN, "input": ASKED})
    assert claim["decision"] == "duplicate"
    assert "run run-0 is doing the work" in claim["reason"]
    lock = deployment.lock()
    assert lock is not None
    assert lock["run"] == "run-0"


def test_a_claim_on_a_record_that_never_rests_is_tried_again_later(deployment: Deployment) -> None:
    epoch = iter(range(10, 1000))

    def change(operation: str) -> None:
        if operation == "dynamodb.UpdateItem":
            deployment.change_record(epoch=next(epoch))

    deployment.gate.before = change
    with pytest.raises(
        TransientFailure, match="the control record changed 3 times while run run-1 tried to take the lock"
    ):
        deployment.call("claim", {"run": RUN, "input": ASKED})
    assert deployment.lock() is None


@pytest.mark.parametrize("event", [{"input": ASKED}, {"run": 5, "input": ASKED}, {"run": RUN}], ids=str)
def test_a_malformed_claim_is_refused(event: dict[str, Any], deployment: Deployment) -> None:
    with pytest.raises(InvalidRequest):
        deployment.call("claim", event)
    assert deployment.lock() is None


# --- check_health and verify_lag


def test_the_health_check_asks_for_the_writer_its_guardian_the_standby_and_the_members(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    deployment.gate.seen.clear()
    health = deployment.call("check_health", event)
    assert health["proceed"] is True
    seen = health["evidence"]
    assert (seen["guardian"]["says"], seen["membership"]) == ("silent", "secondary")
    assert (seen["writer"]["target"], seen["writer"]["role"]) == ("peer", None)
    assert (seen["standby"]["target"], seen["standby"]["role"]) == ("own_reader", "reader")
    assert sorted((region, operation) for _, region, operation in deployment.gate.seen) == [
        (STANDBY, "dynamodb.GetItem"),
        (STANDBY, "lambda.Invoke"),
        (STANDBY, "lambda.Invoke"),
        (STANDBY, "rds.DescribeGlobalClusters"),
    ]


def test_p5_a_guardian_that_has_just_renewed_vetoes(deployment: Deployment, event: dict[str, Any]) -> None:
    deployment.guardian_was_here(ago_s=NO_SIGN_S - 1)
    health = deployment.call("check_health", event)
    assert not health["proceed"]
    assert "but its guardian lives: no failover is due" in health["reason"]
    CLOCK.sleep(2)
    assert deployment.call("check_health", event)["proceed"]


def test_p5_a_guardians_word_counts_after_the_grace(deployment: Deployment, event: dict[str, Any]) -> None:
    grace_s = deployment.specification.settings.thresholds.recovery_grace_s
    deployment.guardian_was_here()
    deployment.change_record(word={"says": "down", "since": int(CLOCK.now() - grace_s + 5)})
    assert not deployment.call("check_health", event)["proceed"]
    deployment.change_record(word={"says": "down", "since": int(CLOCK.now() - grace_s - 1)})
    assert "that its database is down" in deployment.call("check_health", event)["reason"]
    assert deployment.call("check_health", event)["proceed"]


def test_p5_a_record_that_cannot_be_read_says_nothing_of_the_writer(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    deployment.trouble("dynamodb.GetItem", "refused", times=10)
    with pytest.raises(TransientFailure):
        deployment.call("check_health", event)


def test_p5_a_prober_that_fails_says_nothing_of_the_writer(deployment: Deployment, event: dict[str, Any]) -> None:
    def crash(target: str) -> None:
        raise MemoryError("made by the test")

    deployment.databases.script = crash
    with pytest.raises(TransientFailure, match=r"failover-prober-usw2-test failed: .*MemoryError"):
        deployment.call("check_health", event)


@pytest.mark.parametrize(
    "answer", [{}, {"target": "peer", "role": "owner"}, {"target": "peer", "elapsed_ms": -1}, [], "x"]
)
def test_p5_an_answer_that_cannot_be_read_says_nothing_of_the_writer(
    answer: Any, deployment: Deployment, event: dict[str, Any]
) -> None:
    deployment.databases.script = lambda target: answer
    with pytest.raises(ProbeFailed, match="the prober's answer"):
        deployment.call("check_health", event)


def test_p5_the_lag_is_measured_by_heartbeats(deployment: Deployment, event: dict[str, Any]) -> None:
    committed = event["claim"]["heartbeat"]
    deployment.databases.heartbeat[STANDBY] = Beat(committed["seq"] - 2, committed["at"] - 4)
    deployment.databases.replicated_until = committed["at"]
    lag = deployment.call("verify_lag", event)
    assert (lag["source"], lag["heartbeats"]) == ("heartbeats", 2)
    assert lag["lag_ms"] == pytest.approx(4000.0)
    assert lag["age_s"] < 120
    assert lag["proceed"] is False


def test_p5_when_one_heartbeat_is_missing_the_standby_says_how_much_that_is(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    """Whole heartbeats of 2 s against a budget of 1 s made an ordinary failover wait for a person."""
    committed = event["claim"]["heartbeat"]
    deployment.databases.heartbeat[STANDBY] = Beat(committed["seq"] - 1, committed["at"] - 2)
    deployment.databases.replicated_until = committed["at"] - 0.04
    lag = deployment.call("verify_lag", event)
    assert (lag["source"], lag["heartbeats"], lag["proceed"]) == ("the standby's own account", 1, True)
    assert lag["lag_ms"] == pytest.approx(40.0, abs=1.0)


def test_p5_without_heartbeats_nothing_else_decides(deployment: Deployment, event: dict[str, Any]) -> None:
    deployment.databases.replicated_until = CLOCK.now()
    lag = deployment.call("verify_lag", event | {"claim": event["claim"] | {"heartbeat": None}})
    assert (lag["lag_ms"], lag["proceed"]) == (None, False)


def crash(target: str) -> None:
    raise MemoryError("made by the test")


def says_nothing(target: str) -> dict[str, Any]:
    return {"target": target, "role": None, "error": "TimeoutError", "elapsed_ms": 750}


@pytest.mark.parametrize("script", [crash, says_nothing])
def test_p9_a_standby_that_cannot_be_asked_is_asked_again(
    script: Any, deployment: Deployment, event: dict[str, Any]
) -> None:
    """Its silence says nothing of the lag: nobody is woken to accept a loss because of it."""
    deployment.databases.script = script
    with pytest.raises((TransientFailure, StandbySilent)):
        deployment.call("verify_lag", event)
    begun = event | {"claim": event["claim"] | {"only_forward": True}}
    assert deployment.call("verify_lag", begun)["proceed"] is True


def test_p5_an_answer_of_the_standby_that_cannot_be_read_is_an_unknown_lag(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    deployment.databases.script = lambda target: {"target": target, "elapsed_ms": -1}
    assert deployment.call("verify_lag", event)["proceed"] is False


@pytest.mark.parametrize(("mode", "warm"), [("switchover", True), ("failover", False)])
def test_p10_a_switchover_closes_the_writer_for_no_cold_start(mode: str, warm: bool, deployment: Deployment) -> None:
    event = {"run": RUN, "claim": untimed(deployment.call("claim", {"run": RUN, "input": ASKED | {"mode": mode}}))}
    deployment.call("check_health", event)
    assert sorted(deployment.lambdas.warmed_up) == sorted(step.name for step in STEPS if warm)
    assert deployment.databases.warmed_up == (PROBES_OF_THE_STEPS if warm else 0)


def test_p10_a_function_that_does_not_start_holds_no_switchover_up(deployment: Deployment) -> None:
    event = {
        "run": RUN,
        "claim": untimed(deployment.call("claim", {"run": RUN, "input": ASKED | {"mode": "switchover"}})),
    }
    deployment.lambdas.does_not_start.add("promote")
    assert deployment.call("check_health", event)["proceed"]
    assert "promote" in deployment.lambdas.warmed_up


# --- wait_for_lease

SMALL_LAG, LARGE_LAG = {"lag": {"proceed": True}}, {"lag": {"proceed": False}}


def test_p1_a_run_waits_for_the_end_of_the_lease_and_then_commits_to_move(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    ends = CLOCK.now() + 1.5
    deployment.change_record(lease_expires_at=Decimal(str(round(ends, 3))))
    deployment.call("release_claim", {"run": RUN, "progress": {}})
    claim = untimed(deployment.call("claim", {"run": RUN, "input": ASKED}))
    lease = deployment.call("wait_for_lease", {"run": RUN, "claim": claim} | SMALL_LAG)
    assert CLOCK.now() > ends + CLOCK_MARGIN_S
    assert (lease["proceed"], lease["taken"], lease["approved_by"]) == (True, True, None)
    assert lease["lease_expires_at"] == pytest.approx(ends, abs=0.001)
    assert deployment.lock()["phase"] == "moving"  # type: ignore[index]


def test_p1_a_run_that_has_committed_to_move_waits_for_the_end_of_the_guardians_word_and_no_longer(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    """It was given a moment before the lease's end: the guardian rests unfenced, and may not have seen the run."""
    ends = CLOCK.now() + 1.0
    word = {"says": "down", "since": int(ends) - 30, "rests_until": Decimal(str(round(ends, 3)))}
    deployment.change_record(word=word)
    lease = deployment.call("wait_for_lease", event | SMALL_LAG)
    assert lease["taken"]
    assert ends + CLOCK_MARGIN_S < CLOCK.now() < ends + CLOCK_MARGIN_S + 1.5
    deployment.change_record(word=word | {"rests_until": int(ends) + 60})
    with pytest.raises(LeaseLive, match="guardian may count on its word"):
        deployment.call("wait_for_lease", event | SMALL_LAG)
    with pytest.raises(WordLives):
        deployment.call("detach_secondary", event)
    assert deployment.lock()["move_requests"] == 0  # type: ignore[index]


def test_p1_a_lease_that_lasts_is_asked_for_again_and_nothing_is_committed(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    deployment.call("release_claim", {"run": RUN, "progress": {}})
    deployment.guardian_was_here()
    claim = untimed(deployment.call("claim", {"run": RUN, "input": ASKED}))
    began = CLOCK.now()
    with pytest.raises(LeaseLive, match="the writer's lease may be alive for"):
        deployment.call("wait_for_lease", {"run": RUN, "claim": claim} | SMALL_LAG)
    assert CLOCK.now() - began < 5  # the state's time limit
    assert deployment.lock()["phase"] == "checking"  # type: ignore[index]


def test_p1_a_writer_that_renews_stops_the_run(deployment: Deployment, event: dict[str, Any]) -> None:
    deployment.guardian_was_here()
    lease = deployment.call("wait_for_lease", event | SMALL_LAG)
    assert (lease["proceed"], lease["taken"]) == (False, False)
    assert "the writer in us-east-1 lives" in lease["reason"]
    assert deployment.lock()["phase"] == "checking"  # type: ignore[index]


def test_p1_a_renewal_in_the_last_moment_is_seen(deployment: Deployment, event: dict[str, Any]) -> None:
    """Between the run's look and its commit the guardian renews."""
    renewed: list[str] = []

    def renew(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not renewed:
            renewed.append(operation)
            deployment.guardian_was_here()

    deployment.gate.before = renew
    lease = deployment.call("wait_for_lease", event | SMALL_LAG)
    assert renewed
    assert (lease["proceed"], lease["taken"]) == (False, False)
    assert deployment.lock()["phase"] == "checking"  # type: ignore[index]


def test_p2_a_run_that_lost_the_lock_does_not_wait(deployment: Deployment, event: dict[str, Any]) -> None:
    with pytest.raises(LockLost, match="run run-2 may not move the writer: another run holds the lock"):
        deployment.call(
            "wait_for_lease", event | {"run": "run-2"} | SMALL_LAG | {"claim": event["claim"] | {"run": "run-2"}}
        )


def test_p3_a_run_that_has_committed_goes_on(deployment: Deployment, moving: dict[str, Any]) -> None:
    before = deployment.record()
    assert deployment.call("wait_for_lease", moving | SMALL_LAG)["taken"] is True
    assert deployment.record() == before


def test_p5_a_run_that_has_not_committed_by_itself_asks_about_its_loss(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    """It took over a switchover, whose lock moves already: how much that would lose as a failover nobody has judged."""
    before = deployment.record()
    lease = deployment.call("wait_for_lease", moving | LARGE_LAG)
    assert (lease["proceed"], lease["taken"]) == (True, False)
    assert deployment.record() == before


@pytest.mark.parametrize(
    ("given", "accepted", "taken", "by"),
    [
        (LARGE_LAG, False, False, None),
        ({"lag": {}}, False, False, None),
        (SMALL_LAG, False, True, None),
        (LARGE_LAG, True, True, None),
        (LARGE_LAG | {"approval": {"approved_by": "grace"}}, False, True, "grace"),
    ],
    ids=["large", "unknown", "small", "accepted in the request", "approved"],
)
def test_p5_the_gate_opens_by_a_small_lag_or_by_a_person(
    given: dict[str, Any], accepted: bool, taken: bool, by: str | None, deployment: Deployment, event: dict[str, Any]
) -> None:
    claim = event["claim"] | {"accept_data_loss": accepted}
    lease = deployment.call("wait_for_lease", event | given | {"claim": claim})
    assert (lease["proceed"], lease["taken"], lease["approved_by"]) == (True, taken, by)
    assert deployment.lock()["phase"] == ("moving" if taken else "checking")  # type: ignore[index]


@pytest.mark.parametrize("answer", [None, "yes", {}, {"approved_by": ""}, {"approved_by": True}, {"approved": "grace"}])
def test_p5_an_answer_that_names_nobody_is_refused(answer: Any, deployment: Deployment, event: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="the answer to the approval"):
        deployment.call("wait_for_lease", event | LARGE_LAG | {"approval": answer})
    assert deployment.lock()["phase"] == "checking"  # type: ignore[index]


# --- ask_approval


def test_p5_people_in_both_regions_are_asked_with_the_verb_and_the_deadline(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    before = deployment.record()
    lag = {"proceed": False, "reason": "replication lag is unknown"}
    result = deployment.call("ask_approval", event | {"token": "AQC/k+==", "lag": lag})
    assert (len(result["sent"]), result["failed"]) == (2, {})
    ((subject, text),) = deployment.messages(STANDBY)
    assert deployment.messages(WRITER) == [(subject, text)]
    assert "APPROVAL" in subject
    assert "The run is waiting for your answer: replication lag is unknown." in text
    assert "\nfailoverctl approve run-1 --suffix test\n" in text
    assert "AQC/k+==" not in text  # whoever reads a mail cannot answer by it
    assert deployment.record() == before


@pytest.mark.parametrize("missing", ["claim", "lag"])
def test_a_question_without_a_claim_or_a_reason_is_not_asked(
    missing: str, deployment: Deployment, event: dict[str, Any]
) -> None:
    whole = event | {"token": "AQC", "lag": {"proceed": False, "reason": "unknown"}}
    with pytest.raises(InvalidRequest, match=f"field '{missing}' is missing"):
        deployment.call("ask_approval", {name: value for name, value in whole.items() if name != missing})
    assert deployment.messages(STANDBY) == []


# --- detach_secondary


def test_the_detach_takes_the_standbys_cluster_out_and_no_other(deployment: Deployment, moving: dict[str, Any]) -> None:
    assert deployment.members() == {WRITER, STANDBY}
    result = deployment.call("detach_secondary", moving)
    assert (result["cluster"], result["doubt"]) == ("payments-usw2-test", None)
    assert deployment.members() == {WRITER}


def test_p2_nobody_detaches_without_the_lock(deployment: Deployment, moving: dict[str, Any]) -> None:
    with pytest.raises(LockLost):
        deployment.call("detach_secondary", moving | {"run": "run-2"})
    deployment.call("release_claim", {"run": RUN, "progress": {}})
    with pytest.raises(LockLost, match="nobody holds it"):
        deployment.call("detach_secondary", moving)
    assert deployment.members() == {WRITER, STANDBY}


def requests(deployment: Deployment, operation: str) -> int:
    return [seen for _, _, seen in deployment.gate.seen].count(operation)


def test_p3_another_detach_finds_the_work_done_and_leaves_it_to_a_session_that_can_write(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    assert deployment.call("detach_secondary", moving)["doubt"] is None
    again = deployment.call("detach_secondary", moving)
    assert "RDS refuses to detach" in again["doubt"]
    claim = deployment.call("claim", {"run": "run-2", "input": ASKED | {"resumes": RUN}})
    of_other_run = deployment.call("detach_secondary", {"run": "run-2", "claim": claim})
    assert "RDS refuses to detach" in of_other_run["doubt"]
    assert deployment.members() == {WRITER}


@pytest.mark.parametrize(("kind", "status"), [("unanswered", 0), ("ServiceUnavailable", 503)])
@pytest.mark.parametrize("arrives", [True, False])
def test_p9_a_detach_without_an_answer_is_neither_done_nor_refused(
    kind: str, status: int, arrives: bool, deployment: Deployment, moving: dict[str, Any]
) -> None:
    before = CLOCK.now()
    deployment.trouble("rds.RemoveFromGlobalCluster", kind, status=status, after=arrives)
    result = deployment.call("detach_secondary", moving)
    assert result["doubt"]
    assert before <= result["asked_at"] <= CLOCK.now()
    assert deployment.lock()["move_requests"] == 1  # type: ignore[index]
    # What comes after that, busy or refused, is no answer to the first request.
    deployment.trouble("rds.RemoveFromGlobalCluster", "InvalidDBClusterStateFault")
    assert "it is at work" in deployment.call("detach_secondary", moving)["doubt"]
    deployment.trouble("rds.RemoveFromGlobalCluster", "AccessDenied", status=403)
    assert "RDS refuses to detach" in deployment.call("detach_secondary", moving)["doubt"]
    lock = deployment.lock()
    assert lock is not None
    assert (lock["phase"], lock["move_requests"]) == ("moving", 3)


@pytest.mark.parametrize("kind", ["InvalidDBClusterStateFault", "InvalidGlobalClusterStateFault"])
def test_p10_a_failover_that_rds_is_too_busy_for_goes_back_to_looking(
    kind: str, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.call("repoint_dns", moving)
    deployment.trouble("rds.RemoveFromGlobalCluster", kind)
    with pytest.raises(RdsBusy, match="asking RDS to detach payments-usw2-test from payments-global-test"):
        deployment.call("detach_secondary", moving)
    lock = deployment.lock()
    assert lock is not None
    assert (lock["phase"], lock["move_requests"], lock["dns_engaged"]) == ("checking", 0, False)
    assert not deployment.is_switched(STANDBY)


@pytest.mark.parametrize(("kind", "status"), [("Throttling", 400), ("refused", 0)])
def test_p10_a_request_that_rds_has_not_looked_at_leaves_no_note(
    kind: str, status: int, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.trouble("rds.RemoveFromGlobalCluster", kind, status=status)
    with pytest.raises(TransientFailure):
        deployment.call("detach_secondary", moving)
    assert deployment.lock()["move_requests"] == 0  # type: ignore[index]


def test_p1_a_lock_is_not_given_back_once_the_cluster_is_detached(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.call("detach_secondary", moving)
    with pytest.raises(HalfWay, match="keeps the lock"):
        deployment.call("release_claim", {"run": RUN, "progress": {}})
    assert deployment.lock() is not None


@pytest.mark.parametrize(
    ("kind", "status"), [("AccessDenied", 403), ("GlobalClusterNotFoundFault", 404), ("InvalidParameterValue", 400)]
)
def test_a_rejected_detach_names_the_cluster_and_the_remedy_and_leaves_no_note(
    kind: str, status: int, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.trouble("rds.RemoveFromGlobalCluster", kind, status=status)
    with pytest.raises(
        DetachRejected,
        match=r"RDS refuses to detach payments-usw2-test from payments-global-test: .*then start the workflow again",
    ):
        deployment.call("detach_secondary", moving)
    assert deployment.members() == {WRITER, STANDBY}
    assert deployment.lock()["move_requests"] == 0  # type: ignore[index]


def test_p9_a_detach_needs_no_token(deployment: Deployment, moving: dict[str, Any]) -> None:
    """The table of tokens may be away: the lock's note is what makes the request safe."""
    deployment.trouble("dynamodb.PutItem", "InternalServerError", status=500, times=10)
    deployment.call("detach_secondary", moving)
    deployment.call("repoint_dns", moving)
    assert deployment.members() == {WRITER}
    assert deployment.is_switched(STANDBY)
    assert deployment.tokens() == []


# --- promote


def test_a_promotion_is_over_when_a_session_reaches_a_writer(deployment: Deployment, moving: dict[str, Any]) -> None:
    detach(deployment, moving)
    deployment.set_cluster_status("promoting")  # what RDS says does not matter
    result = deployment.call("promote", moving | FIRST_LOOK)
    assert result["region"] == STANDBY


def test_a_promotion_that_is_not_over_says_what_it_has_seen(deployment: Deployment, moving: dict[str, Any]) -> None:
    before = CLOCK.now()
    result = deployment.call("promote", moving | FIRST_LOOK)
    assert result["next"] == "wait"
    assert result["seen"] == (
        "the cluster is available, a member of the global database as secondary; a session on it reached a reader"
    )
    assert 6 <= CLOCK.now() - before < 16  # its state's time limit


def test_a_promotion_that_has_reached_a_reader_says_so(deployment: Deployment, moving: dict[str, Any]) -> None:
    reader = {"target": "own", "role": "reader", "region": STANDBY, "error": None, "elapsed_ms": 1.0}
    deployment.databases.script = lambda target: reader
    result = deployment.call("promote", moving | FIRST_LOOK)
    assert result["next"] == "wait"
    assert "a session on it reached a reader" in result["seen"]


def test_p9_a_request_that_has_left_no_trace_for_30_s_is_sent_again(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.trouble("rds.RemoveFromGlobalCluster", "unanswered")
    request = {"result": deployment.call("detach_secondary", moving)}
    looks: list[dict[str, Any]] = [{}]
    while looks[-1].get("next") in (None, "wait"):
        before = {"result": looks[-1]} if looks[-1] else {}
        looks.append(deployment.call("promote", moving | {"request": request, "before": before}))
    assert looks[-1]["next"] == "ask_again"
    assert 30 <= looks[-1]["looked_until"] - request["result"]["asked_at"] < 36


def test_p9_a_request_is_not_sent_again_while_rds_shows_anything_of_it(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.set_cluster_status("promoting")
    long_ago = {"result": {"asked_at": CLOCK.now() - 600}}
    look = deployment.call("promote", moving | {"request": long_ago, "before": {}})
    assert (look["next"], look["quiet_since"]) == ("wait", None)
    # Available for some seconds, as before "promoting": the 30 s begin anew.
    deployment.set_cluster_status("available")
    look = deployment.call("promote", moving | {"request": long_ago, "before": {"result": look}})
    assert look["next"] == "wait"
    assert look["quiet_since"] > CLOCK.now() - 16


def test_p7_it_is_time_to_tell_people_after_60_s_and_every_5_min(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.set_cluster_status("promoting")
    began = float(deployment.lock()["moving_since"])  # type: ignore[index]
    told: list[float] = []
    look: dict[str, Any] = {}
    while CLOCK.now() < began + 700:
        look = deployment.call("promote", moving | {"request": {}, "before": {"result": look} if look else {}})
        told += [look["looked_until"] - began] if look["tell"] else []
        CLOCK.sleep(10)
    assert [moment // 20 * 20 for moment in told] == [60, 300, 600]


@pytest.mark.parametrize(
    "answer", [{"role": "reader"}, {"error": "no login", "refused": "refuses the monitor's login"}]
)
def test_p9_a_new_writer_that_is_not_found_by_its_name_is_found_by_the_clusters_endpoint(
    answer: dict[str, Any], deployment: Deployment, moving: dict[str, Any]
) -> None:
    """It is an instance that no setting names, or a certificate or a token is not for an instance's name."""
    detach(deployment, moving)
    instances = {"target": "own_instances", "role": None, "region": STANDBY, "error": None, "elapsed_ms": 1.0} | answer
    asked: list[str] = []

    def script(target: str) -> dict[str, Any] | None:
        asked.append(target)
        return instances if target == "own_instances" else None

    deployment.databases.script = script
    before = CLOCK.now()
    assert deployment.call("promote", moving | FIRST_LOOK)["next"] == "done"
    assert CLOCK.now() - before < 6
    assert asked.count("own") == 1


def test_a_cluster_that_is_not_promoted_yet_is_not_asked_by_its_endpoint(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    """Its absence would be kept by the resolver that is asked for it."""
    asked: list[str] = []
    reader = {"target": "own_instances", "role": "reader", "region": STANDBY, "error": None, "elapsed_ms": 1.0}

    def script(target: str) -> dict[str, Any]:
        asked.append(target)
        return reader

    deployment.databases.script = script
    assert deployment.call("promote", moving | FIRST_LOOK)["next"] == "wait"
    detach(deployment, moving)
    deployment.set_cluster_status("promoting")
    assert deployment.call("promote", moving | FIRST_LOOK)["next"] == "wait"
    assert set(asked) == {"own_instances"}


@pytest.mark.parametrize("status", ["failed", "deleting", "stopped", "inaccessible-encryption-credentials"])
def test_a_promotion_that_cannot_succeed_is_given_up(
    status: str, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.set_cluster_status(status)
    with pytest.raises(PromotionFailed, match=f"will not become a writer by itself: the cluster is {status}"):
        deployment.call("promote", moving | FIRST_LOOK)


def test_a_prober_that_crashes_does_not_end_a_promotion(deployment: Deployment, moving: dict[str, Any]) -> None:
    def crash(target: str) -> None:
        raise MemoryError("made by the test")

    deployment.databases.script = crash
    result = deployment.call("promote", moving | FIRST_LOOK)
    assert result["next"] == "wait"
    assert "a session on it was not tried: failover-prober-usw2-test failed" in result["seen"]


def test_p1_a_fence_that_has_come_with_the_data_is_lifted_on_the_new_writer(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.databases.fenced[STANDBY] = True
    detach(deployment, moving)
    result = deployment.call("promote", moving | FIRST_LOOK)
    assert result["region"] == STANDBY
    assert result["heartbeat"] == moving["claim"]["heartbeat"]
    assert deployment.databases.takes_writes(STANDBY)


def test_p1_nobody_lifts_it_without_the_lock(deployment: Deployment, moving: dict[str, Any]) -> None:
    deployment.databases.fenced[STANDBY] = True
    detach(deployment, moving)
    deployment.change_record(transition=deployment.lock() | {"run": "run-2"})  # type: ignore[operator]
    with pytest.raises(LockLost):
        deployment.call("promote", moving | FIRST_LOOK)
    assert deployment.databases.fenced[STANDBY]


# --- repoint_dns


def test_the_switch_is_engaged_where_the_writer_goes(deployment: Deployment, moving: dict[str, Any]) -> None:
    assert (deployment.is_switched(WRITER), deployment.is_switched(STANDBY)) == (True, False)
    result = deployment.call("repoint_dns", moving)
    assert untimed(result) == {"name": deployment.specification.zone.writer_name, "region": STANDBY, "engaged": True}
    assert (deployment.is_switched(WRITER), deployment.is_switched(STANDBY)) == (False, True)


@pytest.mark.parametrize("endpoint", ["does not resolve", "is not reported"])
def test_clients_are_not_sent_to_a_name_that_has_no_address(
    endpoint: str, deployment: Deployment, moving: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their resolvers would keep that it has none, for as long as RDS's zone says; so the commit sends them."""
    if endpoint == "does not resolve":
        deployment.endpoints_resolve = False
    else:
        monkeypatch.setattr(DBCluster, "endpoint", property(lambda _: ""))
    assert deployment.call("repoint_dns", moving)["engaged"] is False
    assert not deployment.is_switched(STANDBY)
    detach(deployment, moving)
    deployment.call("commit_writer", moving)
    assert deployment.is_switched(STANDBY)


@pytest.mark.parametrize("kind", ["InternalFailure", "unanswered", "refused"])
def test_p10_an_rds_that_cannot_say_whether_there_is_an_endpoint_keeps_no_client_away(
    kind: str, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.trouble("rds.DescribeDBClusters", kind, status=500, times=10)
    assert deployment.call("repoint_dns", moving)["engaged"] is True
    assert deployment.is_switched(STANDBY)


def test_p9_an_rds_that_hangs_is_given_up_within_the_states_limit(deployment: Deployment) -> None:
    """Otherwise the state is killed and begun again for as long as RDS hangs, and the move waits for it."""
    with deployment.lambdas.environment(STANDBY, "repoint_dns") as step:
        limits = step.DATABASE._client.meta.config
    waits_s = limits.connect_timeout + limits.read_timeout + step.ANSWERS_WITHIN_S
    assert limits.retries["total_max_attempts"] == 1
    assert waits_s <= limit("RepointDns") - 2


def test_p4_repointing_calls_nothing_but_this_regions_table_and_rds(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    """No database, and no prober: whoever is in the VPC shares its resolver with the applications there."""
    deployment.gate.seen.clear()
    deployment.call("repoint_dns", moving)
    assert {(region, operation.split(".")[0]) for _, region, operation in deployment.gate.seen} == {
        (STANDBY, "dynamodb"),
        (STANDBY, "rds"),
    }


def test_p2_nobody_repoints_without_the_lock(deployment: Deployment, moving: dict[str, Any]) -> None:
    with pytest.raises(LockLost):
        deployment.call("repoint_dns", moving | {"run": "run-2"})
    assert not deployment.is_switched(STANDBY)


# --- commit_writer and verify_recovery


def test_p3_a_commit_is_repeated_without_effect(deployment: Deployment, moving: dict[str, Any]) -> None:
    first = untimed(deployment.call("commit_writer", moving))
    assert first == {"writer_region": STANDBY, "epoch": 2}
    before = deployment.record()
    assert untimed(deployment.call("commit_writer", moving)) == first
    assert deployment.record() == before


def test_p7_a_recovery_is_proved_by_a_write_through_the_public_name(
    deployment: Deployment, moving: dict[str, Any]
) -> None:
    detach(deployment, moving)
    with pytest.raises(NotRecoveredYet, match="no write through the public name yet: TimeoutError"):
        deployment.call("verify_recovery", moving)
    deployment.call("repoint_dns", moving)
    before = CLOCK.now()
    result = deployment.call("verify_recovery", moving)
    assert result["region"] == STANDBY
    assert before <= result["proved_at"] <= CLOCK.now()
    assert deployment.databases.proofs == [(STANDBY, RUN, 2)]
    deployment.call("verify_recovery", moving)
    assert deployment.databases.proofs == [(STANDBY, RUN, 2)]


@pytest.mark.parametrize(
    ("role", "region", "message"),
    [
        ("writer", WRITER, "the public name still leads to us-east-1, not to us-west-2"),
        ("reader", STANDBY, "no write through the public name yet: it leads to a reader"),
        ("writer", None, "the public name still leads to None"),
    ],
)
def test_p7_anything_but_the_new_writer_is_no_recovery(
    role: str, region: str | None, message: str, deployment: Deployment, moving: dict[str, Any]
) -> None:
    answer = {"target": "writer", "role": role, "region": region, "error": None, "elapsed_ms": 1.0}
    deployment.databases.script = lambda target: answer
    with pytest.raises(NotRecoveredYet, match=message):
        deployment.call("verify_recovery", moving)


# --- release_claim


def test_p3_a_lock_is_given_back_once(deployment: Deployment, moving: dict[str, Any]) -> None:
    deployment.call("repoint_dns", moving)
    assert untimed(deployment.call("release_claim", {"run": "run-2", "progress": {}})) == {"released": False}
    assert deployment.is_switched(STANDBY)
    assert untimed(deployment.call("release_claim", {"run": RUN, "progress": {}})) == {"released": True}
    assert untimed(deployment.call("release_claim", {"run": RUN, "progress": {}})) == {"released": False}
    assert deployment.lock() is None
    assert not deployment.is_switched(STANDBY)


@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_p1_a_lock_is_given_back_by_a_run_that_committed_to_move_but_moved_nothing(
    mode: str, deployment: Deployment, moving: dict[str, Any]
) -> None:
    deployment.change_record(transition=deployment.lock() | {"mode": mode})  # type: ignore[operator]
    assert untimed(deployment.call("release_claim", {"run": RUN, "progress": {}})) == {"released": True}
    assert deployment.lock() is None


# --- switch_over

SWITCH = ASKED | {"mode": "switchover"}


@pytest.fixture
def switching(deployment: Deployment) -> dict[str, Any]:
    """The event of a switchover's steps; its writer is fenced, and its lease given up."""
    event = {"run": RUN, "claim": untimed(deployment.call("claim", {"run": RUN, "input": SWITCH}))}
    assert deployment.call("fence_old_writer", event)["fenced"]
    assert deployment.call("wait_for_lease", event)["taken"]
    return event


def switched(deployment: Deployment) -> bool:
    return deployment.primaries() == {STANDBY}


def test_p1_a_switchover_commits_to_move_once_it_sees_the_writer_fenced(
    deployment: Deployment, switching: dict[str, Any]
) -> None:
    record = deployment.record()
    assert record["transition"]["phase"] == "moving"
    assert record["lease_expires_at"] > CLOCK.now(), "its lease lives, and does not matter"
    before = deployment.record()
    assert deployment.call("wait_for_lease", switching)["taken"] is True
    assert deployment.record() == before


@pytest.mark.parametrize("world", ["not fenced", "not reached"])
def test_p1_a_switchover_does_not_commit_to_move_without_seeing_the_fence(world: str, deployment: Deployment) -> None:
    event = {"run": RUN, "claim": untimed(deployment.call("claim", {"run": RUN, "input": SWITCH}))}
    deployment.databases.up[WRITER] = world != "not reached"
    before = deployment.record()
    with pytest.raises(FenceFailed, match="the writer is not seen to be fenced"):
        deployment.call("wait_for_lease", event)
    assert deployment.record() == before


def test_a_switchover_is_asked_of_the_writers_region_in_the_role_for_it(
    deployment: Deployment, switching: dict[str, Any]
) -> None:
    deployment.gate.seen.clear()
    result = deployment.call("switch_over", switching)
    assert (result["cluster"], result["doubt"]) == ("payments-usw2-test", None)
    asked = [(region, operation) for _, region, operation in deployment.gate.seen]
    assert (WRITER, "rds.SwitchoverGlobalCluster") in asked
    assert (STANDBY, "sts.AssumeRole") in asked
    deployment.wait_for(lambda: switched(deployment))


def test_p3_a_switchover_is_asked_for_once(deployment: Deployment, switching: dict[str, Any]) -> None:
    deployment.call("switch_over", switching)
    deployment.wait_for(lambda: switched(deployment))
    deployment.gate.seen.clear()
    again = deployment.call("switch_over", switching)
    assert again["doubt"] == "an earlier request may be under way or done"
    assert requests(deployment, "rds.SwitchoverGlobalCluster") == 0


def test_p3_a_switchover_whose_answer_was_lost_is_seen_at_work(
    deployment: Deployment, switching: dict[str, Any]
) -> None:
    deployment.trouble("rds.SwitchoverGlobalCluster", "unanswered", after=True)
    assert deployment.call("switch_over", switching)["doubt"]
    assert deployment.call("switch_over", switching)["doubt"]
    assert requests(deployment, "rds.SwitchoverGlobalCluster") == 1
    deployment.wait_for(lambda: switched(deployment))


def test_p10_a_switchover_is_asked_for_twice_at_most(deployment: Deployment, switching: dict[str, Any]) -> None:
    deployment.trouble("rds.SwitchoverGlobalCluster", "unanswered", times=10)
    for _ in range(5):
        deployment.call("switch_over", switching)
    assert requests(deployment, "rds.SwitchoverGlobalCluster") == 2
    assert deployment.lock()["move_requests"] == 2  # type: ignore[index]


def test_p9_an_old_region_that_is_dark_does_not_end_a_switchover_for_which_rds_was_asked(
    deployment: Deployment, switching: dict[str, Any]
) -> None:
    deployment.trouble("rds.SwitchoverGlobalCluster", "unanswered")
    deployment.call("switch_over", switching)
    deployment.trouble("sts.AssumeRole", "ServiceUnavailable", status=503, times=10)
    assert "assuming " in deployment.call("switch_over", switching)["doubt"]


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("InvalidGlobalClusterStateFault", RdsBusy, "asking RDS to switch payments-global-test over to payments-usw2"),
        ("InvalidDBClusterStateFault", RdsBusy, "asking RDS to switch payments-global-test over to payments-usw2"),
        ("AccessDenied", SwitchoverRejected, "RDS refuses to switch payments-global-test over to payments-usw2-test"),
    ],
)
def test_p10_a_switchover_that_rds_refuses_leaves_no_note(
    kind: str, error: type[FailoverError], says: str, deployment: Deployment, switching: dict[str, Any]
) -> None:
    deployment.trouble("rds.SwitchoverGlobalCluster", kind)
    with pytest.raises(error, match=says):
        deployment.call("switch_over", switching)
    assert deployment.primaries() == {WRITER}
    assert deployment.lock()["move_requests"] == 0  # type: ignore[index]


def test_p2_nobody_switches_over_without_having_committed_to(deployment: Deployment) -> None:
    event = {"run": RUN, "claim": untimed(deployment.call("claim", {"run": RUN, "input": SWITCH}))}
    with pytest.raises(LockLost, match="in phase checking"):
        deployment.call("switch_over", event)
    assert deployment.primaries() == {WRITER}


def test_p1_a_lock_is_not_given_back_once_the_roles_have_changed(
    deployment: Deployment, switching: dict[str, Any]
) -> None:
    deployment.call("switch_over", switching)
    with pytest.raises(HalfWay, match="keeps the lock"):
        deployment.call("release_claim", {"run": RUN, "progress": {}})
    assert deployment.lock() is not None


# --- record_run


def test_p7_the_record_of_a_run_is_kept_and_returned(deployment: Deployment, event: dict[str, Any]) -> None:
    ended = {"run": RUN, "outcome": "refused", "progress": {"claim": event["claim"]}}
    result = deployment.call("record_run", ended | {"started_at": "2027-01-15T12:00:00.250Z"})
    kept = deployment.run_record(RUN)
    assert kept is not None
    assert (kept["run"], kept["outcome"], kept["started_by"]) == (RUN, "refused", "ada")
    assert float(kept["started_at"]) == result["started_at"] == 1_800_014_400.25
    assert set(kept) == set(untimed(result))


def test_p3_a_record_that_is_written_again_takes_the_place_of_the_first(deployment: Deployment) -> None:
    ended = {"run": RUN, "progress": {}, "started_at": "2027-01-15T12:00:00Z"}
    deployment.call("record_run", ended | {"outcome": "aborted"})
    deployment.call("record_run", ended | {"outcome": "needs_person"})
    kept = deployment.run_record(RUN)
    assert kept is not None
    assert kept["outcome"] == "needs_person"


def test_a_record_without_a_start_is_refused(deployment: Deployment) -> None:
    with pytest.raises(InvalidRequest, match="field 'started_at' is missing"):
        deployment.call("record_run", {"run": RUN, "outcome": "aborted", "progress": {}})
    assert deployment.run_record(RUN) is None


# --- notify


END: dict[str, Any] = {
    "run": RUN,
    "outcome": "aborted",
    "progress": {"error": {"Error": "DetachRejected", "Cause": "no"}},
}


def test_both_regions_are_told(deployment: Deployment) -> None:
    result = deployment.call("notify", END)
    assert len(result["sent"]) == 2
    assert result["failed"] == {}
    ((subject, text),) = deployment.messages(STANDBY)
    assert deployment.messages(WRITER) == [(subject, text)]
    assert subject == "Failover aborted: the writer stays in its region"


def test_p3_a_message_is_sent_once_and_another_outcome_is_another_message(deployment: Deployment) -> None:
    first = untimed(deployment.call("notify", END))
    assert untimed(deployment.call("notify", END)) == first
    assert len(deployment.messages(STANDBY)) == 1
    deployment.call("notify", END | {"outcome": "refused"})
    assert len(deployment.messages(STANDBY)) == 2


@pytest.mark.parametrize("lost", [WRITER, STANDBY])
def test_p4_one_topic_is_enough(lost: str, deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "refused", region=lost, times=10)
    kept = STANDBY if lost == WRITER else WRITER
    result = deployment.call("notify", END)
    assert [topic.split(":")[3] for topic in result["sent"]] == [kept]
    (why,) = result["failed"].values()
    assert "EndpointConnectionError" in why
    assert len(deployment.messages(kept)) == 1
    assert deployment.messages(lost) == []


def test_p4_the_other_regions_topic_is_tried_once(deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "refused", region=WRITER, times=10)
    deployment.gate.seen.clear()
    deployment.call("notify", END)
    assert [region for _, region, operation in deployment.gate.seen if operation == "sns.Publish"].count(WRITER) == 1


def test_no_topic_at_all_is_an_error_that_names_both(deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "InternalError", status=500, times=10)
    with pytest.raises(NotificationFailed) as raised:
        deployment.call("notify", END)
    for region in (WRITER, STANDBY):
        assert f"arn:aws:sns:{region}:123456789012:{deployment.specification.regions[region].topic}" in str(
            raised.value
        )
    assert deployment.tokens() == []


def test_p7_a_part_that_cannot_be_read_keeps_nobody_from_the_message(deployment: Deployment) -> None:
    deployment.call("notify", END | {"progress": END["progress"] | {"claim": {"epoch": "two"}, "moved": 5}})
    ((_, text),) = deployment.messages(STANDBY)
    assert "Error: DetachRejected: no" in text
    assert "Not readable: the step's event, progress, claim: field 'decision' is missing" in text
    assert "Not readable: the step's event, progress, moved is 5; it must be a JSON object" in text


def test_p7_nor_that_of_a_re_protection(deployment: Deployment) -> None:
    ended = {"run": RUN, "outcome": "needs_person", "started_at": "2027-01-15T12:00:00Z", "progress": {"order": 5}}
    result = deployment.call("notify_reprotection", ended)
    ((subject, text),) = deployment.messages(STANDBY)
    assert subject == "RE-PROTECTION STOPPED: a person is needed"
    assert "Not readable: the step's event, progress, order is 5" in text
    assert "\nfailoverctl start --mode reprotect " in text
    assert (result["outcome"], result["epoch"]) == ("needs_person", None)


# --- ask_retirement


@pytest.mark.parametrize("missing", ["snapshot", "salvage"])
def test_a_retirement_is_not_asked_for_without_saying_what_is_kept(missing: str, deployment: Deployment) -> None:
    whole: dict[str, Any] = {
        "run": RUN,
        "order": asdict(Order("proceed", "free", RUN, "ada", STANDBY, WRITER, 2)),
        "token": "AQC",
        "snapshot": asdict(Snapshot("snapshot-1", "cluster-A", "available", 100, 1.0)),
        "salvage": asdict(Salvage(True, Place(3), part=1, kept_at="s3://kept/")),
    }
    with pytest.raises(InvalidRequest, match=f"field '{missing}' is missing"):
        deployment.call("ask_retirement", {name: value for name, value in whole.items() if name != missing})
    assert deployment.messages(STANDBY) == []
    deployment.call("ask_retirement", whole)
    ((subject, _),) = deployment.messages(STANDBY)
    assert subject == "RE-PROTECTION ASKS: may the old cluster in us-east-1 be retired?"


# --- what every step has in common


MALFORMED = ({"run": RUN}, {"run": RUN, "claim": {}}, {"run": RUN, "claim": 5}, {"run": RUN, "claim": {"epoch": "one"}})


@pytest.mark.parametrize(
    "step",
    [
        "check_health",
        "verify_lag",
        "wait_for_lease",
        "ask_approval",
        "fence_old_writer",
        "switch_over",
        "promote",
        "commit_writer",
        "verify_recovery",
    ],
)
def test_a_malformed_event_is_refused_by_every_step(step: str, deployment: Deployment) -> None:
    before = deployment.record()
    for broken in ({}, *MALFORMED):
        with pytest.raises(InvalidRequest, match="the step's event"):
            deployment.call(step, broken)
    assert deployment.record() == before


@pytest.mark.parametrize("step", ["detach_secondary", "repoint_dns"])
def test_a_malformed_event_is_refused_by_steps_with_tokens_and_leaves_none(step: str, deployment: Deployment) -> None:
    for broken in MALFORMED:
        with pytest.raises(InvalidRequest, match="the step's event"):
            deployment.call(step, broken)
    assert deployment.tokens() == []


def test_every_invocation_is_counted_by_step_and_result(
    deployment: Deployment, moving: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    deployment.call("commit_writer", moving)
    with pytest.raises(LockLost):
        deployment.call("repoint_dns", moving | {"run": "run-2"})
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert [(metric["Step"], metric["Result"]) for metric in metrics] == [
        ("commit_writer", "Succeeded"),
        ("repoint_dns", "LockLost"),
    ]
    for metric in metrics:
        (kind,) = metric["_aws"]["CloudWatchMetrics"]
        assert kind["Namespace"] == "FailoverOrchestrator"
        assert kind["Metrics"] == [{"Name": "StepDuration", "Unit": "Milliseconds"}]


def test_log_lines_carry_the_run_and_never_that_of_the_invocation_before(
    deployment: Deployment, moving: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    deployment.call("commit_writer", moving)
    with deployment.lambdas.environment(STANDBY, "commit_writer") as module:
        assert module.logger.get_current_keys()["run"] == RUN
    with pytest.raises(InvalidRequest):
        deployment.call("commit_writer", {})
    with deployment.lambdas.environment(STANDBY, "commit_writer") as module:
        assert "run" not in module.logger.get_current_keys()
