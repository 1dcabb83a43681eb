"""``failoverctl start``: what it says before it starts a run, and what it does not start."""

from __future__ import annotations

import json

import pytest

from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

WHO = "arn:aws:sts::123456789012:user/moto"


def started(deployment: Deployment, region: str = STANDBY, *, reprotect: bool = False) -> list[dict[str, object]]:
    """The inputs of the runs that were started."""
    names = deployment.specification.names
    machine = names.reprotection_arn(region) if reprotect else names.state_machine_arn(region)
    client = deployment.client("stepfunctions", region)
    found = client.list_executions(stateMachineArn=machine)["executions"]
    return [json.loads(client.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


def test_a_failover_says_what_it_may_lose_and_moves_the_writer(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    said = ctl("start", "--mode", "failover", "--yes", "--watch")
    assert said.code == 0
    assert "Failover: us-east-1 → us-west-2 (epoch 1)\n" in said.text
    assert "What it may lose: writes of the last moment before the outage, 1000 ms of them at most;" in said.text
    assert "Afterwards there is no standby until a re-protection (failoverctl start --mode reprotect)." in said.text
    assert "It was decided: proceed: the lock was free" in said.text
    assert "Claim  (an attempt may take" in said.text
    assert "Ended: recovered" in said.text
    assert deployment.record()["writer_region"] == STANDBY
    assert [run["started_by"] for run in started(deployment)] == [WHO]


def test_a_healthy_writer_is_said_to_refuse_a_failover(ctl: Ctl, deployment: Deployment) -> None:
    said = ctl("start", "--mode", "failover", "--yes", "--watch")
    assert (
        "As things stand it will be refused, for its guardian lives: a switchover moves a healthy writer." in said.text
    )
    assert said.code == 1
    assert "Ended: refused" in said.text
    assert deployment.record()["writer_region"] == WRITER


def test_a_switchover_and_the_way_back(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl("start", "--mode", "switchover", "--yes", "--watch").code == 0
    assert deployment.record()["writer_region"] == STANDBY
    deployment.new_writer_beats()
    said = ctl("start", "--mode", "failback", "--yes", "--watch")
    assert said.code == 0, said.text
    assert "Failback: us-west-2 → us-east-1 (epoch 2)\n" in said.text
    assert deployment.record()["writer_region"] == WRITER
    assert started(deployment, WRITER) == [{"mode": "switchover", "started_by": WHO}]


def test_a_rehearsal_changes_nothing(ctl: Ctl, deployment: Deployment) -> None:
    before = deployment.record()
    said = ctl("start", "--mode", "rehearsal", "--yes", "--watch")
    assert said.code == 0
    assert "every check of a failover, and nothing is changed" in said.text
    assert deployment.record() == before


def test_a_reprotection_starts_in_the_writers_region(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    assert ctl("start", "--mode", "failover", "--yes", "--watch").code == 0
    deployment.old_region_returns()
    said = ctl("start", "--mode", "reprotect", "--yes", "--watch", "--retire-without-asking")
    assert said.code == 0, said.text
    assert "Re-protection: us-east-1 is to be the standby of us-west-2 (epoch 2)" in said.text
    assert deployment.record()["protected"] is True
    assert started(deployment, STANDBY, reprotect=True) == [{"started_by": WHO, "retire_without_asking": True}]


def test_json_tells_the_run_and_what_was_decided(ctl: Ctl) -> None:
    said = ctl("start", "--mode", "rehearsal", "--yes", "--json")
    assert said.code == 0
    assert said.data["decided"]["decision"] == "proceed"
    assert said.data["run"]["name"].startswith("rehearsal-20")


# --- wrong use: clear words, the right exit code, and nothing is started


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mode", "failback"], "us-east-1 is the writer already (epoch 1), so there is nothing to fail back"),
        (["--mode", "reprotect"], "us-west-2 is already the standby (epoch 1); there is nothing to do"),
        (["--mode", "switchover", "--accept-data-loss"], "--accept-data-loss means nothing with --mode switchover"),
        (
            ["--mode", "failover", "--retire-without-asking"],
            "--retire-without-asking means nothing with --mode failover",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(ctl: Ctl, deployment: Deployment, words: list[str], says: str) -> None:
    said = ctl("start", *words, "--yes")
    assert said.code == 1
    assert says in said.text
    assert started(deployment) == []


def test_nobody_to_ask_is_a_no(ctl: Ctl, deployment: Deployment) -> None:
    said = ctl("start", "--mode", "switchover")
    assert said.code == 1
    assert "nobody is here to be asked; say --yes" in said.text
    assert started(deployment) == []


def test_without_a_standby_the_remedy_is_a_verb(ctl: Ctl, deployment: Deployment) -> None:
    deployment.change_record(protected=False)
    said = ctl("start", "--mode", "failover", "--yes")
    assert said.code == 1
    assert "Build a standby: `failoverctl start --mode reprotect`" in said.text
    assert started(deployment) == []


def test_a_second_operator_is_told_which_run_is_at_work(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    before = deployment.record()
    said = ctl("start", "--mode", "failover", "--yes")
    assert said.code == 1
    assert f"run {asking} is doing the work" in said.text
    assert f"Follow it: `failoverctl watch {asking}`; take over once it has stopped: --resumes {asking}" in said.text
    assert deployment.record() == before
    assert len(started(deployment)) == 1


def test_of_two_operators_at_once_the_second_changes_nothing(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read a free lock; the claims decide."""
    deployment.writer_dies()
    deployment.databases.heartbeat[STANDBY] = None
    from failoverctl import start as verb

    begin = verb.started

    def other_first(*given: object) -> object:
        monkeypatch.setattr(verb, "started", begin)
        deployment.start({"mode": "failover", "started_by": "grace"}, "run-of-grace")
        deployment.wait_for(lambda: deployment.lock() is not None, "the other operator's run has no lock")
        return begin(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(verb, "started", other_first)
    said = ctl("start", "--mode", "failover", "--yes", "--json")
    assert said.code == 1
    assert "changes nothing: run run-of-grace is doing the work" in said.data["reason"]
    lock = deployment.lock()
    assert lock is not None
    assert lock["run"] == "run-of-grace"


def test_who_may_not_start_is_told_which_policy(ctl: Ctl, deployment: Deployment) -> None:
    deployment.trouble("sfn.StartExecution", "AccessDeniedException")
    said = ctl("start", "--mode", "switchover", "--yes")
    assert said.code == 1
    assert "attach the policy failover-operators-test" in said.text
    assert started(deployment) == []


def test_a_start_without_an_answer_is_not_called_a_failure(ctl: Ctl, deployment: Deployment) -> None:
    deployment.trouble("sfn.StartExecution", "unanswered")
    said = ctl("start", "--mode", "switchover", "--yes")
    assert said.code == 2
    assert "got no answer, so it may have been done or not: look with `failoverctl status`" in said.text


def test_a_standby_region_that_is_dark_cannot_take_over(ctl: Ctl, deployment: Deployment) -> None:
    deployment.lose_region(STANDBY)
    said = ctl("start", "--mode", "failover", "--yes")
    assert said.code == 2
    assert deployment.record()["writer_region"] == WRITER
