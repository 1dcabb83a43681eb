"""The monitor: what it publishes where, and what it does not say when it knows nothing."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from handlers.core.lease import FENCE_BEFORE_S, LEASE_S, REST_S, TICK_S, TIMES_IN_A_ROW
from handlers.core.sessions import PROBES_OF_THE_STEPS
from handlers.gateways.event_bus import EventBus
from orchestration.specification import failover
from tests.deployment import CLOCK, STANDBY, WRITER, Context, Deployment
from tests.deployment.account import decimal
from tests.deployment.clock import patiently
from tests.deployment.monitors import new_watch, tick

NAMESPACE = "FailoverOrchestrator"
STEPS = {row.name for row in failover.STEPS}


def published(deployment: Deployment, region: str, name: str, from_region: str = "") -> list[float]:
    """The values of a metric in CloudWatch, one a second, oldest first."""
    dimensions = [{"Name": "GlobalCluster", "Value": deployment.specification.global_identifier}]
    if from_region:
        dimensions.append({"Name": "FromRegion", "Value": from_region})
    now = datetime.datetime.fromtimestamp(CLOCK.now(), datetime.UTC)
    answer = deployment.client("cloudwatch", region).get_metric_data(
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions},
                    "Period": 1,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=now - datetime.timedelta(seconds=100),
        EndTime=now + datetime.timedelta(seconds=5),
        ScanBy="TimestampAscending",
    )
    return answer["MetricDataResults"][0]["Values"]  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _far_from_the_test_before() -> None:
    CLOCK.sleep(1000)


def watch(deployment: Deployment, region: str, ticks: int) -> None:
    """Let a monitor look that often, every 2 s."""
    with deployment.lambdas.environment(region, "monitor") as module:
        watcher = new_watch(module)
        for _ in range(ticks):
            tick(watcher)
            CLOCK.sleep(module.TICK_S)
    for name in attempts(deployment):
        if name.startswith("attempt-"):  # what the monitor has started must not outlast the test
            deployment.wait_for_end(name)


class Bus:
    """EventBridge's client, which answers each request with the next of these."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = [*answers]
        self.put: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.put += Entries
        return self._answers.pop(0)


def test_the_writers_heartbeat_is_published_in_the_other_region_once_a_run(deployment: Deployment) -> None:
    watch(deployment, WRITER, 3)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [1.0]
    assert published(deployment, WRITER, "Heartbeat", WRITER) == []


def test_a_writer_that_is_down_says_so(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    watch(deployment, WRITER, 2)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [0.0]


def test_a_writer_that_became_a_reader_says_so(deployment: Deployment) -> None:
    deployment.databases.script = lambda target: {
        "target": target,
        "role": "reader",
        "region": WRITER,
        "error": None,
        "elapsed_ms": 1.0,
    }
    watch(deployment, WRITER, 1)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [0.0]


def test_the_verdict_is_published_here_with_every_tick_while_it_is_down(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    watch(deployment, STANDBY, 6)
    assert published(deployment, STANDBY, "WriterDown") == [0.0, 1.0, 1.0, 1.0]


def test_the_workflow_is_warmed_up_at_the_first_failure_and_once(deployment: Deployment) -> None:
    watch(deployment, STANDBY, 2)
    assert deployment.lambdas.warmed_up == []
    deployment.databases.up[WRITER] = False
    watch(deployment, STANDBY, 3)
    assert sorted(deployment.lambdas.warmed_up) == sorted(STEPS)
    assert deployment.databases.warmed_up == PROBES_OF_THE_STEPS
    assert (deployment.lock(), deployment.tokens(), deployment.messages(STANDBY)) == (None, [], [])
    assert deployment.members() == {WRITER, STANDBY}


def test_a_monitor_that_cannot_warm_the_workflow_up_goes_on(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("lambda.Invoke", "TooManyRequestsException", status=429, skip=1, times=1)
    watch(deployment, STANDBY, 4)
    assert published(deployment, STANDBY, "WriterDown") == [0.0, 1.0]


def test_a_standby_that_reaches_the_writer_says_so_and_that_it_lives(deployment: Deployment) -> None:
    watch(deployment, STANDBY, 2)
    assert published(deployment, STANDBY, "WriterDown") == [0.0]
    assert published(deployment, STANDBY, "WriterReachable") == [1.0]
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == [1.0]


def test_the_alarms_watch_what_the_monitors_publish(deployment: Deployment) -> None:
    for region in deployment.specification.regions.values():
        down, missing = region.alarm("writer-down").metric, region.alarm("heartbeat-missing").metric
        assert (down.namespace, down.name) == (NAMESPACE, "WriterDown")
        assert down.dimensions == {"GlobalCluster": deployment.specification.global_identifier}
        assert (missing.namespace, missing.name) == (NAMESPACE, "Heartbeat")
        assert missing.dimensions == {
            "GlobalCluster": deployment.specification.global_identifier,
            "FromRegion": region.peer,
        }


def test_p6_a_prober_that_fails_publishes_nothing_about_the_writer(deployment: Deployment) -> None:
    def crash(target: str) -> None:
        raise MemoryError("made by the test")

    deployment.databases.script = crash
    watch(deployment, STANDBY, 5)
    watch(deployment, WRITER, 5)
    assert published(deployment, STANDBY, "WriterReachable") == []
    assert published(deployment, STANDBY, "WriterDown") == [0.0]
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == []
    assert starts(deployment) == []


def test_p6_a_monitor_that_never_read_its_role_publishes_nothing(deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "refused", times=10**6)
    deployment.databases.up[WRITER] = False
    for region in (WRITER, STANDBY):
        watch(deployment, region, 4)
    assert published(deployment, STANDBY, "WriterDown") == []
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == []
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == []


def test_p5_a_monitor_that_loses_the_control_record_keeps_its_role_and_says_nothing_is_down(
    deployment: Deployment,
) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("dynamodb.GetItem", "refused", times=10**6, skip=1)
    watch(deployment, STANDBY, 8)
    assert published(deployment, STANDBY, "WriterDown") == [0.0]
    assert published(deployment, STANDBY, "WriterReachable") == [0.0]
    assert starts(deployment) == []


@pytest.mark.parametrize("up", [True, False], ids=["healthy", "does not answer"])
@pytest.mark.parametrize("since", [0, 3], ids=["not deployed yet", "destroyed meanwhile"])
def test_p10_while_no_region_has_a_control_record_a_database_is_left_alone(
    deployment: Deployment, since: int, up: bool
) -> None:
    """Around an adopted database: the stack with its guardian is applied before the record, and destroyed after it."""
    if since:
        watch(deployment, WRITER, since)
    deployment.trouble("dynamodb.GetItem", "ResourceNotFoundException", times=10**6)
    deployment.databases.up[WRITER] = up
    watch(deployment, WRITER, 15)
    assert not deployment.databases.fenced[WRITER]
    assert deployment.databases.admits[WRITER]
    assert not any(operation == "rds.RebootDBInstance" for _, _, operation in deployment.gate.seen)


def test_p1_a_record_that_one_region_does_not_show_may_be_in_the_other(deployment: Deployment) -> None:
    """The own replica was removed, and the other region gives no answer."""
    deployment.trouble("dynamodb.GetItem", "ResourceNotFoundException", region=WRITER, times=10**6)
    deployment.trouble("dynamodb.GetItem", "refused", region=STANDBY, times=10**6)
    watch(deployment, WRITER, 15)
    assert not deployment.databases.takes_writes(WRITER)


def test_p4_a_region_that_refuses_metrics_does_not_stop_the_watch(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("cloudwatch.PutMetricData", "refused", region=WRITER, times=10**6)
    watch(deployment, STANDBY, 4)
    assert published(deployment, STANDBY, "WriterDown") == [0.0, 1.0]


def tell(role: str | None, refused: str | None = None) -> Any:
    """A prober's answer."""
    answer = {"target": "own", "role": role, "region": WRITER, "error": "x", "elapsed_ms": 1.0, "refused": refused}
    return lambda target: answer


def test_p10_a_database_that_refuses_the_monitor_is_neither_fenced_nor_failed_over(deployment: Deployment) -> None:
    watch(deployment, WRITER, 1)
    deployment.databases.script = tell(None, "refuses the monitor's login")
    watch(deployment, WRITER, 5)
    assert deployment.record()["word"]["says"] == "unknown"
    watch(deployment, WRITER, 10)
    watch(deployment, STANDBY, 5)
    assert deployment.databases.takes_writes(WRITER)
    assert published(deployment, STANDBY, "WriterDown") == [0.0]
    assert published(deployment, STANDBY, "WriterReachable") == [1.0]
    assert [published(deployment, region, "MonitorRefused") for region in (WRITER, STANDBY)] == [[1.0, 1.0], [1.0]]
    assert starts(deployment) == []


def test_a_refusal_of_the_monitor_is_said_while_it_lasts_and_its_end_once(deployment: Deployment) -> None:
    """A metric is paid for in the hours in which it is published, and the alarm takes silence for no refusal."""
    answers = deployment.databases.script
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)

    def looks() -> list[float]:
        for _ in range(3):
            with deployment.lambdas.environment(WRITER, "monitor"):
                tick(watcher)
            CLOCK.sleep(TICK_S)
        return published(deployment, WRITER, "MonitorRefused")

    assert looks() == []
    deployment.databases.script = tell(None, "refuses the monitor's login")
    assert looks() == [1.0]
    deployment.databases.script = answers
    assert looks() == [1.0, 0.0]


def test_p10_a_tick_does_not_wait_for_a_database_that_is_slow(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick reads the record and renews every 2 s, whatever the database does; a late answer is the next tick's."""
    answers: list[Any] = []
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        monkeypatch.setattr(module, "OWN_PATIENCE_S", 0.0)
        slow = threading.Event()
        probe = watcher._prober.probe

        def slowly(*asked: Any, **work: Any) -> Any:
            answer = probe(*asked, **work)
            patiently(slow.wait)
            answers.append(answer)
            return answer

        monkeypatch.setattr(watcher._prober, "probe", slowly)
        for known in ("unknown", "unknown"):
            CLOCK.sleep(TICK_S)
            tick(watcher)
            assert (watcher._own, answers) == (known, [])
        slow.set()
        watcher._asked.result()
        CLOCK.sleep(TICK_S)
        tick(watcher)
        assert watcher._own == "writer"
        if watcher._asked:  # the tick had no time for it
            watcher._asked.result()
    assert len(answers) == 2, "the next question was asked at once"
    assert deployment.databases.takes_writes(WRITER)


def test_p9_an_answer_that_came_late_does_not_hide_a_database_that_died_since(deployment: Deployment) -> None:
    """Once one answer was late, each tick would count the one before its own."""
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        watcher._asked = watcher._ask_own(watcher._state)
        assert watcher._asked.result().role == "writer"
        deployment.databases.up[WRITER] = False
        CLOCK.sleep(TICK_S)
        tick(watcher)
        assert watcher._own == "down"


@pytest.mark.parametrize(("last", "known"), [("down", "down"), ("writer", "unknown")])
def test_p10_while_an_answer_is_awaited_the_last_one_counts_if_it_was_down(
    last: str, known: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        watcher._own = last
        monkeypatch.setattr(module, "OWN_PATIENCE_S", 0.0)
        assert watcher._answer(module.Future(), watcher._state) is None
        assert watcher._own == known


def test_roles_change_without_a_restart(deployment: Deployment) -> None:
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        deployment.change_record(writer_region=STANDBY)
        deployment.databases.writes = {WRITER: False, STANDBY: False}
        CLOCK.sleep(2)
        tick(watcher)
    # As the standby it lived; as the writer it says what its own database is.
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == [1.0, 0.0]


def test_a_run_overlaps_the_next_and_ends_inside_its_time_limit(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    for region in (STANDBY, WRITER):
        function = deployment.specification.regions[region].functions["monitor"]
        before = CLOCK.now()
        result: dict[str, Any] = deployment.call("monitor", {}, region)
        assert 60 < CLOCK.now() - before < function.timeout_seconds
        assert 20 <= result["ticks"] <= 41


@pytest.mark.parametrize(("next_run", "lasts"), [(None, (75, 83)), (61.0, (66, 69)), (72.0, (72, 75))])
def test_p10_a_guardian_goes_on_until_it_sees_that_a_late_next_run_has_begun(
    next_run: float | None, lasts: tuple[float, float], deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EventBridge starts a run seconds late at times; a lease that nobody renews is one without a guardian."""
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        before, other, ticked = CLOCK.now(), new_watch(module), module.Watch.tick

        def tick_beside(watcher: Any) -> None:
            if next_run is not None and CLOCK.now() - before >= next_run:
                ticked(other)
            ticked(watcher)

        monkeypatch.setattr(module.Watch, "tick", tick_beside)
        module.handler({}, Context("monitor", 95))
    assert lasts[0] <= CLOCK.now() - before < lasts[1]


def test_a_standbys_run_does_not_wait_for_the_next(deployment: Deployment) -> None:
    before = CLOCK.now()
    deployment.call("monitor", {}, STANDBY)
    assert 66 <= CLOCK.now() - before < 69


# --- the attempts; their rules are in tests/handlers/core/test_detection.py


def starts(deployment: Deployment) -> list[str]:
    """What asked for the workflow, in order: the event, or a direct start."""
    wanted = {"eventbridge.PutEvents": "event", "sfn.StartExecution": "start"}
    return [wanted[what] for step, _, what in deployment.gate.seen if step == "monitor" and what in wanted]


def standby_watches(deployment: Deployment, seconds: float) -> None:
    """A monitor of the standby region looks for so long; executions that it starts run to their end."""
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher, until = new_watch(module), CLOCK.now() + seconds
        while CLOCK.now() < until:
            began = CLOCK.now()
            tick(watcher)
            for name in attempts(deployment):
                deployment.wait_for_end(name)
            CLOCK.sleep(max(0.0, began + TICK_S - CLOCK.now()))


def attempts(deployment: Deployment) -> list[str]:
    """The names of the executions that the monitor has started, oldest first."""
    with deployment.gate.wide_open():
        found = deployment.client("stepfunctions", STANDBY).list_executions(
            stateMachineArn=deployment.specification.names.state_machine_arn(STANDBY)
        )["executions"]
    return [one["name"] for one in sorted(found, key=lambda one: one["startDate"])]


def with_bus(module: Any, bus: Any) -> Any:
    """What the monitor asks rarely, with another bus."""
    rarely = module.RarelyAsked(module.ENVIRONMENT)
    rarely.bus = EventBus(bus)
    return rarely


def writer_region_dies(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    deployment.databases.up[WRITER] = False


def test_p9_the_event_is_on_the_bus_as_soon_as_both_observers_agree(deployment: Deployment) -> None:
    bus: Any = Bus({"FailedEntryCount": 0})
    writer_region_dies(deployment)
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = new_watch(module, RARELY=with_bus(module, bus))
        for _ in range(TIMES_IN_A_ROW):
            tick(watcher)
            assert bus.put == []
        tick(watcher)  # the first only sees the sign that is the last one
    (entry,) = bus.put
    assert (entry["Source"], entry["DetailType"]) == ("failover.monitor", "Writer Down")
    asked = json.loads(entry["Detail"])
    assert (asked["epoch"], asked["attempt"], asked["automatic"]) == (1, 1, True)


def test_p9_the_next_attempts_are_started_directly_though_nothing_came_of_the_event(deployment: Deployment) -> None:
    """Nothing delivers the event here, as when it is lost."""
    writer_region_dies(deployment)
    standby_watches(deployment, 40)
    assert starts(deployment)[:2] == ["event", "start"]
    (run, *_) = attempts(deployment)
    assert run.startswith("attempt-1-")
    record = deployment.record()
    assert (record["writer_region"], record["last_run"], record["last_incident"]) == (STANDBY, run, "epoch 1")


def test_p9_a_bus_that_is_down_does_not_end_the_attempts(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    deployment.trouble("eventbridge.PutEvents", "refused", times=10**6)
    standby_watches(deployment, 40)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_an_event_that_the_bus_refuses_is_put_again(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    bus: Any = Bus({"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "busy"}]}, {"FailedEntryCount": 0})
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = new_watch(module, RARELY=with_bus(module, bus))
        for _ in range(7):
            tick(watcher)
    assert len(bus.put) == 2


def test_p9_a_standby_that_is_slow_to_answer_ends_only_that_attempt(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    slow = deployment.trouble("lambda.Invoke", "TooManyRequestsException", status=429, step="check_health", times=10**6)
    standby_watches(deployment, 30)
    assert deployment.record()["writer_region"] == WRITER
    slow.times = 0
    standby_watches(deployment, 90)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_one_lucky_probe_ends_only_the_attempt_that_saw_it(deployment: Deployment) -> None:
    writer_region_dies(deployment)

    def answer(step: str, *, is_lucky: bool) -> None:
        if step == "check_health":
            deployment.databases.up[WRITER] = is_lucky and len(attempts(deployment)) == 1

    deployment.lambdas.before = lambda step, event: answer(step, is_lucky=True)
    deployment.lambdas.after = lambda step, event: answer(step, is_lucky=False)
    standby_watches(deployment, 120)
    first, second, *_ = attempts(deployment)
    assert deployment.record()["last_run"] == second != first


def test_p9_a_control_table_that_blinks_for_15_s_delays_and_no_more(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    gone = deployment.trouble("dynamodb.GetItem", "InternalServerError", status=500, times=10**6, skip=2)
    standby_watches(deployment, 15)
    assert starts(deployment) == []
    gone.times = 0
    standby_watches(deployment, 60)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_a_cool_down_delays_and_does_not_end(deployment: Deployment) -> None:
    """After an automatic failover and a re-protection; the region dies in the middle of the cool-down."""
    now = int(CLOCK.now())
    cool_down_s = deployment.specification.settings.thresholds.cool_down_minutes * 60
    deployment.change_record(
        epoch=2, last_incident="epoch 1", last_run="run-0", last_transition_at=now - cool_down_s + 40
    )
    writer_region_dies(deployment)
    standby_watches(deployment, 30)
    assert deployment.record()["writer_region"] == WRITER
    standby_watches(deployment, 90)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_a_planned_switchover_is_followed_by_no_cool_down(deployment: Deployment) -> None:
    deployment.change_record(epoch=2, last_incident="run run-0", last_run="run-0", last_transition_at=int(CLOCK.now()))
    writer_region_dies(deployment)
    standby_watches(deployment, 40)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_a_person_who_starts_a_few_seconds_too_early_ends_nothing(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    early = deployment.run({"mode": "failover", "started_by": "ada"}, "early")
    assert early.end in ("Refused", "Aborted")
    standby_watches(deployment, 60)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_a_link_that_is_cut_first_and_a_region_that_dies_later(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = new_watch(module)
        for _ in range(20):
            deployment.guardian_was_here()
            tick(watcher)
            CLOCK.sleep(TICK_S)
    assert starts(deployment) == []
    standby_watches(deployment, 40)
    assert deployment.record()["writer_region"] == STANDBY


def test_p9_the_lock_of_a_switchover_that_died_is_finished_in_its_mode(deployment: Deployment) -> None:
    """The writer is healthy, and stays closed until somebody goes on: automation does, and as a switchover."""
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "run-0")  # an execution of that name, which has ended
    now = int(CLOCK.now())
    deployment.change_record(
        transition={
            "run": "run-0",
            "mode": "switchover",
            "phase": "stopping",
            "stopping_until": now + 20,
            "dns_engaged": False,
            "move_requests": 0,
            "incident": "run run-0",
            "target_region": STANDBY,
            "started_at": now,
            "deadline": now + 1860,
            "writer_sign": {"at": now + 3, "says": "up", "fenced": False},
        }
    )
    standby_watches(deployment, 10)
    record = deployment.record()
    (_, run, *_) = attempts(deployment)
    assert (record["writer_region"], record["last_run"], record["last_incident"]) == (STANDBY, run, "run run-0")
    assert record.get("protected", True)  # a switchover leaves a standby


def test_p2_nobody_starts_beside_a_run_that_works(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    CLOCK.sleep(10)
    deployment.run_until("claim", {"mode": "failover", "started_by": "ada"}, "run-0")
    watch(deployment, STANDBY, 30)
    assert starts(deployment) == []


def test_where_the_settings_want_rehearsals_the_alarm_alone_starts_one(deployment: Deployment) -> None:
    writer_region_dies(deployment)
    with (
        deployment.lambdas.environment(STANDBY, "monitor") as module,
        mock.patch.object(module.ENVIRONMENT, "trigger_mode", "rehearsal"),
    ):
        watcher = new_watch(module)
        for _ in range(60):
            tick(watcher)
            CLOCK.sleep(TICK_S)
    assert published(deployment, STANDBY, "WriterDown")[-1] == 1.0
    assert starts(deployment) == []


# --- the guardian; its rules are in tests/handlers/core/test_guardian.py


def lease_ends(deployment: Deployment) -> float:
    return float(deployment.record()["lease_expires_at"])


def moving(deployment: Deployment, *, mode: str = "failover", to: str = STANDBY, requests: int = 0) -> None:
    """A run has committed to move the writer, and has noted so many requests to RDS."""
    now = int(CLOCK.now())
    deployment.change_record(
        transition={
            "run": "run-1",
            "mode": mode,
            "phase": "moving",
            "incident": "outage 7",
            "target_region": to,
            "started_at": now,
            "deadline": now + 1860,
            "dns_engaged": False,
            "move_requests": requests,
            "moving_since": now,
        }
    )


def test_p1_the_writers_guardian_renews_its_lease_with_every_heartbeat(deployment: Deployment) -> None:
    deployment.guardian_was_here(ago_s=60)
    watch(deployment, WRITER, 2)
    record = deployment.record()
    assert lease_ends(deployment) - CLOCK.now() == pytest.approx(LEASE_S - TICK_S, abs=1.5)
    assert record["heartbeat"]["seq"] == 102
    assert deployment.databases.takes_writes(WRITER)


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0, 3.0, -3.0])
def test_p9_a_guardian_whose_clock_is_wrong_renews_no_lease_and_gives_no_word(
    ahead_s: float, deployment: Deployment
) -> None:
    """A lease that ends an hour too late would refuse every failover for so long."""
    deployment.guardian_was_here()
    before = deployment.record()
    deployment.gate.clock_ahead_s = -ahead_s
    watch(deployment, WRITER, 2)
    assert deployment.record() == before
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [0.0]  # so that people are paged
    deployment.gate.clock_ahead_s = 0.0
    watch(deployment, WRITER, 1)
    assert lease_ends(deployment) > float(before["lease_expires_at"])


@pytest.mark.parametrize("ahead_s", [2253.0, -2253.0])
def test_p10_a_clock_that_is_set_between_the_look_and_the_renewal_writes_no_lease(
    ahead_s: float, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 20042: a lease that ends in 38 minutes cannot be renewed, and the writer was closed for as long."""
    deployment.guardian_was_here()
    before = deployment.record()
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        probe = watcher._prober.probe

        def set_meanwhile(*asked: Any, **work: Any) -> Any:
            monkeypatch.setattr(watcher, "_machine", replace(module.MACHINE, now=lambda: CLOCK.now() + ahead_s))
            return probe(*asked, **work)

        monkeypatch.setattr(watcher._prober, "probe", set_meanwhile)
        watcher.tick()
        assert deployment.record()["lease_expires_at"] == before["lease_expires_at"]
        monkeypatch.undo()
        watcher.tick()
    assert lease_ends(deployment) - CLOCK.now() == pytest.approx(LEASE_S, abs=1.5)


def closed_for(deployment: Deployment, at_most_s: float) -> float:
    """Lets the writer's monitor look until applications are let in again; how long that took, in seconds."""
    began = CLOCK.now()
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        assert not deployment.databases.takes_writes(WRITER)
        while not deployment.databases.takes_writes(WRITER):
            assert CLOCK.now() - began < at_most_s
            CLOCK.sleep(TICK_S)
            tick(watcher)
    return CLOCK.now() - began


def test_p10_a_move_that_does_not_go_on_gives_the_writer_back(deployment: Deployment) -> None:
    """The region that it was moved to has died."""
    deployment.guardian_was_here()
    moving(deployment)
    assert closed_for(deployment, 15) > 10
    assert deployment.lock() is None


def test_p10_a_switchover_of_which_rds_shows_nothing_gives_the_writer_back(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    moving(deployment, mode="switchover", requests=1)
    assert closed_for(deployment, 75) > 60
    assert deployment.lock() is None


def test_p1_the_guardian_of_a_writer_that_is_moved_says_that_it_lives_and_has_fenced(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    moving(deployment)
    watch(deployment, WRITER, 1)  # as soon as the fence stands: the run waits for that
    lock = deployment.lock()
    assert lock is not None
    assert (lock["writer_sign"]["says"], lock["writer_sign"]["fenced"]) == ("up", True)
    assert CLOCK.now() - float(lock["writer_sign"]["at"]) < 2 * TICK_S


def test_p1_the_standbys_guardian_renews_nothing(deployment: Deployment) -> None:
    before = deployment.record()
    watch(deployment, STANDBY, 3)
    assert deployment.record() == before


def test_p10_a_writer_that_is_down_loses_its_lease_and_its_guardian_says_so_instead_of_closing_it(
    deployment: Deployment,
) -> None:
    """A run that moves the writer waits for the end of its word; the guardian will see that run in the record."""
    deployment.guardian_was_here()
    before = lease_ends(deployment)
    deployment.databases.up[WRITER] = False
    watch(deployment, WRITER, 1)
    since = deployment.record()["word"]["since"]
    watch(deployment, WRITER, 9)
    word = deployment.record()["word"]
    assert lease_ends(deployment) == before < CLOCK.now()
    assert (word["says"], word["since"]) == ("down", since)
    assert float(word["rests_until"]) - CLOCK.now() == pytest.approx(REST_S - TICK_S, abs=1)
    assert deployment.databases.admits[WRITER]
    deployment.databases.up[WRITER] = True
    watch(deployment, WRITER, 1)
    assert "word" not in deployment.record()


def maintained(deployment: Deployment) -> None:
    """A person works on the writer."""
    now = int(CLOCK.now())
    deployment.change_record(
        paused={"by": "ada", "at": now, "until": now + 3600, "reason": "an upgrade", "maintenance": True}
    )


def test_p10_in_a_maintenance_a_database_that_is_down_is_neither_closed_nor_moved(deployment: Deployment) -> None:
    """An upgrade of the engine takes minutes; each tick of the grace would have been one to move the writer in."""
    deployment.guardian_was_here()
    maintained(deployment)
    deployment.databases.up[WRITER] = False
    watch(deployment, WRITER, 30)
    standby_watches(deployment, 30)
    assert starts(deployment) == []
    assert deployment.databases.admits[WRITER]
    assert not {what for _, _, what in deployment.gate.seen} & {"rds.RebootDBInstance", "rds.ModifyDBCluster"}
    deployment.databases.up[WRITER] = True
    watch(deployment, WRITER, 2)
    assert deployment.databases.takes_writes(WRITER)


def test_p9_people_are_told_before_a_maintenance_of_a_writer_that_is_down_ends(deployment: Deployment) -> None:
    maintained(deployment)
    watch(deployment, STANDBY, 2)
    writer_region_dies(deployment)
    standby_watches(deployment, 20)
    assert published(deployment, STANDBY, "AutomationOverdue") == []
    deployment.change_record(paused=deployment.record()["paused"] | {"until": int(CLOCK.now()) + 300})
    watch(deployment, STANDBY, 2)
    assert published(deployment, STANDBY, "AutomationOverdue") == [1.0]


def test_p9_when_a_maintenance_is_over_a_writer_that_is_down_is_moved(deployment: Deployment) -> None:
    maintained(deployment)
    writer_region_dies(deployment)
    standby_watches(deployment, 30)
    assert starts(deployment) == []
    deployment.forget("paused")
    standby_watches(deployment, 60)
    assert deployment.record()["writer_region"] == STANDBY


def test_p1_a_writer_that_keeps_no_heartbeats_takes_no_lease(deployment: Deployment) -> None:
    """The script of the bootstrap was never run there."""
    deployment.forget("lease_expires_at", "heartbeat")
    answer = {"target": "own", "role": "writer", "region": WRITER, "error": None, "elapsed_ms": 1.0}
    deployment.databases.script = lambda target: answer
    watch(deployment, WRITER, 7)
    assert "lease_expires_at" not in deployment.record()
    assert deployment.databases.takes_writes(WRITER)


@pytest.mark.parametrize("prepared", [lambda _: None, maintained], ids=["as ever", "in a maintenance"])
def test_p1_a_guardian_without_the_record_fences_before_the_lease_ends_and_not_sooner(
    deployment: Deployment, prepared: Callable[[Deployment], None]
) -> None:
    prepared(deployment)
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        ends = lease_ends(deployment)
        deployment.trouble("dynamodb.GetItem", "refused", step="monitor", times=10**6)
        last_seen_open = 0.0
        while deployment.databases.takes_writes(WRITER):
            last_seen_open = CLOCK.now()
            assert last_seen_open < ends
            CLOCK.sleep(0.5)
            tick(watcher)
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, False)
    assert CLOCK.now() > ends - FENCE_BEFORE_S


def test_p1_a_writer_that_can_renew_again_is_let_in_again(deployment: Deployment) -> None:
    deployment.databases.fenced[WRITER] = True
    deployment.databases.admits[WRITER] = True
    watch(deployment, WRITER, 2)
    assert deployment.databases.takes_writes(WRITER)
    assert lease_ends(deployment) > CLOCK.now()


def test_p4_a_guardian_renews_through_the_other_region(deployment: Deployment) -> None:
    deployment.guardian_was_here(ago_s=60)
    deployment.trouble("dynamodb.GetItem", "refused", region=WRITER, times=10**6)
    deployment.trouble("dynamodb.UpdateItem", "refused", region=WRITER, times=10**6)
    watch(deployment, WRITER, 1)
    assert lease_ends(deployment) > CLOCK.now()


def test_p1_a_run_that_moves_the_writer_away_has_it_fenced(deployment: Deployment) -> None:
    before = lease_ends(deployment)
    moving(deployment)
    watch(deployment, WRITER, 1)
    assert lease_ends(deployment) == before
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, False)


def test_p1_a_switchover_has_it_fenced_by_sql_only(deployment: Deployment) -> None:
    """Aurora does not switch over a cluster that is being modified."""
    moving(deployment, mode="switchover")
    watch(deployment, WRITER, 1)
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, True)


def test_p1_a_guardian_whose_region_is_not_the_writer_any_more_fences(deployment: Deployment) -> None:
    deployment.change_record(writer_region=STANDBY, epoch=2)
    # After a failover the old writer's cluster is still the primary of its global database.
    watch(deployment, WRITER, 1)
    assert not deployment.databases.takes_writes(WRITER)
    watch(deployment, WRITER, 2)
    assert not deployment.databases.takes_writes(WRITER)


def test_p1_the_new_writers_guardian_fences_the_old_one_and_notes_it(deployment: Deployment) -> None:
    deployment.change_record(writer_region=STANDBY, epoch=2, unfenced_region=WRITER, last_run="run-1")
    deployment.databases.writes[STANDBY] = True
    watch(deployment, STANDBY, 1)
    assert not deployment.databases.takes_writes(WRITER)
    assert "unfenced_region" not in deployment.record()
    assert deployment.databases.takes_writes(STANDBY)


def test_p4_an_old_writers_region_that_does_not_answer_is_asked_until_it_does(deployment: Deployment) -> None:
    deployment.change_record(writer_region=STANDBY, epoch=2, unfenced_region=WRITER, last_run="run-1")
    deployment.databases.writes[STANDBY] = True
    gone = deployment.trouble("lambda.Invoke", "refused", region=WRITER, times=10**6)
    watch(deployment, STANDBY, 2)
    assert deployment.record()["unfenced_region"] == WRITER
    assert lease_ends(deployment) > CLOCK.now()  # nothing of it holds up the renewals
    gone.times = 0
    watch(deployment, STANDBY, 1)
    assert "unfenced_region" not in deployment.record()


def test_p1_a_fence_that_fails_is_tried_again(deployment: Deployment) -> None:
    moving(deployment)
    deployment.fail("fence", "TransientFailure", "TransientFailure")
    watch(deployment, WRITER, 3)
    assert not deployment.databases.takes_writes(WRITER)


def test_p1_a_fence_behind_which_sessions_go_on_is_put_up_again(deployment: Deployment) -> None:
    """The database says that it is fenced, and is not yet closed; and RDS does not restart it."""
    moving(deployment)
    deployment.databases.sessions_end = False
    deployment.trouble("rds.RebootDBInstance", "refused", region=WRITER, times=10)
    watch(deployment, WRITER, 1)
    assert deployment.databases.takes_writes(WRITER)
    deployment.databases.sessions_end = True
    watch(deployment, WRITER, 1)
    assert not deployment.databases.takes_writes(WRITER)


def test_p1_an_old_writer_is_not_noted_as_fenced_while_its_database_could_not_be_asked(deployment: Deployment) -> None:
    """Behind a security group sessions go on that were open before."""
    deployment.change_record(writer_region=STANDBY, epoch=2, unfenced_region=WRITER, last_run="run-1")
    deployment.databases.writes[STANDBY] = True
    deployment.databases.up[WRITER] = False
    watch(deployment, STANDBY, 1)
    assert not deployment.databases.admits[WRITER]
    assert deployment.record()["unfenced_region"] == WRITER
    deployment.databases.up[WRITER] = True
    watch(deployment, STANDBY, 1)
    assert "unfenced_region" not in deployment.record()


def test_p1_the_clock_is_looked_at_while_a_tick_waits(deployment: Deployment) -> None:
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        CLOCK.sleep(LEASE_S - FENCE_BEFORE_S - 1)
        watcher.look_at_the_clock()
        assert deployment.databases.takes_writes(WRITER)
        CLOCK.sleep(1)
        watcher.look_at_the_clock()  # as beside a tick that hangs
        assert not deployment.databases.takes_writes(WRITER)


def test_p1_the_clock_is_watched_beside_the_ticks_and_no_surprise_ends_that(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Semaphore(0)
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)

        def look() -> None:
            looked.release()
            raise ValueError("made by the test")

        monkeypatch.setattr(module, "CLOCK_LOOK_S", 0.01)
        monkeypatch.setattr(watcher, "look_at_the_clock", look)
        with watcher.clock_watched():
            for _ in range(3):
                assert looked.acquire(timeout=60)


def test_p1_a_tick_that_fails_unexpectedly_does_not_end_the_guardian(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        surprises = ["an answer that nobody expects"]
        ticked = module.Watch.tick

        def tick_once_badly(watcher: Any) -> None:
            if surprises:
                raise ValueError(surprises.pop())
            ticked(watcher)

        monkeypatch.setattr(module.Watch, "tick", tick_once_badly)
        monkeypatch.setattr(module, "RUN_FOR_S", 2 * TICK_S)
        monkeypatch.setattr(module.Watch, "clock_watched", lambda _: nullcontext())
        answer = module.handler({}, Context("monitor", 90))
    assert answer["ticks"] == 2
    assert lease_ends(deployment) > CLOCK.now()


def test_what_route_53_shows_is_published_at_the_resolution_that_it_accepts(deployment: Deployment) -> None:
    watch(deployment, STANDBY, 1)
    deployment.databases.up[WRITER] = False
    watch(deployment, STANDBY, 1)
    assert published(deployment, STANDBY, "WriterReachable") == [1.0, 0.0]


def test_p1_two_guardians_at_once_do_not_shorten_each_others_lease(deployment: Deployment) -> None:
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        one, other = new_watch(module), new_watch(module)
        ends = 0.0
        for _ in range(3):
            for watcher in (one, other):
                tick(watcher)
                assert lease_ends(deployment) >= ends
                ends = lease_ends(deployment)
            CLOCK.sleep(TICK_S)
    assert deployment.databases.takes_writes(WRITER)


def test_the_guardian_of_a_database_that_is_down_looks_more_often(deployment: Deployment) -> None:
    with deployment.lambdas.environment(WRITER, "monitor") as module:
        watcher = new_watch(module)
        tick(watcher)
        assert watcher.shortened(TICK_S) == TICK_S
        deployment.databases.up[WRITER] = False
        tick(watcher)
        assert watcher.shortened(TICK_S) == module.LOOK_AGAIN_S
        assert watcher.shortened(0.2) == 0.2


def test_the_standby_looks_when_the_time_for_a_recovery_is_over(deployment: Deployment) -> None:
    grace_s = deployment.specification.settings.thresholds.recovery_grace_s
    deployment.databases.up[WRITER] = False
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = new_watch(module)
        ends = CLOCK.now() + 5.0
        deployment.change_record(word={"says": "down", "since": decimal(ends - grace_s)})
        tick(watcher)  # the look at a writer that does not answer takes some of that time
        left = ends - CLOCK.now()
        assert watcher.shortened(10.0) == pytest.approx(left + module.A_MOMENT_S, abs=0.5)
        assert watcher.shortened(0.1) == 0.1
        CLOCK.sleep(left + module.A_MOMENT_S)
        assert watcher.shortened(TICK_S) == TICK_S
