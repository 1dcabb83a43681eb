"""``failoverctl runs``, ``show`` and ``watch``."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace

import pytest

from failoverctl import timeline
from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

REHEARSAL = {"mode": "rehearsal", "started_by": "ada"}
FAILOVER = {"mode": "failover", "started_by": "ada"}


def test_runs_of_both_regions_the_newest_first(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run(REHEARSAL, "run-1")
    deployment.run(REHEARSAL, "run-2", WRITER)
    said = ctl("runs")
    assert said.code == 0
    assert [line.split()[0] for line in said.text.splitlines()] == ["Run", "run-2", "run-1"]
    assert [line.split()[-1] for line in said.text.splitlines()] == ["Ended", "rehearsed", "rehearsed"]
    assert [run["region"] for run in ctl("runs", "--json").data["runs"]] == [WRITER, STANDBY]
    assert len(ctl("runs", "--most", "1", "--json").data["runs"]) == 2  # of each region


def test_a_run_that_was_refused_is_not_listed_as_if_it_had_done_its_work(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run(FAILOVER, "run-1")  # the writer lives
    assert ctl("runs").text.splitlines()[1].endswith(" refused")


def test_runs_whose_outcomes_get_no_answer_are_listed_all_the_same(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run(REHEARSAL, "run-1")
    deployment.trouble("sfn.DescribeExecution", "ServiceUnavailable", times=100)
    assert ctl("runs").text.splitlines()[1].endswith(" succeeded")


def test_no_runs(ctl: Ctl) -> None:
    assert ctl("runs").text == "There have been no runs.\n"


def test_runs_without_a_region_say_whose_are_missing(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run(REHEARSAL, "run-1")
    deployment.lose_region(WRITER)
    said = ctl("runs")
    assert said.code == 0
    assert "run-1" in said.text
    assert "No answer from us-east-1 (EndpointConnectionError): its runs are not in this list." in said.text


def test_show_says_who_why_and_what_it_cost(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    said = ctl("show", "run-1")
    assert said.code == 0
    assert "Run run-1 of failover in us-west-2: recovered\n" in said.text
    assert "Asked for: failover, by ada\n" in said.text
    assert "Decided: proceed: the lock was free\n" in said.text
    assert re.search(r"^ *\+\d+\.\d s  Claim +\d+\.\d s +\d+ s *$", said.text, re.MULTILINE)
    assert "Writer            us-east-1 → us-west-2, epoch 1 → 2\n" in said.text
    data = ctl("show", "run-1", "--json").data
    assert data["run"]["output"]["outcome"] == "recovered"
    assert data["states"][0]["name"] == "Claim"


def test_a_token_is_never_shown(ctl: Ctl, asking: str) -> None:
    for words in (("show", asking, "--json"), ("status", "--json"), ("show", asking)):
        said = ctl(*words)
        assert "token" not in said.text, words


def test_show_of_a_forgotten_run_reads_the_table(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    deployment.trouble("sfn.DescribeExecution", "ExecutionDoesNotExist", times=100)
    said = ctl("show", "run-1")
    assert said.code == 0
    assert "Outcome           recovered\n" in said.text


def test_an_unknown_run(ctl: Ctl) -> None:
    for words in (("show", "no-such-run"), ("watch", "no-such-run")):
        said = ctl(*words)
        assert said.code == 1
        assert "there is no run no-such-run in us-east-1 or us-west-2" in said.text


def test_watch_without_a_name_follows_the_run_at_work(
    ctl: Ctl, deployment: Deployment, asking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def answer_meanwhile(seconds: float) -> None:
        if not looks:
            token = json.loads(_scheduled(deployment, asking))["Payload"]["token"]
            deployment.client("stepfunctions", STANDBY).send_task_failure(taskToken=token, error="Refused", cause="no")
            deployment.wait_for_end(asking)
        looks.append(seconds)

    monkeypatch.setattr(timeline, "time", SimpleNamespace(time=time.time, sleep=answer_meanwhile))
    said = ctl("watch")
    assert said.code == 1  # it has not done what it was for
    assert said.text.startswith(f"Run {asking} of failover in us-west-2, started ")
    assert "It waits for a person until " in said.text
    assert said.text.count(" AskApproval ") == 1
    assert said.text.endswith("Ended: refused\n")


def _scheduled(deployment: Deployment, run: str) -> str:
    arn = deployment.specification.names.state_machine_arn(STANDBY).replace(":stateMachine:", ":execution:")
    events = deployment.client("stepfunctions", STANDBY).get_execution_history(executionArn=f"{arn}:{run}")["events"]
    scheduled = [one["taskScheduledEventDetails"] for one in events if "taskScheduledEventDetails" in one]
    return str(scheduled[-1]["parameters"])


def test_watch_with_nothing_at_work(ctl: Ctl) -> None:
    said = ctl("watch")
    assert said.code == 1
    assert said.text == "Refused: no run is at work; `failoverctl runs` lists the last ones\n"


def test_watch_bears_a_region_that_blinks(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run(REHEARSAL)
    deployment.trouble("sfn.GetExecutionHistory", "refused", times=3)
    said = ctl("watch", "run-1")
    assert said.code == 0
    assert "Ended: rehearsed" in said.text


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (
            {"rpo_ms": 10015.6, "rpo_resolution_ms": 2000},
            ["10.0 s of writes, true to 2 s more or less; nothing bounds it"],
        ),
        (
            {"rpo_ms": 0, "rpo_resolution_ms": 2000, "rpo_at_most_ms": 1500},
            ["0.0 s of writes, true to 2 s more or less; at most 1.5 s"],
        ),
        ({"rpo_ms": None}, ["not known; a heartbeat is missing to compare with"]),
        ({"epoch_after": None}, []),
        ({"mode": "switchover"}, []),
    ],
)
def test_p7_what_was_lost_is_said_as_finely_as_it_is_known(record: dict[str, object], says: list[str]) -> None:
    assert timeline._lost({"mode": "failover", "epoch_after": 2} | record) == says
