"""The fence: of a region's own database, and the order for it from the other region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from unittest import mock

import pytest

from handlers.core.errors import FenceFailed, InvalidRequest
from handlers.core.health import Probe
from handlers.core.lease import LEASE_S
from orchestration.specification import INSTANCES
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.account import decimal

FENCE = {"order": "fence", "reason": "the test"}
LIFT = {"order": "lift", "reason": "the test", "number": 1, "until": 4_000_000_000}  # the first fence, at any time
LOOK = {"order": "look", "reason": "the test"}


CLOSED = {"by_sql": True, "by_group": True, "secondary": False, "error": None}
CLOSED |= {"restarted": None, "restarted_at": None}


def order(deployment: Deployment, event: dict[str, Any], region: str = WRITER) -> dict[str, Any]:
    """A fence function's answer, without its timing."""
    answer = deployment.call("fence", event, region)
    return {name: value for name, value in answer.items() if name != "timing"}


def test_p1_a_fence_keeps_applications_out_in_both_ways(deployment: Deployment) -> None:
    assert order(deployment, FENCE) == CLOSED
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, False)


def test_a_fence_that_is_lifted_lets_them_in_again(deployment: Deployment) -> None:
    order(deployment, FENCE)
    assert order(deployment, LIFT) == CLOSED | {"by_sql": False, "by_group": False}
    assert deployment.databases.takes_writes(WRITER)


def test_p10_an_adopted_cluster_is_opened_to_all_of_its_groups(deployment: Deployment) -> None:
    database, told = mock.Mock(), mock.Mock(cluster_security_groups="sg-web,sg-batch", fence_security_group="sg-fence")
    database.membership.return_value, database.security_groups.return_value = "secondary", {"sg-fence"}
    with deployment.lambdas.environment(WRITER, "fence") as fence:
        fence.Site(mock.Mock(), database, told, fence.Restart()).open_secondary()
    database.set_security_groups.assert_called_once_with(["sg-web", "sg-batch"])


@pytest.mark.parametrize("stale", [{"number": 0}, {"number": 2}, {"until": 1}], ids=["older", "newer", "late"])
def test_p1_a_lift_of_another_fence_or_one_that_is_late_lets_nobody_in(
    stale: dict[str, Any], deployment: Deployment
) -> None:
    order(deployment, FENCE)
    assert order(deployment, LIFT | stale)["by_sql"] is True
    assert not deployment.databases.takes_writes(WRITER)


def test_p1_a_lift_opens_no_group_behind_which_no_fence_by_sql_stands(deployment: Deployment) -> None:
    """Only that fence can tell whether the lift still counts."""
    deployment.databases.up[WRITER] = False
    order(deployment, FENCE)
    deployment.wait_for(lambda: deployment.databases.fenced[WRITER])  # by the restart
    deployment.databases.up[WRITER], deployment.databases.fenced[WRITER] = True, False
    order(deployment, LIFT)
    assert not deployment.databases.admits[WRITER]


def test_p10_a_lift_does_not_look_at_sessions(deployment: Deployment) -> None:
    """The owner may log in behind a fence, to repair the database; his session keeps nobody else out."""
    order(deployment, FENCE)
    deployment.databases.open_sessions[WRITER] = 1
    order(deployment, LIFT)
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (False, True)


def test_p10_an_rds_api_that_does_not_answer_keeps_nobody_out(deployment: Deployment) -> None:
    """As after a restart: the database has fenced itself, and its security group was never closed."""
    order(deployment, FENCE | {"group": False})
    deployment.trouble("rds.DescribeGlobalClusters", "refused", region=WRITER, times=10)
    assert order(deployment, LIFT)["by_sql"] is False
    assert deployment.databases.takes_writes(WRITER)


@pytest.mark.parametrize("group", [False, True])
def test_p10_a_writer_that_is_only_slow_is_opened_again(group: bool, deployment: Deployment) -> None:
    """It needs as long for an answer as a healthy one may; its applications wait as long."""
    order(deployment, FENCE | {"group": group})
    deployment.databases.answers_after_s[WRITER] = 3.0
    order(deployment, LIFT)
    assert deployment.databases.takes_writes(WRITER)


def test_p10_a_slow_writer_whose_group_rds_closes_late_gets_the_fence_that_its_opening_needs(
    deployment: Deployment,
) -> None:
    order(deployment, FENCE)
    deployment.databases.fenced[WRITER] = False  # lifted, while RDS had not closed the group yet
    deployment.databases.answers_after_s[WRITER] = 3.0
    assert order(deployment, FENCE | {"group": False})["by_sql"] is True
    assert deployment.databases.fenced[WRITER]


def test_p1_a_group_that_could_not_be_opened_stays_closed_when_the_fence_by_sql_is_lifted(
    deployment: Deployment,
) -> None:
    order(deployment, FENCE)
    deployment.trouble("rds.DescribeGlobalClusters", "refused", region=WRITER, times=10)
    assert order(deployment, LIFT)["by_group"] is None
    assert not deployment.databases.takes_writes(WRITER)


def test_p3_a_fence_is_closed_once(deployment: Deployment) -> None:
    order(deployment, FENCE)
    deployment.gate.seen.clear()
    assert order(deployment, FENCE)["by_group"] is True
    assert "rds.ModifyDBCluster" not in {operation for _, _, operation in deployment.gate.seen}


@pytest.mark.parametrize("fenced", [False, True])
def test_a_look_changes_nothing(fenced: bool, deployment: Deployment) -> None:
    if fenced:
        order(deployment, FENCE)
    deployment.gate.seen.clear()
    assert order(deployment, LOOK) == CLOSED | {"by_sql": fenced, "by_group": fenced}
    assert deployment.databases.takes_writes(WRITER) is not fenced
    assert "rds.ModifyDBCluster" not in {operation for _, _, operation in deployment.gate.seen}


def test_the_security_group_is_left_alone_when_that_is_asked_for(deployment: Deployment) -> None:
    state = order(deployment, FENCE | {"group": False})
    assert (state["by_sql"], state["by_group"]) == (True, False)
    assert deployment.databases.admits[WRITER]


def restarts(deployment: Deployment) -> int:
    """How many instances RDS was asked to restart."""
    return [operation for _, _, operation in deployment.gate.seen].count("rds.RebootDBInstance")


def test_p1_a_database_that_does_not_answer_is_fenced_by_its_security_group_and_a_restart(
    deployment: Deployment,
) -> None:
    """The group keeps others out; the restart ends the sessions of those who are in, and a server starts fenced."""
    deployment.databases.up[WRITER] = False
    deployment.databases.open_sessions[WRITER] = 3
    state = order(deployment, FENCE)
    assert (state["by_sql"], state["by_group"], state["restarted"]) == (None, True, True)
    assert state["error"] == "SQL: TimeoutError: timed out"
    assert not deployment.databases.admits[WRITER]
    deployment.wait_for(lambda: deployment.databases.open_sessions[WRITER] == 0)
    assert deployment.databases.fenced[WRITER]


def test_p1_sessions_that_do_not_end_are_ended_by_a_restart(deployment: Deployment) -> None:
    deployment.databases.sessions_end = False
    state = order(deployment, FENCE)
    assert (state["by_sql"], state["restarted"]) == (False, True)
    deployment.wait_for(lambda: deployment.databases.open_sessions[WRITER] == 0)


def test_p10_a_fence_that_a_guardian_has_lifted_meanwhile_restarts_nothing_and_closes_no_group(
    deployment: Deployment,
) -> None:
    """Two runs of the monitor thaw, and both fence; one of them has renewed the lease before the other is done."""
    lifted = Probe("own", "writer", WRITER, "the fence was lifted meanwhile", 1500.0, fenced=False, fence_number=2)
    deployment.databases.script = lambda _: asdict(lifted)
    deployment.gate.seen.clear()
    state = order(deployment, FENCE)
    assert (state["by_sql"], state["by_group"], state["restarted"]) == (False, False, None)
    assert state["error"] == "SQL: the fence was lifted meanwhile"
    assert restarts(deployment) == 0
    assert deployment.databases.admits[WRITER]


class SqlIsLate:
    """In the place of a pool: its first work, the fence by SQL, is done only for whoever waits without a limit."""

    def __init__(self) -> None:
        self.submitted = 0

    def __enter__(self) -> SqlIsLate:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *given: Any) -> SqlIsLate.Work:
        self.submitted += 1
        return self.Work(lambda: work(*given), late=self.submitted == 1)

    class Work:
        def __init__(self, work: Callable[[], Any], *, late: bool) -> None:
            self.work, self.late = work, late
            self.value = None if late else work()

        def done(self) -> bool:
            return not self.late

        def result(self, timeout: float | None = None) -> Any:
            if self.late and timeout is not None:
                raise TimeoutError
            return self.work() if self.late else self.value


def fence_that_sql_puts_up_late(deployment: Deployment, **event: Any) -> dict[str, Any]:
    deployment.gate.seen.clear()
    with deployment.lambdas.environment(WRITER, "fence") as module:
        late = mock.patch.object(module, "ThreadPoolExecutor", SqlIsLate)
    with late:
        return order(deployment, FENCE | event)


def test_p10_a_fence_that_sql_puts_up_late_restarts_nothing_if_the_lease_has_been_renewed_since(
    deployment: Deployment,
) -> None:
    """The clock's look has ordered it just before the renewal; the guardian lifts what comes of it by SQL."""
    ended = CLOCK.now() - 20
    deployment.change_record(lease_expires_at=decimal(CLOCK.now() + LEASE_S))
    state = fence_that_sql_puts_up_late(deployment, lease=ended)
    assert (state["by_sql"], state["by_group"], state["restarted"], state["error"]) == (True, False, None, None)
    assert restarts(deployment) == 0


def test_p10_a_fence_that_sql_does_not_put_up_restarts_nothing_if_the_lease_has_been_renewed_before(
    deployment: Deployment,
) -> None:
    """By another run of the monitor, while the one that orders it waited for a database that is slow."""
    deployment.databases.answers_after_s[WRITER] = 3.0
    ended = CLOCK.now() + 3
    deployment.change_record(lease_expires_at=decimal(CLOCK.now() + LEASE_S))
    deployment.gate.seen.clear()
    state = order(deployment, FENCE | {"lease": ended})
    assert (state["by_sql"], state["by_group"], state["restarted"]) == (None, False, None)
    assert restarts(deployment) == 0
    assert order(deployment, FENCE)["restarted"] is True


def test_p10_a_guardian_that_knows_no_lease_has_nothing_restarted_whose_lease_lives(deployment: Deployment) -> None:
    """It has just started, and could not read the record; the fence function can."""
    deployment.databases.answers_after_s[WRITER] = 3.0
    deployment.gate.seen.clear()
    for lives_s, restarted in ((LEASE_S, None), (0.0, True)):
        deployment.change_record(lease_expires_at=decimal(CLOCK.now() + lives_s))
        assert order(deployment, FENCE | {"lease": 0.0})["restarted"] is restarted


LOCK = {"run": "run-1", "mode": "failover", "incident": "outage", "target_region": STANDBY, "started_at": 1}
LOCK |= {"deadline": 4_000_000_000, "phase": "moving", "moving_since": 1}


@pytest.mark.parametrize("why", ["no lease", "no later", "short", "too long", "moving", "elsewhere", "unread"])
def test_p1_a_fence_that_is_due_restarts_where_sql_is_late(why: str, deployment: Deployment) -> None:
    """As from a run, or one whose end stays, or that cannot be known to have been renewed for long enough."""
    ends = CLOCK.now() + {"short": 4.9, "too long": 3600.0}.get(why, LEASE_S)
    ordered = {} if why == "no lease" else {"lease": ends if why == "no later" else CLOCK.now() - 20}
    moved: dict[str, dict[str, Any]] = {"moving": {"transition": LOCK}, "elsewhere": {"writer_region": STANDBY}}
    deployment.change_record(lease_expires_at=decimal(ends), **moved.get(why, {}))
    if why == "unread":
        deployment.trouble("dynamodb.GetItem", "refused", region=WRITER, times=10)
    state = fence_that_sql_puts_up_late(deployment, **ordered)
    assert (state["by_group"], state["restarted"]) == (True, True)
    assert restarts(deployment) == INSTANCES


def test_p10_a_database_is_restarted_once_for_a_fence(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.gate.seen.clear()
    for _ in range(3):
        assert order(deployment, FENCE)["restarted"] is True
    assert restarts(deployment) == INSTANCES


def forgets(deployment: Deployment) -> None:
    """As a function that is started anew, which remembers nothing."""
    with deployment.lambdas.environment(WRITER, "fence") as module:
        module.RESTART.accepted, module.RESTART.closed = None, False


def test_a_function_of_another_deployment_remembers_nothing_of_this_one() -> None:
    """Of another test's: modules outlive deployments."""
    for known in (True, None):
        with Deployment() as deployment:
            deployment.databases.up[WRITER] = not known
            assert order(deployment, FENCE if known else LOOK)["restarted"] is known


def test_p3_a_run_that_finds_the_group_closed_knows_that_the_restart_was_asked_for(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    order(deployment, FENCE)
    forgets(deployment)
    deployment.gate.seen.clear()
    assert order(deployment, FENCE)["by_group"] is True
    assert restarts(deployment) == 0


def test_p1_a_guardian_that_finds_the_group_closed_has_the_database_restarted_if_nobody_knows_that_it_was(
    deployment: Deployment,
) -> None:
    """RDS may have closed it for a fence that was lifted before: then sessions are behind it."""
    deployment.databases.up[WRITER] = False
    order(deployment, FENCE)
    forgets(deployment)
    deployment.gate.seen.clear()
    state = order(deployment, FENCE | {"lifted_at": CLOCK.now() - 5})
    assert (state["by_group"], state["restarted"], restarts(deployment)) == (True, True, INSTANCES)
    assert state["restarted_at"] == pytest.approx(CLOCK.now(), abs=1)


@pytest.mark.parametrize(("lifted_after_s", "again"), [(-1, False), (1, True)])
def test_p1_p10_a_restart_counts_until_the_next_lift(
    lifted_after_s: float, again: bool, deployment: Deployment
) -> None:
    deployment.databases.up[WRITER] = False
    asked_at = order(deployment, FENCE | {"lifted_at": CLOCK.now() - 5})["restarted_at"]
    deployment.gate.seen.clear()
    order(deployment, FENCE | {"lifted_at": asked_at + lifted_after_s})
    assert restarts(deployment) == (INSTANCES if again else 0)


def test_p3_a_function_that_is_killed_before_the_group_is_closed_asks_again(deployment: Deployment) -> None:
    """RDS refuses to restart what is restarting, which is as good as an answer."""
    deployment.databases.up[WRITER] = False
    deployment.trouble("rds.ModifyDBCluster", "refused", region=WRITER, times=1)
    assert order(deployment, FENCE)["by_group"] is None
    state = order(deployment, FENCE)
    assert (state["by_group"], state["restarted"]) == (True, True)


def test_p1_a_restart_that_rds_refuses_is_reported_and_asked_for_again(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("rds.RebootDBInstance", "ServiceUnavailable", region=WRITER, status=503, times=INSTANCES)
    state = order(deployment, FENCE)
    assert (state["by_group"], state["restarted"]) == (True, False)
    assert "restarting payments-0-use1-test" in state["error"]
    assert order(deployment, FENCE)["restarted"] is True


def test_p10_a_fence_by_sql_needs_no_restart(deployment: Deployment) -> None:
    deployment.gate.seen.clear()
    order(deployment, FENCE)
    assert restarts(deployment) == 0


@pytest.mark.parametrize("region", [WRITER, STANDBY])
def test_neither_a_secondary_nor_a_writer_whose_group_is_left_alone_is_restarted(
    region: str, deployment: Deployment
) -> None:
    deployment.databases.up[region] = False
    deployment.gate.seen.clear()
    order(deployment, FENCE | {"group": region == STANDBY}, region)
    assert restarts(deployment) == 0


def test_p1_an_rds_that_does_not_answer_leaves_the_fence_by_sql(deployment: Deployment) -> None:
    deployment.trouble("rds.DescribeGlobalClusters", "refused", region=WRITER, times=10)
    state = order(deployment, FENCE)
    assert (state["by_sql"], state["by_group"], state["secondary"]) == (True, None, None)
    assert state["error"].startswith("TransientFailure: reading the members of payments-global-test")
    assert deployment.databases.fenced[WRITER]


def test_p1_sessions_that_do_not_end_are_no_fence(deployment: Deployment) -> None:
    deployment.databases.sessions_end = False
    state = order(deployment, FENCE)
    assert state["by_sql"] is False
    assert state["error"] == "SQL: sessions of applications do not end"


def test_the_readers_of_a_secondary_keep_their_sessions(deployment: Deployment) -> None:
    state = order(deployment, FENCE, STANDBY)
    assert (state["by_group"], state["secondary"]) == (False, True)
    assert deployment.databases.admits[STANDBY]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "the fence's event: field 'order' is missing; give one of fence, lift, look"),
        ({"order": "shut", "reason": "x"}, "field 'order' is 'shut'; give one of fence, lift, look, open"),
        ({"order": "fence"}, "field 'reason' is missing; give a text"),
        (FENCE | {"group": "no"}, "field 'group' is 'no'; give true or false"),
    ],
    ids=str,
)
def test_a_malformed_order_changes_nothing(event: dict[str, Any], message: str, deployment: Deployment) -> None:
    with pytest.raises(InvalidRequest) as raised:
        order(deployment, event)
    assert message in str(raised.value)
    assert deployment.databases.takes_writes(WRITER)


# --- the order from the other region

RUN = "run-1"


def claimed(deployment: Deployment, mode: str) -> dict[str, Any]:
    return {"run": RUN, "claim": deployment.call("claim", {"run": RUN, "input": {"mode": mode, "started_by": "ada"}})}


def fence_old_writer(deployment: Deployment, mode: str) -> dict[str, Any]:
    """The step's result, without its timing."""
    answer = deployment.call("fence_old_writer", claimed(deployment, mode))
    return {name: value for name, value in answer.items() if name != "timing"}


def test_p1_a_failover_has_the_old_writer_fenced_in_both_ways(deployment: Deployment) -> None:
    assert fence_old_writer(deployment, "failover") == {"fenced": True, "error": None, "writes_ended": True}
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, False)


def test_p1_a_switchover_has_it_fenced_by_sql_only(deployment: Deployment) -> None:
    assert fence_old_writer(deployment, "switchover") == {"fenced": True, "error": None, "writes_ended": True}
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, True)


def test_p4_the_role_is_assumed_through_this_regions_endpoint(deployment: Deployment) -> None:
    event = claimed(deployment, "failover")
    deployment.gate.seen.clear()
    deployment.call("fence_old_writer", event)
    asked = [(region, operation) for _, region, operation in deployment.gate.seen]
    assert asked[:2] == [(STANDBY, "sts.AssumeRole"), (WRITER, "lambda.Invoke")]


@pytest.mark.parametrize("operation", ["lambda.Invoke", "sts.AssumeRole"])
def test_p4_a_failover_goes_on_without_the_old_writers_region(operation: str, deployment: Deployment) -> None:
    deployment.trouble(operation, "refused", times=10, step="fence_old_writer")
    result = fence_old_writer(deployment, "failover")
    assert result["fenced"] is False
    assert "EndpointConnectionError" in result["error"]


def test_p4_the_old_writers_region_is_asked_once(deployment: Deployment) -> None:
    event = claimed(deployment, "failover")
    deployment.trouble("lambda.Invoke", "refused", region=WRITER, times=10)
    deployment.gate.seen.clear()
    deployment.call("fence_old_writer", event)
    assert [seen for _, region, seen in deployment.gate.seen if region == WRITER] == ["lambda.Invoke"]


def test_p1_a_switchover_does_not_go_on_without_it(deployment: Deployment) -> None:
    deployment.trouble("lambda.Invoke", "refused", times=10, step="fence_old_writer")
    with pytest.raises(FenceFailed, match="the fence of us-east-1 did not answer: invoking failover-fence-use1-test"):
        fence_old_writer(deployment, "switchover")


def test_p1_a_switchover_does_not_go_on_while_sessions_do_not_end(deployment: Deployment) -> None:
    deployment.databases.sessions_end = False
    with pytest.raises(FenceFailed, match="not fenced by SQL: SQL: sessions of applications do not end"):
        fence_old_writer(deployment, "switchover")


def test_a_failover_reports_a_fence_that_is_not_closed(deployment: Deployment) -> None:
    deployment.databases.sessions_end = False
    deployment.trouble("rds.DescribeGlobalClusters", "refused", region=WRITER, times=10)
    result = fence_old_writer(deployment, "failover")
    assert result["fenced"] is False
    assert "sessions of applications do not end" in result["error"]
