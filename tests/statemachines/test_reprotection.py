"""The way back: the old cluster is kept, retired and made anew as the standby, whatever is killed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.rds.models import rds_backends

from handlers.core.approval import RETIREMENT_APPROVAL_S
from handlers.core.errors import RetirementForbidden
from handlers.core.reprotection import Order
from orchestration.specification import reprotection
from orchestration.specification.workflows import REPROTECT_ASL, asks_a_person, definition, tasks
from tests.deployment import ACCOUNT, CLOCK, OLDEST_XID, STANDBY, WRITER, Deployment, Run
from tests.handlers.commands import started_by
from tests.statemachines.conditions import Condition, approved_by, before, fence_is_lifted, nobody_answers, refused_by
from tests.statemachines.replayed import assert_the_simulator_goes_the_same_way
from tests.statemachines.scenarios import ASKED, SWITCHOVER
from tests.statemachines.test_definition import LAMBDA_FAILURES, caught, retried, statelint

MACHINE = definition(REPROTECT_ASL)
REQUEST = {"started_by": "ada", "retire_without_asking": True}
RUN, OTHER = "reprotect-1", "reprotect-0"
STEPS = (
    "begin_reprotection",
    "wait_for_old_region",
    "verify_fenced",
    "snapshot_old_cluster",
    "export_salvage",
    "retire_old_cluster",
    "build_global_database",
    "build_standby",
    "verify_replication",
    "arm_failover",
    "notify_reprotection",
)
# The requests to AWS of one invocation of the step that makes the most: the old cluster and what hangs on it.
MOST_REQUESTS = 14
KILLS = 7  # of a step in one run: as often as the workflow tries again
# Step Functions ends an execution whose history is longer (Step Functions guide, "Quotas").
LONGEST_HISTORY = 25_000
EVENTS_A_RETRY = 3  # scheduled, started, failed
# What the old writer has, what the new one has by the time of the export.
OLD_ROWS = {1: "replicated", 2: "changed since", 3: "it's lost", 4: "lost"}
NEW_ROWS = {1: "replicated", 2: "new value", 5: "new"}


@pytest.fixture
def failed_over(deployment: Deployment) -> Deployment:
    """After a failover: the old region has come back, with writes that never reached the new writer."""
    deployment.writer_dies()
    deployment.databases.rows = {WRITER: dict(OLD_ROWS), STANDBY: {1: "replicated", 2: "changed since"}}
    assert deployment.run(ASKED).end == "Recovered"
    deployment.databases.rows[STANDBY] = dict(NEW_ROWS)
    deployment.old_region_returns()
    return deployment


def reprotect(deployment: Deployment, request: dict[str, Any] = REQUEST, name: str = RUN) -> Run:
    run = deployment.run(request, name, STANDBY, reprotect=True)
    assert_the_simulator_goes_the_same_way(MACHINE, run)
    return run


def cluster(deployment: Deployment, region: str = WRITER) -> Any:
    with deployment.gate.wide_open():
        name = deployment.specification.regions[region].cluster.identifier
        found = deployment.client("rds", region).describe_db_clusters(DBClusterIdentifier=name)
    return {key: value for key, value in found["DBClusters"][0].items() if key != "LatestRestorableTime"}  # it runs


def instances(deployment: Deployment, region: str = WRITER) -> list[Any]:
    with deployment.gate.wide_open():
        found: list[Any] = deployment.client("rds", region).describe_db_instances()["DBInstances"]
    return [{key: value for key, value in one.items() if key != "LatestRestorableTime"} for one in found]


def kept(deployment: Deployment, name: str) -> str:
    with deployment.gate.wide_open():
        bucket = deployment.specification.regions[STANDBY].salvage_bucket
        found = deployment.client("s3", STANDBY).get_object(Bucket=bucket, Key=f"epoch-2/{name}")
        return str(found["Body"].read().decode())


def snapshots(deployment: Deployment) -> list[Any]:
    with deployment.gate.wide_open():
        found = deployment.client("rds", WRITER).describe_db_cluster_snapshots(SnapshotType="manual")
    return list(found["DBClusterSnapshots"])


def settings(description: dict[str, Any]) -> dict[str, Any]:
    """What Terraform knows of a cluster or an instance: all but what RDS draws, and who replicates from whom."""
    volatile = {"ClusterCreateTime", "InstanceCreateTime", "DbClusterResourceId", "DbiResourceId", "VpcSecurityGroups"}
    volatile |= {"EarliestRestorableTime", "HostedZoneId", "MasterUsername", "DatabaseName"}
    volatile |= {"GlobalClusterIdentifier", "GlobalWriteForwardingStatus"}
    return {name: value for name, value in description.items() if name not in volatile}


def assert_reprotected(deployment: Deployment) -> None:
    record = deployment.record()
    assert record["protected"] is True
    assert not {"reprotection", "retiring", "replicated_xid", "unfenced_region", "transition"} & set(record)
    assert (record["writer_region"], record["epoch"]) == (STANDBY, 2)
    assert deployment.members() == {WRITER, STANDBY}
    assert deployment.primaries() == {STANDBY}
    assert cluster(deployment)["Status"] == "available"
    assert [one["DBInstanceStatus"] for one in instances(deployment)] == ["available"] * 2
    assert deployment.databases.admits == {WRITER: True, STANDBY: True}
    assert deployment.databases.open_writers() == {STANDBY}
    assert deployment.databases.rows[WRITER] == deployment.databases.rows[STANDBY]
    (snapshot,) = snapshots(deployment)
    assert snapshot["Status"] == "available"
    assert json.loads(kept(deployment, "salvage.json"))["missing"] == 2


# --- the run


def test_the_old_cluster_is_kept_and_made_anew_as_it_was(failed_over: Deployment) -> None:
    before, members_before = cluster(failed_over), instances(failed_over)
    run = reprotect(failed_over)
    assert run.end == "Reprotected"
    assert_reprotected(failed_over)
    after = cluster(failed_over)
    assert after["DbClusterResourceId"] != before["DbClusterResourceId"]
    assert settings(after) == settings(before)
    assert list(map(settings, instances(failed_over))) == list(map(settings, members_before))
    (snapshot,) = snapshots(failed_over)
    assert snapshot["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert "MasterUsername" not in json.loads(kept(failed_over, "old-cluster.json"))["cluster"]


def test_what_was_never_replicated_is_a_file_to_read_and_replay(failed_over: Deployment) -> None:
    reprotect(failed_over)
    text = kept(failed_over, "salvage-001.sql")
    lines = [line for line in text.splitlines() if "public.transfers" in line]
    literal = (
        'SELECT transfer(id, note) FROM jsonb_populate_record(NULL::public.transfers, \'{"id": %d, "note": "%s"}\');'
    )
    assert lines == [
        '-- different in public.transfers: {"id": 2, "note": "changed since"}',
        literal % (3, "it''s lost"),
        literal % (4, "lost"),
    ]
    assert json.loads(kept(failed_over, "salvage.json"))["horizon"] == OLDEST_XID


def test_people_are_told_with_the_command_of_the_failback_and_the_record_is_kept(failed_over: Deployment) -> None:
    reprotect(failed_over)
    for region in (WRITER, STANDBY):
        subject, text = failed_over.messages(region)[-1]
        assert subject == "Re-protected: us-east-1 is the standby of us-west-2"
        assert "2 rows are missing on the new writer, 1 are different there (1 file in s3://" in text
        assert started_by(text) == [{"mode": "switchover"}]
    record = failed_over.run_record(RUN)
    assert record is not None
    assert (record["kind"], record["outcome"], record["approved_by"]) == ("re-protection", "reprotected", "ada")
    assert record["salvage"]["missing"] == 2
    assert {"fenced", "snapshot", "salvage", "retired", "standby", "armed"} <= set(record["steps"])


def test_the_failback_is_the_switchover_that_the_message_offers(failed_over: Deployment) -> None:
    reprotect(failed_over)
    failed_over.new_writer_beats()
    (request,) = started_by(failed_over.messages(STANDBY)[-1][1])
    assert failed_over.run(request | {"started_by": "ada"}, "failback", WRITER).end == "Recovered"
    record = failed_over.record()
    assert (record["writer_region"], record["epoch"], record["protected"]) == (WRITER, 3, True)
    assert failed_over.primaries() == {WRITER}
    assert failed_over.databases.open_writers() == {WRITER}


def test_p9_a_standby_that_follows_already_is_armed_and_nothing_is_retired(deployment: Deployment) -> None:
    """A failover took a switchover over, and RDS finished the switchover: the record says that there is no standby."""
    assert deployment.run(SWITCHOVER).end == "Recovered"
    deployment.change_record(protected=False, unfenced_region=WRITER)
    before = cluster(deployment)
    assert reprotect(deployment, {"started_by": "ada"}).end == "Reprotected"
    record = deployment.record()
    assert (record["protected"], record.get("unfenced_region"), record.get("reprotection")) == (True, None, None)
    assert cluster(deployment)["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert deployment.primaries() == {STANDBY}
    subject, text = deployment.messages(STANDBY)[-1]
    assert subject == "Re-protected: us-east-1 is the standby of us-west-2"
    assert "is a secondary of payments-global-test already" in text
    assert "Not done" not in text


# --- approval


def test_without_leave_at_the_start_a_person_is_asked(failed_over: Deployment) -> None:
    approved_by("grace")(failed_over)
    run = reprotect(failed_over, {"started_by": "ada"})
    assert run.end == "Reprotected"
    (question,) = [text for subject, text in failed_over.messages(STANDBY) if subject.startswith("RE-PROTECTION ASKS")]
    assert "the snapshot payments-use1-test-epoch-2-" in question
    assert "2 rows are missing on the new writer" in question
    record = failed_over.run_record(RUN)
    assert record is not None
    assert record["approved_by"] == "grace"
    assert_reprotected(failed_over)


@pytest.mark.parametrize("given", [refused_by("grace", reason="not today"), nobody_answers], ids=["no", "never"])
def test_a_retirement_that_nobody_approves_leaves_the_old_cluster_as_it_is(
    given: Condition, failed_over: Deployment
) -> None:
    old = cluster(failed_over)
    given(failed_over)
    assert reprotect(failed_over, {"started_by": "ada"}).end == "Held"
    assert cluster(failed_over) == old
    assert len(instances(failed_over)) == 2
    assert failed_over.members() == {WRITER}
    assert failed_over.record()["protected"] is False
    assert "reprotection" not in failed_over.record()
    assert failed_over.messages(STANDBY)[-1][0] == "Re-protection held: the old cluster stays as it is"
    assert reprotect(failed_over, name="reprotect-2").end == "Reprotected"


def test_a_person_has_as_long_to_answer_as_the_message_says() -> None:
    assert MACHINE["States"]["AskRetirement"]["TimeoutSeconds"] == RETIREMENT_APPROVAL_S


# --- one run, and none where it has no business


@pytest.mark.parametrize("bad", [{}, {"started_by": "ada", "force": True}, {"started_by": "ada", "resumes": 7}, "text"])
def test_a_request_that_is_none_changes_nothing(bad: Any, failed_over: Deployment) -> None:
    before = failed_over.record()
    run = reprotect(failed_over, bad)
    assert (run.end, run.error) == ("RejectRequest", "InvalidRequest")
    assert failed_over.record() == before


def test_where_there_is_a_standby_nothing_is_done(deployment: Deployment) -> None:
    for region, reason in ((WRITER, "us-west-2 is already the standby"), (STANDBY, "us-east-1 is the writer; ")):
        run = deployment.run(REQUEST, f"reprotect-{region}", region, reprotect=True)
        assert run.end == "Refused"
        assert reason in run.output["order"]["reason"]
    assert deployment.members() == {WRITER, STANDBY}


def test_p2_of_two_re_protections_one_works_and_the_other_names_it(failed_over: Deployment) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    refused = failed_over.run(REQUEST, "reprotect-2", STANDBY, reprotect=True)
    assert refused.end == "Refused"
    assert f'start this workflow with "resumes": "{OTHER}"' in refused.output["order"]["reason"]
    assert failed_over.record()["reprotection"]["run"] == OTHER


@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_without_a_standby_nobody_moves_the_writer(mode: str, failed_over: Deployment) -> None:
    """The old cluster has a history of its own: whoever promoted it would lose what the new writer has taken since."""
    failed_over.databases.up[STANDBY] = False
    run = failed_over.run({"mode": mode, "started_by": "ada"}, "run-2", WRITER)
    assert run.end == "Refused"
    assert "us-east-1 cannot take over before it has been re-protected" in run.output["claim"]
    assert failed_over.record()["writer_region"] == STANDBY


def test_the_step_of_a_run_that_was_taken_over_changes_nothing_more(failed_over: Deployment) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    order = order_of(failed_over, OTHER)
    failed_over.change_record(reprotection={"run": RUN, "started_by": "grace", "started_at": 1})
    for step in ("verify_fenced", "snapshot_old_cluster", "build_global_database", "build_standby", "arm_failover"):
        with pytest.raises(Exception, match=f"run {RUN} holds it"):
            ask(failed_over, step, order)


def order_of(deployment: Deployment, run: str) -> dict[str, Any]:
    order = Order("proceed", "the lock was free", run, "ada", STANDBY, WRITER, 2, retire_without_asking=True)
    assert deployment.record()["reprotection"]["run"] == run
    return {name: getattr(order, name) for name in order.__dataclass_fields__}


def ask(deployment: Deployment, step: str, order: dict[str, Any], **more: Any) -> Any:
    deployment.lambdas.before = deployment.lambdas.after = lambda step, event: None
    return deployment.call(step, {"run": order["run"], "order": order} | more, STANDBY)


# --- retiring is impossible without what it needs


def lifted_written_and_fenced_again(deployment: Deployment) -> None:
    """By somebody who has let an application in for a while."""
    deployment.databases.rows[WRITER][6] = "written since"
    deployment.databases.fence_number[WRITER] += 1


def fenced_again(deployment: Deployment) -> None:
    """The fence was lifted, as far as anybody can tell, and nothing was written."""
    deployment.databases.fence_number[WRITER] += 1


def written_by_the_owner(deployment: Deployment) -> None:
    """Whom no fence keeps out."""
    deployment.databases.rows[WRITER][6] = "written since"


def open_group(deployment: Deployment) -> None:
    name = deployment.specification.regions[WRITER].cluster.identifier
    with deployment.gate.wide_open():
        deployment.client("rds", WRITER).modify_db_cluster(
            DBClusterIdentifier=name, VpcSecurityGroupIds=["sg-database-us-east-1"]
        )


def stored_snapshot(deployment: Deployment) -> Any:
    (snapshot,) = snapshots(deployment)
    return rds_backends[ACCOUNT][WRITER].cluster_snapshots[snapshot["DBClusterSnapshotIdentifier"]]


def remove_snapshot(deployment: Deployment) -> None:
    (snapshot,) = snapshots(deployment)
    with deployment.gate.wide_open():
        deployment.client("rds", WRITER).delete_db_cluster_snapshot(
            DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"]
        )


def incomplete_snapshot(deployment: Deployment) -> None:
    stored_snapshot(deployment).status = "creating"


def change_kept(name: str, **changes: Any) -> Condition:
    def change(deployment: Deployment) -> None:
        data = json.loads(kept(deployment, name)) | changes
        with deployment.gate.wide_open():
            deployment.client("s3", STANDBY).put_object(
                Bucket=deployment.specification.regions[STANDBY].salvage_bucket,
                Key=f"epoch-2/{name}",
                Body=json.dumps(data).encode(),
            )

    return change


def remove_summary(deployment: Deployment) -> None:
    with deployment.gate.wide_open():
        deployment.client("s3", STANDBY).delete_object(
            Bucket=deployment.specification.regions[STANDBY].salvage_bucket, Key="epoch-2/salvage.json"
        )


LACKS: dict[str, tuple[tuple[Condition, ...], str]] = {
    "not fenced by SQL": ((fence_is_lifted,), "it is not seen to be fenced by SQL"),
    "not fenced by group": ((open_group,), "it is not seen to be fenced by its security group"),
    "written since": (
        (lifted_written_and_fenced_again,),
        "its fence was lifted, or it was written, since it was fenced",
    ),
    "fenced again": ((fenced_again,), "its fence was lifted, or it was written"),
    "written by its owner": ((written_by_the_owner,), "its fence was lifted, or it was written"),
    "no snapshot": ((remove_snapshot,), "there is no snapshot of it"),
    "half a snapshot": ((incomplete_snapshot,), "is not complete"),
    "another fence since": (
        (change_kept("old-cluster.json", fenced_at=4_000_000_000.0),),
        "there is no snapshot of it",
    ),
    "no export": ((remove_summary,), "its unreplicated writes have not been exported"),
    "half an export": ((change_kept("salvage.json", done=False),), "its unreplicated writes have not been exported"),
    "export of another": ((change_kept("salvage.json", resource_id="cluster-X"),), "have not been exported"),
    "export before the fence": ((change_kept("salvage.json", salvaged_at=1.0),), "exported before it was fenced"),
    "no approval": ((), "nobody has approved it"),
}


@pytest.mark.parametrize(("given", "reason"), LACKS.values(), ids=LACKS)
def test_nothing_is_retired_that_is_not_fenced_kept_exported_and_approved(
    given: tuple[Condition, ...], reason: str, failed_over: Deployment
) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    for condition in given:
        condition(failed_over)
    approval = {"approval": {"approved_by": "grace"}} if given else {}
    before = cluster(failed_over), instances(failed_over), failed_over.members(), failed_over.record()
    with pytest.raises(Exception, match=reason) as refused:
        ask(failed_over, "retire_old_cluster", order_of(failed_over, OTHER), **approval)
    assert type(refused.value).__name__ == RetirementForbidden.__name__
    assert (cluster(failed_over), instances(failed_over), failed_over.members(), failed_over.record()) == before


def test_p7_what_was_written_after_the_export_is_kept_and_exported_by_the_next_run(failed_over: Deployment) -> None:
    """The old cluster was retired although its fence was lifted, written through and put up again after the export."""
    failed_over.lambdas.before = lambda step, event: (
        lifted_written_and_fenced_again(failed_over) if step == "retire_old_cluster" else None
    )
    stopped = reprotect(failed_over, name=OTHER)
    assert stopped.end == "NeedsPerson"
    assert "start the workflow again, which keeps and exports it anew" in failed_over.messages(STANDBY)[-1][1]
    assert len(instances(failed_over)) == 2
    CLOCK.sleep(1)  # snapshots are named by the second
    failed_over.old_region_returns()
    assert reprotect(failed_over).end == "Reprotected"
    assert '"written since"' in kept(failed_over, "salvage-001.sql")
    assert len(snapshots(failed_over)) == 2


def test_p7_a_table_that_may_not_be_read_is_said_so_and_a_person_decides(failed_over: Deployment) -> None:
    """It used to stop the salvage for good; and nobody is to approve unseen what nobody could read."""
    failed_over.databases.unreadable = {"payroll.salaries"}
    approved_by("grace")(failed_over)
    assert reprotect(failed_over).end == "Reprotected"  # although the order says that nobody has to be asked
    (question,) = [text for subject, text in failed_over.messages(STANDBY) if subject.startswith("RE-PROTECTION ASKS")]
    assert "NOT READ, so nobody knows what of them is lost: payroll.salaries (permission denied (42501))" in question
    assert "GRANT pg_read_all_data" in question
    assert "-- NOT READ payroll.salaries: permission denied (42501)." in kept(failed_over, "salvage-001.sql")
    summary = json.loads(kept(failed_over, "salvage.json"))
    assert (summary["missing"], summary["everything_read"]) == (2, False)
    assert "NOT READ" in failed_over.messages(STANDBY)[-1][1]


def test_p7_an_approval_given_beforehand_does_not_cover_a_table_that_was_not_read(failed_over: Deployment) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    change_kept("salvage.json", unread="payroll.salaries")(failed_over)
    order, answer = order_of(failed_over, OTHER), {"approved_by": "ada", "unseen": True}
    with pytest.raises(Exception, match="nobody who knew of it has approved that tables were not read"):
        ask(failed_over, "retire_old_cluster", order, approval=answer)


def test_a_cluster_that_is_not_the_old_one_is_never_retired(failed_over: Deployment) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    change_kept("old-cluster.json", resource_id="cluster-THE-OLD-ONE")(failed_over)
    before = cluster(failed_over)
    with pytest.raises(Exception, match="is gone, and no run has retired it"):
        ask(failed_over, "retire_old_cluster", order_of(failed_over, OTHER), approval={"approved_by": "grace"})
    assert cluster(failed_over) == before


def test_a_snapshot_that_disappears_stops_even_a_retirement_that_has_begun(failed_over: Deployment) -> None:
    failed_over.run_until("export_salvage", REQUEST, OTHER, STANDBY, reprotect=True)
    failed_over.change_record(retiring=cluster(failed_over)["DbClusterResourceId"])
    remove_snapshot(failed_over)
    with pytest.raises(Exception, match="there is no snapshot of it"):
        ask(failed_over, "retire_old_cluster", order_of(failed_over, OTHER))
    assert len(instances(failed_over)) == 2


# --- P3: whatever is killed


def test_no_step_makes_more_requests_than_are_killed_below(failed_over: Deployment) -> None:
    failed_over.gate.seen.clear()
    reprotect(failed_over)
    of_step = {step: [operation for by, _, operation in failed_over.gate.seen if by == step] for step in STEPS}
    rounds = {step: failed_over.lambdas.calls.count(step) for step in STEPS}
    assert all(of_step.values())
    assert max(len(of_step[step]) / rounds[step] for step in STEPS) <= MOST_REQUESTS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("first", range(0, MOST_REQUESTS, KILLS), ids=lambda first: f"from {first}")
def test_p3_every_step_of_a_re_protection_is_killed_at_each_of_its_requests(
    first: int, after: bool, failed_over: Deployment
) -> None:
    """A step is killed at one request; when it is tried again it is killed at the next one, and so on."""
    for step in STEPS:
        made = 0
        for request in range(first, first + KILLS):
            failed_over.trouble("*", "killed", step=step, skip=made + request, after=after)
            made += request + 1
    assert reprotect(failed_over).end == "Reprotected"
    assert sum(trouble.times == 0 for trouble in failed_over.gate.troubles) >= len(STEPS)
    assert_reprotected(failed_over)


@pytest.mark.parametrize("step", STEPS)
def test_p3_a_re_protection_stands_still_after_a_step_and_another_resumes_it(
    step: str, failed_over: Deployment
) -> None:
    failed_over.run_until(step, REQUEST, OTHER, STANDBY, reprotect=True)
    failed_over.lambdas.after = lambda step, event: None
    failed_over.old_region_returns()
    resumed = reprotect(failed_over, REQUEST | {"resumes": OTHER})
    assert resumed.end == ("Refused" if failed_over.record().get("last_reprotection") == OTHER else "Reprotected")
    assert_reprotected(failed_over)


@pytest.mark.parametrize("request_number", range(8))
def test_p3_a_retirement_that_was_stopped_half_way_is_finished_by_another_run(
    request_number: int, failed_over: Deployment
) -> None:
    """The first run stops for good at one of the requests that remove something; there is only the way forward."""
    failed_over.trouble("*", "AccessDenied", step="retire_old_cluster", skip=20 + request_number, times=1, status=403)
    first = reprotect(failed_over, name=OTHER)
    assert first.end in ("NeedsPerson", "Reprotected")
    if first.end == "NeedsPerson":
        assert "reprotection" not in failed_over.record()
        assert failed_over.messages(STANDBY)[-1][0] == "RE-PROTECTION STOPPED: a person is needed"
        assert reprotect(failed_over).end == "Reprotected"
    assert_reprotected(failed_over)


@pytest.mark.parametrize("step", STEPS[1:-1])
def test_a_step_that_fails_for_good_tells_a_person_and_can_be_gone_on_with(step: str, failed_over: Deployment) -> None:
    failed_over.fail(step, "Misconfigured")
    stopped = reprotect(failed_over, name=OTHER)
    assert stopped.end == "NeedsPerson"
    _, text = failed_over.messages(STANDBY)[-1]
    assert "Error: Misconfigured" in text
    assert started_by(text) == [{"mode": "reprotect"}]
    assert reprotect(failed_over).end == "Reprotected"
    assert_reprotected(failed_over)


def test_an_old_region_that_comes_back_late_is_waited_for(failed_over: Deployment) -> None:
    failed_over.trouble("*", "refused", region=WRITER, step="wait_for_old_region", times=100)
    assert reprotect(failed_over).end == "Reprotected"
    assert failed_over.lambdas.calls.count("wait_for_old_region") == 101
    assert_reprotected(failed_over)


def test_an_old_cluster_that_somebody_has_removed_is_said_so(failed_over: Deployment) -> None:
    name = failed_over.specification.regions[WRITER].cluster.identifier
    rds_backends[ACCOUNT][WRITER].clusters.pop(name)
    run = reprotect(failed_over)
    assert run.end == "NeedsPerson"
    assert f"there is no cluster {name}, and no re-protection has retired it" in failed_over.messages(STANDBY)[-1][1]
    with pytest.raises(ClientError):
        cluster(failed_over)


def standby_has_no_heartbeat(times: int) -> Condition:
    left = iter(range(times))

    def forget(deployment: Deployment) -> None:
        if next(left, None) is not None:
            deployment.databases.heartbeat[WRITER] = None

    return forget


def test_a_standby_that_does_not_catch_up_does_not_arm(failed_over: Deployment) -> None:
    before("verify_replication", standby_has_no_heartbeat(times=5))(failed_over)
    assert reprotect(failed_over).end == "Reprotected"
    assert failed_over.lambdas.calls.count("verify_replication") == 6
    assert_reprotected(failed_over)


# --- the definition


def test_a_history_never_outgrows_what_step_functions_keeps() -> None:
    # Finishing a retirement takes the place of retiring.
    visited = [state for name, _, state in tasks(MACHINE) if name != "RetireOldClusterContinued"]
    retries = sum(retrier["MaxAttempts"] for state in visited for retrier in state["Retry"])
    # A task that succeeds has five events, entered and left included.
    assert retries * EVENTS_A_RETRY + 10 * len(MACHINE["States"]) < LONGEST_HISTORY


TASKS = {name: (step, state) for name, step, state in tasks(MACHINE)}
BY_TASK = pytest.mark.parametrize("task", TASKS)
# These ask to be called again, by their own meaning.
ASK_AGAIN = {
    "wait_for_old_region": {"OldRegionSilent"},
    "verify_fenced": {"FenceFailed"},
    "snapshot_old_cluster": {"SnapshotPending"},
    "retire_old_cluster": {"RetirementPending"},
    "build_global_database": {"RebuildPending"},
    "build_standby": {"RebuildPending"},
    "verify_replication": {"ReplicationBehind"},
    "ask_retirement": {"NotificationFailed"},
    "notify_reprotection": {
        "NotificationFailed",
        "IdempotencyAlreadyInProgressError",
    },
}


@pytest.mark.parametrize("region", [WRITER, STANDBY])
def test_statelint_finds_nothing_in_the_deployed_definition(region: str, tmp_path: Path) -> None:
    deployed = tmp_path / "reprotect.asl.json"
    with Deployment() as deployment:
        deployed.write_text(deployment.specification.regions[region].reprotection.definition)
    result = statelint(deployed)
    assert result.returncode == 0, result.stdout
    assert "${" not in deployed.read_text()


@BY_TASK
def test_every_task_retries_what_a_retry_may_cure_and_nothing_else(task: str) -> None:
    step, state = TASKS[task]
    wanted = LAMBDA_FAILURES | {"TransientFailure"} | ASK_AGAIN.get(step, set())
    assert retried(state) == (wanted - {"States.Timeout"} if asks_a_person(state) else wanted)


@BY_TASK
def test_every_task_is_named_as_its_step_and_its_errors_lead_to_an_end(task: str) -> None:
    step, state = TASKS[task]
    assert task.startswith("".join(word.capitalize() for word in step.split("_")))
    assert "States.ALL" in caught(state)
    assert len(state["Comment"]) > 20
    assert state["Parameters"]["Payload"]["run.$"] == "$$.Execution.Name"


def test_every_step_is_a_task_and_every_task_a_step() -> None:
    assert {step for step, _ in TASKS.values()} == {row.name for row in reprotection.STEPS}
