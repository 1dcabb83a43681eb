"""``failoverctl report``: of a run on AWS as of one in the lab, for people and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from handlers.core.hooks import Hook, HookEnded, noted
from handlers.core.noted import WELL
from handlers.gateways.run_table import RunTable
from handlers.report import page
from handlers.report.facts import Decision, Execution, report
from tests.chromium import chromium, sticks_out
from tests.deployment import STANDBY, Deployment
from tests.failoverctl.conftest import Ctl

FAILOVER = {"mode": "failover", "started_by": "arn:aws:sts::123456789012:assumed-role/oncall/ada"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "settings.toml").write_text((Path(__file__).parents[2] / "settings.toml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs_table(deployment: Deployment) -> RunTable:
    return RunTable(deployment.client("dynamodb", STANDBY), deployment.specification.regions[STANDBY].runs_table.name)


def words(html: str) -> str:
    """The page's text, as people read it."""
    return unescape(re.sub(r"<[^>]+>", " ", html.split("</style>")[1]))


def test_the_page_says_all_that_an_auditor_asks(ctl: Ctl, deployment: Deployment, here: Path) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    said = ctl("report", "run-1")
    assert said.code == 0
    assert said.text == "Run run-1: recovered. Report: report-run-1.html\n"
    html = (here / "report-run-1.html").read_text()
    text = words(html)
    for expected in (
        "us-west-2 is the writer",
        "1: this region's own probe",  # the evidence of both observers
        "2: the writer's guardian",
        "its guardian has given no sign of life",
        "arn:aws:sts::123456789012:assumed-role/oncall/ada",  # who decided
        "inside the RPO budget of 1000 ms",
        "✔ within the target of 60 s",
        "✔ within the target of 1 s",
        "true to 2.0 s more or less",
        "VerifyRecovery",
    ):
        assert expected in text, expected
    assert deployment.messages(STANDBY)[-1][1] in unescape(html)  # word for word


# CSS pixels: a phone, and an A4 page without its margins.
PHONE, PAPER = 390, 703


def test_a_phone_and_paper_cut_nothing_off(
    ctl: Ctl, deployment: Deployment, here: Path, optional_tool: Callable[..., Any]
) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    assert ctl("report", "run-1", "--output", "report.html").code == 0
    ctl("ready", "--page", "ready.html")
    with chromium(optional_tool, "shows reports", PHONE, 844) as browser:
        for width, medium in ((PHONE, "screen"), (PAPER, "print")):
            size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})
            for name in ("report.html", "ready.html"):
                browser.get((here / name).as_uri())
                assert sticks_out(browser) == "", (name, medium)


def test_the_page_needs_nothing_from_outside(ctl: Ctl, deployment: Deployment, here: Path) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    ctl("report", "run-1", "--output", "page.html")
    html = (here / "page.html").read_text()
    assert not re.search(r"src=|<link|<script|@import|<iframe|<object|<a |url\(", html)
    assert "default-src 'none'" in html


def test_what_others_wrote_is_text(ctl: Ctl, deployment: Deployment, here: Path) -> None:
    deployment.run({"mode": "rehearsal", "started_by": "<script>alert('&')</script>"})
    ctl("report", "run-1")
    assert "<script" not in (here / "report-run-1.html").read_text()


def test_the_same_for_programs(ctl: Ctl, deployment: Deployment, here: Path) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    data = ctl("report", "run-1", "--json").data
    assert data["record"]["outcome"] == data["outcome"] == "recovered"
    assert [each["observer"] for each in data["evidence"]][:2] == [
        "1: this region's own probe",
        "2: the writer's guardian",
    ]
    ctl("report", "run-1", "--json", "--output", "run.json")
    assert json.loads((here / "run.json").read_text())["run"] == "run-1"


def test_who_approved_the_loss_and_when(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    ctl("approve", asking, "--yes")
    deployment.wait_for_end(asking)
    data = ctl("report", asking, "--json").data
    approved = [each for each in data["decisions"] if each["what"] == "approved"]
    assert [each["who"] for each in approved] == ["arn:aws:sts::123456789012:user/moto"]
    (asked,) = [each for each in data["messages"] if each["state"] == "AskApproval"]
    assert asked["text"] == deployment.messages(STANDBY)[0][1]
    assert "token" not in json.dumps(data)


def test_a_no_is_in_the_words_of_who_said_it(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    ctl("reject", asking, "--reason", "the region comes back", "--yes")
    deployment.wait_for_end(asking)
    data = ctl("report", asking, "--json").data
    (refused,) = [each for each in data["decisions"] if each["what"].startswith("refused: arn:")]
    assert refused["what"] == "refused: arn:aws:sts::123456789012:user/moto: the region comes back"


def test_attempts_before_it_are_those_of_the_same_outage(ctl: Ctl, deployment: Deployment) -> None:
    automatic = {"mode": "failover", "started_by": "monitor", "automatic": True}
    deployment.run(automatic, "too-early")  # the writer lives
    deployment.run(FAILOVER, "by-ada")
    deployment.writer_dies()
    deployment.run(automatic, "run-1")
    data = ctl("report", "run-1", "--json").data
    assert [each["run"] for each in data["attempts"]] == ["too-early"]
    assert data["attempts"][0]["why"]


def test_a_run_that_was_stopped_says_who_knows_by_whom() -> None:
    stopped = Execution("run-1", "arn:aws:states:us-west-2:1:execution:m:run-1", "ABORTED", 10.0, 20.0, {}, None)
    made = report("failover", stopped, [], [], None, 30.0)
    assert made.outcome == "aborted"
    assert made.decisions[-1] == Decision(
        20.0, "a person, whom CloudTrail names (StopExecution)", "stopped the execution"
    )
    assert "The run has left none." in page.page(made)
    assert "Not known: the table of records could not be read." in page.page(made)


@pytest.mark.parametrize(
    ("application", "outcome", "headline"),
    [
        (
            "unhealthy",
            "recovered, application unhealthy",
            "is the writer, and alarms of the application ring",
        ),
        ("unknown", "recovered, application not known", "and whether the application is well is not known"),
        ("healthy", "recovered", "us-west-2 is the writer"),
    ],
)
def test_the_report_says_how_the_application_is_after_the_run(
    ctl: Ctl, deployment: Deployment, here: Path, application: str, outcome: str, headline: str
) -> None:
    """It was noted after the run had ended, and so is not in what Step Functions keeps of it."""
    deployment.writer_dies()
    deployment.run(FAILOVER)
    runs_table(deployment).note_application("run-1", application)
    assert f"Run run-1: {outcome}. " in ctl("report", "run-1").text
    text = words((here / "report-run-1.html").read_text())
    assert headline in text
    assert WELL[application] in text
    assert f"Application       {WELL[application]}\n" in ctl("show", "run-1").text
    data = ctl("report", "run-1", "--json").data
    assert (data["outcome"], data["noted"]["application"]) == (outcome, application)
    assert data["record"]["outcome"] == "recovered"


def test_hooks_that_failed_are_in_the_report_however_early_and_once(
    ctl: Ctl, deployment: Deployment, here: Path
) -> None:
    """One may fail before the run has a record, which is then written over nothing; an event may come twice."""
    early = [HookEnded(Hook("scale-out", "FailoverStarted", "function", "f", 1.0, required=True), 1.0, "it hangs")]
    late = [HookEnded(Hook("drain", "WriterMoved", "function", "f", 1.0, required=False), 1.0, "no such queue")]
    table = runs_table(deployment)
    table.note_hooks("run-1", "FailoverStarted", noted(early))
    deployment.writer_dies()
    deployment.run(FAILOVER)
    for _ in range(2):
        table.note_hooks("run-1", "WriterMoved", noted(late))
    assert "Run run-1: recovered. " in ctl("report", "run-1").text
    text, shown = words((here / "report-run-1.html").read_text()), ctl("show", "run-1").text
    assert "Required hook failed scale-out, after FailoverStarted: it hangs" in " ".join(text.split())
    assert "Hook failed       drain, after WriterMoved: no such queue\n" in shown
    failed = ctl("report", "run-1", "--json").data["noted"]["failed_hooks"]
    assert [(one["name"], one["required"]) for one in failed] == [("scale-out", True), ("drain", False)]
    deployment.trouble("sfn.DescribeExecution", "ExecutionDoesNotExist", times=100)
    assert "Required hook failed scale-out" in ctl("show", "run-1").text


def test_a_report_is_made_although_nobody_can_read_what_was_noted(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run({"mode": "rehearsal", "started_by": "ada"})
    deployment.trouble("dynamodb.GetItem", "AccessDeniedException", times=100)
    assert "Run run-1: rehearsed" in ctl("report", "run-1").text


def test_a_run_that_step_functions_has_forgotten_is_read_as_it_was_kept(
    ctl: Ctl, deployment: Deployment, here: Path
) -> None:
    deployment.writer_dies()
    deployment.run(FAILOVER)
    deployment.trouble("sfn.DescribeExecution", "ExecutionDoesNotExist", times=100)
    said = ctl("report", "run-1")
    assert said.code == 0
    assert "as it was kept when it had ended" in said.text
    assert "us-west-2 is the writer" in (here / "report-run-1.html").read_text()
    assert ctl("report", "run-1", "--json").data["outcome"] == "recovered"


def test_an_unknown_run(ctl: Ctl) -> None:
    said = ctl("report", "no-such-run")
    assert said.code == 1
    assert "there is no run no-such-run in us-east-1 or us-west-2" in said.text


def test_a_file_that_cannot_be_written(ctl: Ctl, deployment: Deployment) -> None:
    deployment.run({"mode": "rehearsal", "started_by": "ada"})
    said = ctl("report", "run-1", "--output", "no/such/folder.html")
    assert said.code == 1
    assert "name another with --output FILE" in said.text
