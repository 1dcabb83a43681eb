"""P4: no workflow depends on a control plane that lives in one region, and a failover on nothing of the failed one."""

from __future__ import annotations

import pytest

from orchestration.specification.workflows import FAILOVER_ASL, definition, tasks
from tests.deployment import STANDBY, WRITER
from tests.rights.independence import DETECTION, FAILOVER, SWITCHOVER, WORKFLOWS, Workflow, calls
from tests.rights.journeys import JOURNEYS, travel


def test_p4_every_endpoint_that_anything_asks_is_of_one_region() -> None:
    everything = [call for journey in JOURNEYS for call in travel(journey.name).calls]
    assert {call.region for call in everything} == {WRITER, STANDBY}
    of_none = [call for call in everything if f".{call.region}." not in call.host]
    # Whether a failover would work is asked of Route 53's control plane as well, and nothing waits for the answer.
    assert {(call.step, call.host) for call in of_none} == {("readiness", "route53.amazonaws.com")}


def test_p4_a_failover_asks_the_failed_region_for_nothing_that_it_needs() -> None:
    asked = {call.step for call in calls(FAILOVER) if call.region != STANDBY}
    assert asked == {"fence_old_writer", "notify"} <= FAILOVER.best_effort


@pytest.mark.parametrize("workflow", [FAILOVER, SWITCHOVER], ids=lambda workflow: workflow.title)
def test_p4_a_step_of_best_effort_leads_on_however_it_ends(workflow: Workflow) -> None:
    own = {"FenceOldWriterFirst"} if workflow is FAILOVER else {"FenceOldWriter"}  # of the other one of the two
    for name, step, state in tasks(definition(FAILOVER_ASL)):
        if step in workflow.best_effort and name not in own:
            (caught,) = [one for one in state["Catch"] if one["ErrorEquals"] == ["States.ALL"]]
            assert caught["Next"] not in ("ReleaseClaimAfterFailure", "OutcomeNeedsPerson"), name


def test_p4_the_monitor_asks_the_lost_region_for_nothing_but_metrics_the_fence_and_the_tables_replica() -> None:
    asked = {(call.role, call.action) for call in calls(DETECTION) if call.region == WRITER}
    assert asked <= {
        ("failover-monitor-usw2-test", "cloudwatch:PutMetricData"),
        ("failover-monitor-usw2-test", "dynamodb:GetItem"),
        ("failover-monitor-usw2-test", "dynamodb:UpdateItem"),
        ("failover-peer-use1-test", "lambda:InvokeFunction"),
    }


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.title)
def test_every_workflow_was_played(workflow: Workflow) -> None:
    assert calls(workflow)
