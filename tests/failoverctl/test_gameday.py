"""``failoverctl gameday``: what it says before it cuts anything off, that it always ends the cut, and when it does not.

AWS FIS is moto's; what it would do to the network is done by the test, when moto says that the experiment runs.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.fis.models import fis_backends
from moto.moto_api import state_manager

from failoverctl import fault_injection, gameday, ready, timeline
from handlers.core.readiness import Finding
from orchestration.settings import load
from orchestration.specification import game_day, people
from orchestration.specification.names import Names
from tests.deployment import ACCOUNT, STANDBY, WRITER, Deployment
from tests.deployment.surroundings import surround
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_rights import asked

ALARM = "heartbeat-missing-use1-test"
FOR_EVER = 10**9
# As the writer's region sees it: pending, initiating, running. The one after is the end.
RUNS_AT_LOOK = 2


class Fis:
    """The experiment of the writer's region, as Terraform makes it, and what becomes of the network when it runs."""

    def __init__(self, deployment: Deployment, tmp: Path) -> None:
        self.deployment = deployment
        self.folder = tmp
        self.looks = 0
        self.lock = threading.Lock()
        self.ends_at_look = FOR_EVER
        self.stopping = False
        self.cut: Callable[[], None] = self.outage
        self._lay_out()

    def _lay_out(self) -> None:
        with self.deployment.gate.wide_open():
            self.subnet = self.deployment.client("ec2", WRITER).describe_subnets()["Subnets"][0]["SubnetId"]
            self.interface("RDSNetworkInterface")
            self.deployment.client("cloudwatch", WRITER).put_metric_alarm(
                AlarmName=ALARM,
                MetricName="Heartbeat",
                Namespace="FailoverOrchestrator",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="LessThanThreshold",
            )
            self.alarm("OK")
        self._make(STANDBY, "subnet-0123456789abcdef0")
        self.template = self._make(WRITER, self.subnet)

    def _make(self, region: str, subnet: str) -> str:
        names = Names(load(environment_suffix="test", game_day={"enabled": True}), ACCOUNT)
        described = game_day.experiment(names, region)
        with self.deployment.gate.wide_open():
            made = self.deployment.client("fis", region).create_experiment_template(
                description=described.description,
                roleArn=names.role_arn(described.name),
                tags={"Name": described.name},
                stopConditions=[{"source": "aws:cloudwatch:alarm", "value": arn} for arn in described.stop_alarms],
                targets={
                    "database-subnets": {
                        "resourceType": "aws:ec2:subnet",
                        "resourceArns": [names.arn("ec2", region, f"subnet/{subnet}")],
                        "selectionMode": "ALL",
                    }
                },
                actions={
                    "cut-off": {
                        "actionId": game_day.ACTION,
                        "parameters": {"duration": f"PT{described.minutes}M", "scope": game_day.SCOPE},
                        "targets": {"Subnets": "database-subnets"},
                    }
                },
            )
            return str(made["experimentTemplate"]["id"])

    def interface(self, what: str) -> str:
        with self.deployment.gate.wide_open():
            made = self.deployment.client("ec2", WRITER).create_network_interface(
                SubnetId=self.subnet, Description=what
            )
            return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def alarm(self, state: str) -> None:
        with self.deployment.gate.wide_open():
            self.deployment.client("cloudwatch", WRITER).set_alarm_state(
                AlarmName=ALARM, StateValue=state, StateReason="a test"
            )

    def start(self) -> str:
        """Somebody else starts it."""
        with self.deployment.gate.wide_open():
            made = self.deployment.client("fis", WRITER).start_experiment(experimentTemplateId=self.template)
            return str(made["experiment"]["id"])

    def experiments(self) -> list[str]:
        """The states of all that were started, which a look of AWS's own would move on."""
        return [str(each._status) for each in fis_backends[ACCOUNT][WRITER].experiments.values()]

    def before(self, operation: str) -> None:
        """Moto moves an experiment on with every look; here it runs until somebody stops it, or `ends_at_look`."""
        with self.lock:  # both regions are asked at once, and one may still be at it when the other has answered
            if self.looks <= RUNS_AT_LOOK and operation in ("dynamodb.GetItem", "lambda.Invoke"):
                self.deployment.guardian_was_here()  # however slow this machine is
            self.looks += operation == "fis.GetExperiment"
        if operation == "fis.StopExperiment":
            troubles = self.deployment.gate.troubles
            self.stopping = not any(each.operation == operation and each.times > 0 for each in troubles)
        if operation != "fis.GetExperiment":
            return
        if self.looks == RUNS_AT_LOOK + 1:
            state_manager.set_transition("fis::experiment", {"progression": "manual", "times": FOR_EVER})
            with self.deployment.gate.wide_open():
                self.cut()
        if self.stopping or self.looks == self.ends_at_look:
            state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 1})

    def outage(self) -> None:
        """The database is out of reach, and the standby's monitor makes its first attempt."""
        self.deployment.writer_dies()
        self.deployment.start({"mode": "failover", "started_by": "monitor", "automatic": True, "epoch": 1}, "attempt-1")

    def report(self) -> dict[str, Any]:
        (file,) = self.folder.glob("gameday-*.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def page(self) -> str:
        (file,) = self.folder.glob("gameday-*.html")
        return file.read_text()


@pytest.fixture
def fis(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fis]:
    monkeypatch.setenv("FAILOVER_GAME_DAY__ENABLED", "true")
    for module in (gameday, timeline):
        monkeypatch.setattr(module, "LOOK_EVERY_S" if module is gameday else "LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(gameday, "readiness", lambda _: [Finding("all", "both", "ok", "", "")])
    made = Fis(deployment, tmp_path)
    deployment.gate.before = made.before
    yield made
    state_manager.unset_transition("fis::experiment")


@pytest.fixture
def surrounded(deployment: Deployment, fis: Fis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What readiness looks at is there, and the real function looks at it; elsewhere it is said to be green."""
    monkeypatch.setattr(gameday, "readiness", ready.asked)
    surround(deployment)


@pytest.fixture
def hold(ctl: Ctl, fis: Fis) -> Callable[..., Any]:
    """Hold the game day; further words."""
    return lambda *words: ctl("gameday", "--run", "--yes", "--output", str(fis.folder), *words)


# --- the plan


@pytest.mark.usefixtures("surrounded")
def test_the_plan_says_everything_and_changes_nothing(ctl: Ctl, fis: Fis) -> None:
    said = ctl("gameday", "--plan")
    assert said.code == 0, said.text
    for expected in (
        "Game day of payments-global-test: us-east-1 is cut off, and us-west-2 has to take over (epoch 1).",
        f"What is cut: all traffic into and out of the database's 1 subnets ({fis.subnet}), by AWS FIS "
        f"(aws:network:disrupt-connectivity, scope all, experiment template {fis.template}).",
        "What is not: functions, the control table and Aurora's replication.",
        "Who is hit: 1 network interfaces in these subnets, 0 of them not of RDS\n",
        "us-west-2 is asked to take over after about 36 s (25 s of them are recovery_grace_s), and Aurora's promotion",
        "Up to 1000 ms of writes may be lost; over that, the run asks a person.",
        f"without one; Ctrl-C here; 20 min at most; one of the alarms {ALARM}.",
        "0.10 US dollars a minute, 2.00 at most",
        "Afterwards there is no standby until a re-protection (failoverctl start --mode reprotect)",
        "A game day may be held now.",
        f"{ALARM}: OK",
        "every check of `failoverctl ready` is green",
    ):
        assert expected in said.text, expected
    assert fis.experiments() == []
    assert list(fis.folder.glob("gameday-*")) == []


def test_the_plan_is_there_for_programs(ctl: Ctl, fis: Fis) -> None:
    data = ctl("gameday", "--plan", "--json").data
    assert data["answer"] == "ok"
    assert data["day"]["template"] == {
        "id": fis.template,
        "region": WRITER,
        "subnets": [fis.subnet],
        "minutes": 20,
        "alarms": [ALARM],
    }


def test_the_plan_names_what_else_lives_in_the_subnets(ctl: Ctl, fis: Fis) -> None:
    other = fis.interface("load balancer of somebody")
    said = ctl("gameday", "--plan")
    assert said.code == 0
    assert f"  {other} in {fis.subnet}: load balancer of somebody" in said.text
    assert "1 interfaces of others are cut off, too" in said.text
    assert "A game day may be held now; there is something to see to." in said.text


# --- the run


def test_the_writer_moves_the_cut_ends_and_the_report_says_what_it_cost(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    said = hold()
    assert said.code == 0, said.text
    assert deployment.record()["writer_region"] == STANDBY
    assert fis.experiments() == ["stopped"]
    for expected in (
        "It ends by itself after 20 min; from another terminal: failoverctl gameday --stop",
        "us-east-1 is cut off since",
        "Run attempt-1 of failover in us-west-2",
        "Ended: recovered",
        "The cut is over: stopped",
        "failoverctl report attempt-1",
        "failoverctl start --mode reprotect",
        "failoverctl start --mode failback",
    ):
        assert expected in said.text, expected
    found, page = fis.report(), fis.page()
    assert found["passed"] is True
    assert found["run"]["name"] == "attempt-1"
    assert found["rto_s"] == found["run"]["output"]["rto_s"] > 0
    proof = next(each["at"] for each in found["timeline"] if each["what"] == "VerifyRecovery")
    assert 0 <= found["from_cut_to_proof_s"] - (proof - found["experiment"]["cut_at"]) < 60
    assert found["from_cut_to_proof_s"] < found["run"]["ended_at"] - found["experiment"]["cut_at"]
    assert found["lost_at_most_ms"] == found["run"]["output"]["rpo_at_most_ms"]
    whats = [each["what"] for each in found["timeline"]]
    assert f"FIS began to cut the database of {WRITER} off" in whats
    assert "FIS had given the subnets their network ACLs back" in whats
    assert "run attempt-1 ended: recovered" in whats
    assert {"Claim", "Promote", "VerifyRecovery"} <= set(whats)
    assert "us-west-2 took over from us-east-1" in page
    assert "What it does not show" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_duplicate_run_is_not_taken_for_the_failover(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    """The alarm and the monitor both start one; the one that holds the lock is followed."""

    def twice() -> None:
        fis.outage()
        deployment.start({"mode": "failover", "started_by": "alarm", "automatic": True}, "attempt-by-alarm")

    fis.cut = twice
    assert hold().code == 0
    assert fis.report()["run"]["output"]["outcome"] == "recovered"


def test_a_run_that_was_quicker_than_a_look_is_found(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    def at_once() -> None:
        fis.outage()
        deployment.wait_for_end("attempt-1")

    fis.cut = at_once
    assert hold().code == 0
    assert fis.report()["run"]["name"] == "attempt-1"


def test_where_no_failover_comes_the_cut_ends_and_that_is_a_failure(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gameday, "COMES_WITHIN_S", -24.9)
    fis.cut = lambda: None
    said = hold()
    assert said.code == 1, said.text
    assert fis.experiments() == ["stopped"]
    assert "The game day did not end well: no failover came within" in said.text
    assert deployment.record()["writer_region"] == WRITER
    assert fis.report()["passed"] is False
    assert "us-west-2 did not take over from us-east-1, for no failover came within" in fis.page()


def test_where_an_alarm_ends_it_first_that_is_said(hold: Callable[..., Any], fis: Fis) -> None:
    fis.cut, fis.ends_at_look = (lambda: None), 5
    said = hold()
    assert said.code == 1, said.text
    assert "FIS ended the experiment before a failover came (Experiment completed)" in said.text


def test_attempts_that_fail_are_followed_until_one_moves_the_writer(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    def second() -> None:
        with deployment.gate.wide_open():
            deployment.wait_for_end("attempt-1")
            deployment.start({"mode": "failover", "started_by": "ada"}, "attempt-2")

    def twice() -> None:
        deployment.fail("detach_secondary", *["Misconfigured"])
        fis.outage()
        threading.Thread(target=second, daemon=True).start()

    fis.cut = twice
    said = hold()
    assert said.code == 0, said.text
    assert fis.report()["run"]["name"] == "attempt-2"


@pytest.mark.parametrize("how", ["Ctrl-C", "the terminal is closed", "kill"])
def test_whoever_breaks_it_off_gets_the_database_back_and_a_report(
    hold: Callable[..., Any], fis: Fis, how: str
) -> None:
    def broken_off() -> None:
        if how == "Ctrl-C":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGHUP if how == "the terminal is closed" else signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    fis.cut = broken_off
    said = hold()
    assert said.code == 130, said.text
    assert fis.experiments() == ["stopped"]
    assert "it was broken off by a person" in said.text
    assert fis.report()["why_not"] == "it was broken off by a person"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_defect_of_this_program_leaves_nothing_cut_off(fis: Fis, hold: Callable[..., Any]) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    fis.cut = fails
    with pytest.raises(ZeroDivisionError):
        hold()
    assert fis.experiments() == ["stopped"]


def test_a_cut_that_fis_does_not_end_is_said_with_the_command_that_does(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gameday, "RESTORED_WITHIN_S", 0.3)
    deployment.trouble("fis.StopExperiment", "InternalServerError", status=500, times=FOR_EVER)
    said = hold()
    assert said.code == 2, said.text
    assert "Nobody knows whether the cut is over. End it: failoverctl gameday --stop" in said.text


def test_a_stop_that_gets_no_answer_is_asked_for_again(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    # Five by the client itself, for one request.
    deployment.trouble("fis.StopExperiment", "InternalServerError", status=500, times=5)
    assert hold().code == 0
    assert fis.experiments() == ["stopped"]


def test_json_says_all_of_it_in_one_answer(hold: Callable[..., Any], fis: Fis) -> None:
    assert hold("--json").data == fis.report()


# --- wrong use: clear words, the right exit code, and nothing is cut off


def test_without_a_choice_nothing_is_done(ctl: Ctl, fis: Fis) -> None:
    for words in ((), ("--plan", "--run")):
        said = ctl("gameday", *words)
        assert said.code == 1
        assert "say --plan, which only looks, --run, which does it, or --stop" in said.text


def test_it_is_off_by_default(ctl: Ctl, fis: Fis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAILOVER_GAME_DAY__ENABLED")
    for what in ("--plan", "--run", "--stop"):
        said = ctl("gameday", what, "--yes")
        assert said.code == 1
        assert "game days are off in the settings: set `enabled = true` in [game_day] and apply" in said.text
    assert fis.experiments() == []


def test_the_lab_has_other_ways(ctl: Ctl, fis: Fis) -> None:
    said = ctl("gameday", "--run", "--lab", "--yes")
    assert said.code == 1
    assert "the lab has no AWS FIS" in said.text


def test_nobody_to_ask_is_a_no(ctl: Ctl, fis: Fis) -> None:
    said = ctl("gameday", "--run", "--output", str(fis.folder))
    assert said.code == 1
    assert "nobody is here to be asked; say --yes" in said.text
    assert fis.experiments() == []


def test_what_has_changed_while_somebody_was_asked_counts(ctl: Ctl, fis: Fis, monkeypatch: pytest.MonkeyPatch) -> None:
    def says_yes_at_last(_: str) -> bool:
        pause(fis)
        return True

    monkeypatch.setattr("failoverctl.command.typer.confirm", says_yes_at_last)
    said = ctl("gameday", "--run", "--output", str(fis.folder), at_terminal=True)
    assert said.code == 1, said.text
    assert "it is not as it was when you were asked, and nothing was changed" in said.text
    assert fis.experiments() == []


def pause(fis: Fis) -> None:
    fis.deployment.change_record(automatic_failover=False)


def lose_the_standby(fis: Fis) -> None:
    fis.deployment.change_record(protected=False)


def start_another(fis: Fis) -> None:
    fis.start()


def ring(fis: Fis) -> None:
    fis.alarm("ALARM")


def delete_the_alarm(fis: Fis) -> None:
    with fis.deployment.gate.wide_open():
        fis.deployment.client("cloudwatch", WRITER).delete_alarms(AlarmNames=[ALARM])


def hold_a_lock(fis: Fis) -> None:
    fis.deployment.run_until("claim", {"mode": "rehearsal", "started_by": "ada"}, "run-1")
    fis.deployment.lambdas.before = lambda step, event: None


def remove_the_database(fis: Fis) -> None:
    with fis.deployment.gate.wide_open():
        ec2 = fis.deployment.client("ec2", WRITER)
        for each in ec2.describe_network_interfaces()["NetworkInterfaces"]:
            ec2.delete_network_interface(NetworkInterfaceId=each["NetworkInterfaceId"])


def forget_the_template(fis: Fis) -> None:
    with fis.deployment.gate.wide_open():
        fis.deployment.client("fis", WRITER).delete_experiment_template(id=fis.template)


def change_the_template(fis: Fis) -> None:
    with fis.deployment.gate.wide_open():
        fis.deployment.client("fis", WRITER).update_experiment_template(
            id=fis.template,
            actions={"cut-off": {"actionId": game_day.ACTION, "parameters": {"scope": "s3", "duration": "PT20M"}}},
        )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (pause, "no automatic failover now, for automatic failover is turned off in the control record"),
        (lose_the_standby, "nothing could take over, for there is no standby"),
        (start_another, "runs already"),
        (ring, f"{ALARM}: ALARM (stop alarm)"),
        (delete_the_alarm, f"{ALARM}: is not there (stop alarm)"),
        (remove_the_database, "no database is in these subnets"),
        (forget_the_template, "there is no experiment failover-game-day-use1-test: apply the stacks"),
        (change_the_template, "does other things than cut the database off: apply the stacks"),
    ],
)
def test_what_is_not_ready_is_not_cut_off(ctl: Ctl, fis: Fis, wrong: Callable[[Fis], None], says: str) -> None:
    wrong(fis)
    started = len(fis.experiments())
    for words in (("--plan",), ("--run", "--yes")):
        said = ctl("gameday", *words)
        assert said.code == 1, said.text
        assert "\n" in said.text
        if words == ("--run", "--yes"):
            assert says in said.text, said.text
    assert len(fis.experiments()) == started


def test_an_experiment_that_runs_is_named_with_what_stops_it(ctl: Ctl, fis: Fis) -> None:
    other = fis.start()
    said = ctl("gameday", "--plan")
    assert f"{other} runs already (pending)" in said.text
    assert "or `failoverctl gameday --stop`" in said.text


def test_a_cut_that_somebody_has_left_is_ended_from_anywhere(ctl: Ctl, deployment: Deployment, fis: Fis) -> None:
    """Even when the writer has moved meanwhile, so that the record names the other region."""
    fis.start()
    deployment.change_record(writer_region=STANDBY)
    said = ctl("gameday", "--stop")
    assert said.code == 0, said.text
    assert "The cut is over: stopped" in said.text
    assert fis.experiments() == ["stopped"]
    said = ctl("gameday", "--stop")
    assert said.text == "No experiment runs in us-east-1.\nNo experiment runs in us-west-2.\n"


def test_a_region_that_gives_no_answer_keeps_no_cut_in_the_other(ctl: Ctl, deployment: Deployment, fis: Fis) -> None:
    fis.start()
    deployment.trouble("fis.ListExperimentTemplates", "refused", region=STANDBY, times=FOR_EVER)
    said = ctl("gameday", "--stop")
    assert said.code == 2, said.text
    assert "The cut is over: stopped" in said.text
    assert "Nobody knows whether us-west-2 is cut off" in said.text


def test_a_deployment_that_only_rehearses_would_show_nothing(
    ctl: Ctl, fis: Fis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILOVER_TRIGGER_MODE", "rehearsal")
    said = ctl("gameday", "--run", "--yes")
    assert said.code == 1
    assert "only a rehearsal would start" in said.text
    assert fis.experiments() == []


def test_a_production_has_to_be_named(
    ctl: Ctl, hold: Callable[..., Any], fis: Fis, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ctl("gameday", "--plan", "--production", "payments-global-test")
    assert said.code == 1
    assert "--production means nothing here" in said.text
    monkeypatch.setenv("FAILOVER_ENVIRONMENT", "production")
    said = ctl("gameday", "--plan")
    assert said.code == 1
    assert "--production payments-global-test" in said.text
    for words in ((), ("--production", "payments-global-live")):
        said = hold(*words)
        assert said.code == 1
        assert "payments-global-test is a production" in said.text
    assert fis.experiments() == []
    assert hold("--production", "payments-global-test").code == 0


@pytest.mark.usefixtures("surrounded")
def test_where_readiness_is_red_or_cannot_tell_nobody_cuts_anything_off(
    ctl: Ctl, deployment: Deployment, fis: Fis
) -> None:
    deployment.gate.surroundings.backup_ago_s[STANDBY] = None
    said = ctl("gameday", "--run", "--yes")
    assert said.code == 1, said.text
    assert "(backups)" in said.text
    deployment.gate.surroundings.backup_ago_s[STANDBY] = 60.0
    deployment.fail("readiness", "out of memory")
    said = ctl("gameday", "--run", "--yes")
    assert said.code == 2, said.text
    assert fis.experiments() == []


@pytest.mark.parametrize(
    "action", ["fis.ListExperimentTemplates", "fis.StartExperiment", "ec2.DescribeNetworkInterfaces"]
)
def test_who_may_not_is_told_which_policy(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis, action: str
) -> None:
    deployment.trouble(
        action, "UnauthorizedOperation" if action.startswith("ec2") else "AccessDeniedException", status=403
    )
    said = hold()
    assert said.code == 1, said.text
    assert "attach the policy failover-gameday-test beside failover-operators-test" in said.text
    assert "Nothing was cut off." in said.text
    assert fis.experiments() == []


def test_a_start_without_an_answer_is_not_called_a_failure(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    deployment.trouble("fis.StartExperiment", "unanswered", times=5)
    said = hold()
    assert said.code == 2
    assert "the experiment may have been started or not: `failoverctl gameday --plan` shows one that runs" in said.text


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_cut_off(ctl: Ctl, fis: Fis) -> None:
    said = ctl("gameday", "--run", "--yes", "--output", str(fis.folder / "nowhere"))
    assert said.code == 1
    assert "the report cannot be written to" in said.text
    assert fis.experiments() == []


# --- rights


@pytest.mark.usefixtures("surrounded")
def test_who_holds_a_game_day_may_do_what_that_asks_and_nothing_more(
    hold: Callable[..., Any], deployment: Deployment, fis: Fis
) -> None:
    deployment.gate.seen.clear()
    assert hold().code == 0
    names = Names(load(environment_suffix="test", game_day={"enabled": True}), ACCOUNT)
    _, operators, _, holders = (
        {action for permission in policy.permissions for action in permission.actions}
        for policy in people.policies(names)
    )
    # FIS asks for these in the name of whoever starts the experiment.
    in_the_persons_name = {"fis:TagResource", "iam:CreateServiceLinkedRole"}
    assert asked(deployment) - operators == holders - in_the_persons_name


def test_durations_are_as_fis_has_them() -> None:
    assert [fault_injection._minutes(text) for text in ("PT20M", "PT1H5M", "PT90S")] == [20, 65, 1.5]
