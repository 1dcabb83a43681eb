"""``failoverctl approve`` and ``reject``: no token is pasted, and whoever comes too late is told so."""

from __future__ import annotations

from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

WHO = "arn:aws:sts::123456789012:user/moto"


def test_an_approval_moves_the_writer_and_is_kept_under_the_persons_identity(
    ctl: Ctl, deployment: Deployment, asking: str
) -> None:
    said = ctl("approve", asking, "--yes")
    assert said.code == 0, said.text
    assert "Writes may be lost: replication lag is unknown" in said.text
    assert f"Approved by {WHO}. Follow it: failoverctl watch {asking}" in said.text
    deployment.wait_for_end(asking)
    assert deployment.record()["writer_region"] == STANDBY
    kept = deployment.run_record(asking)
    assert kept is not None
    assert kept["approved_by"] == WHO


def test_the_run_need_not_be_named_where_one_alone_asks(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    assert ctl("approve", "--yes").code == 0
    deployment.wait_for_end(asking)
    assert deployment.record()["writer_region"] == STANDBY


def test_a_rejection_leaves_the_writer_and_ends_the_attempts(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    said = ctl("reject", asking, "--reason", "wait for finance", "--yes")
    assert said.code == 0, said.text
    deployment.wait_for_end(asking)
    assert deployment.record()["writer_region"] == WRITER
    assert "ended_by_person" in deployment.record()
    assert "refused" in ctl("show", asking).text


def test_a_retirement_is_approved_by_the_same_verb(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    assert ctl("start", "--mode", "failover", "--yes", "--watch").code == 0
    deployment.old_region_returns()
    told = len(deployment.messages(STANDBY))
    deployment.start({"started_by": "ada"}, "reprotect-1", reprotect=True)
    deployment.wait_for(lambda: len(deployment.messages(STANDBY)) > told, "nobody is asked")
    said = ctl("approve", "--yes")
    assert said.code == 0, said.text
    assert "It would remove the old cluster in us-east-1 and build it anew as the standby of us-west-2" in said.text
    assert "Salvage: " in said.text
    deployment.wait_for_end("reprotect-1")
    assert deployment.record()["protected"] is True


# --- wrong use


def test_an_unknown_run(ctl: Ctl) -> None:
    said = ctl("approve", "no-such-run", "--yes")
    assert said.code == 1
    assert said.text.startswith("Refused: there is no run no-such-run in us-east-1 or us-west-2. `failoverctl runs`")


def test_a_run_that_asks_nothing(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "run-r")
    said = ctl("approve", "run-r", "--yes")
    assert said.code == 1
    assert "run run-r asks nothing (rehearsed)" in said.text
    assert ctl("approve", "--yes").text == "Refused: no run asks anything; `failoverctl runs` lists the last ones\n"


def test_an_expired_question_says_when_and_what_to_do(ctl: Ctl, deployment: Deployment, asking_shortly: str) -> None:
    deployment.wait_for_end(asking_shortly)
    before = deployment.record()
    said = ctl("approve", asking_shortly, "--yes")
    assert said.code == 1
    assert f"too late: run {asking_shortly} asked at " in said.text
    assert "the question expired at " in said.text
    assert "the next attempt asks again within a minute" in said.text
    assert "`failoverctl start --mode failover --accept-data-loss`" in said.text
    assert deployment.record() == before


def test_of_two_operators_the_second_is_told_who_answered(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    assert ctl("approve", asking, "--yes").code == 0
    deployment.wait_for_end(asking)
    after = deployment.record()
    said = ctl("reject", asking, "--reason", "no", "--yes")
    assert said.code == 1
    assert f"somebody was there before: run {asking} was approved at " in said.text
    assert WHO in said.text
    assert deployment.record() == after


def test_an_answer_that_is_late_by_a_moment(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    """The question is seen to wait, and has ended when the answer arrives."""
    deployment.trouble("sfn.SendTaskSuccess", "TaskTimedOut")
    said = ctl("approve", asking, "--yes")
    assert said.code == 1
    assert f"run {asking} has ended without an answer" in said.text
    assert deployment.record()["writer_region"] == WRITER


def test_who_may_not_answer_is_told_which_policy(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    deployment.trouble("sfn.SendTaskSuccess", "AccessDeniedException")
    said = ctl("approve", asking, "--yes")
    assert said.code == 1
    assert "attach the policy failover-operators-test" in said.text
    assert deployment.record()["writer_region"] == WRITER


def test_in_the_dark_region_there_may_be_the_run(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    deployment.lose_region(STANDBY)
    said = ctl("approve", asking, "--yes")
    assert said.code == 2
    assert f"there is no run {asking} in us-east-1, and us-west-2 gives no answer: it may be there" in said.text
