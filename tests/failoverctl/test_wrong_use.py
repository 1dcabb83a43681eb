"""Wrong use, verb by verb: whatever keeps the program from knowing, it says so, ends with 2, and has changed nothing.

What is wrong about one verb alone (an unknown run, an expired question, another operator who was quicker) stands beside
that verb's tests; here is what may be wrong about every one.
"""

from __future__ import annotations

import pytest

from failoverctl.program import OF_MAINTENANCE, OF_SALVAGE, VERBS
from handlers.gateways.control_table import ControlTable
from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

# One call of each verb that changes something, or asks AWS about one run.
ORDERS = [
    ("start", "--mode", "failover", "--yes"),
    ("start", "--mode", "switchover", "--yes"),
    ("start", "--mode", "rehearsal", "--yes"),
    ("start", "--mode", "reprotect", "--yes"),
    ("start", "--mode", "failback", "--yes"),
    ("approve", "--yes"),
    ("reject", "--reason", "no", "--yes"),
    ("abort", "--yes"),
    ("hold", "--yes"),
    ("release",),
    ("unlock", "run-1", "--yes"),
    ("pause", "--for", "1h", "--reason", "why", "--yes"),
    ("resume",),
    ("maintenance", "begin", "--for", "1h", "--reason", "why", "--yes"),
    ("maintenance", "end", "--yes"),
    ("let-in", WRITER, "--yes"),
    ("break-glass", "--yes"),
    ("break-glass", "--dry-run"),
    ("salvage", "replay", "2", "--connection", "postgresql://nobody@127.0.0.1:1/payments", "--yes"),
    ("bootstrap", "--yes"),
]
LOOKS = [
    ("status",),
    ("runs",),
    ("show", "run-1"),
    ("watch", "run-1"),
    ("report", "run-1"),
    ("salvage", "list"),
    ("salvage", "show", "2"),
]
# These read no record, so that a missing one is nothing to them.
WITHOUT_RECORD = {"approve", "reject", "runs", "show", "watch", "report", "salvage"}
# Verbs with answers of their own, and tests of them beside their code.
ELSEWHERE = {"adopt", "apply-safe", "deploy", "gameday", "preflight", "ready", "verify"}


class Nobody:
    """Somebody without credentials."""

    def get_credentials(self) -> None:
        return None


def everything(deployment: Deployment) -> tuple[object, list[str]]:
    """What an order could have changed: the record, and which runs there are."""
    names, runs = deployment.specification.names, []
    with deployment.gate.wide_open():
        for region in (WRITER, STANDBY):
            client = deployment.client("stepfunctions", region)
            for machine in (names.state_machine_arn(region), names.reprotection_arn(region)):
                found = client.list_executions(stateMachineArn=machine)["executions"]
                runs += [f"{one['name']} {one['status']}" for one in found]
        item = deployment.client("dynamodb", WRITER).get_item(
            TableName=names.control_table, Key={"database": {"S": names.global_cluster}}, ConsistentRead=True
        )
    return item.get("Item"), sorted(runs)


def test_every_verb_is_called_here() -> None:
    called = {words[0] for words in (*ORDERS, *LOOKS)} | {" ".join(words[:2]) for words in (*ORDERS, *LOOKS)}
    assert set(VERBS) - called == ELSEWHERE
    assert {f"salvage {name}" for name in OF_SALVAGE} | {f"maintenance {name}" for name in OF_MAINTENANCE} <= called


@pytest.mark.parametrize("wrong", ["no credentials", "credentials expired", "account", "dark"])
def test_who_cannot_know_changes_nothing(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    before = everything(deployment)
    if wrong == "no credentials":
        monkeypatch.setattr("failoverctl.deployment.get_session", Nobody)
        says = "there are no AWS credentials here: set credentials"
    elif wrong == "credentials expired":
        deployment.trouble("*", "ExpiredTokenException", times=10**9)
        says = "AWS does not take these credentials (ExpiredTokenException): set credentials"
    elif wrong == "account":
        monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "other")
        says = "other"  # the name of what this account does not have
    else:
        for region in (WRITER, STANDBY):
            deployment.lose_region(region)
        says = "us-east-1"
    for words in (*ORDERS, *LOOKS):
        said = ctl(*words)
        assert said.code == 2, (words, said.text)
        assert said.text.startswith("Cannot tell: "), (words, said.text)
        assert says in said.text, (words, said.text)
    deployment.gate.troubles.clear()
    assert everything(deployment) == before


def test_without_a_record_nothing_is_done(ctl: Ctl, deployment: Deployment) -> None:
    names = deployment.specification.names
    deployment.client("dynamodb", WRITER).delete_item(
        TableName=names.control_table, Key={"database": {"S": names.global_cluster}}
    )
    before = everything(deployment)
    for words in (*ORDERS, *LOOKS):
        if words[0] not in WITHOUT_RECORD:
            said = ctl(*words)
            assert said.code == 2, (words, said.text)
            assert "has no control record for payments-global-test; deploy the global stack" in said.text, words
    assert everything(deployment) == before


@pytest.mark.parametrize("words", [("show",), ("watch",), ("approve", "--yes"), ("reject", "--reason", "no", "--yes")])
def test_an_unknown_run_is_said_to_be_unknown(ctl: Ctl, words: tuple[str, ...]) -> None:
    said = ctl(words[0], "no-such-run", *words[1:])
    assert said.code == 1
    assert said.text.startswith("Refused: there is no run no-such-run in us-east-1 or us-west-2. `failoverctl runs`")


@pytest.mark.parametrize("words", [("abort", "--yes"), ("hold", "--yes"), ("release",), ("unlock", "--yes")])
def test_an_unknown_run_holds_no_lock(ctl: Ctl, deployment: Deployment, asking: str, words: tuple[str, ...]) -> None:
    before = deployment.record()
    said = ctl(words[0], "no-such-run", *words[1:])
    assert said.code == 1
    assert f"run no-such-run does not hold the lock; run {asking} does" in said.text
    assert deployment.record() == before


def test_an_unlock_that_comes_after_the_next_attempt_takes_nothing_from_it(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once: between the look and the order another run has taken the lock over."""
    deployment.writer_dies()
    deployment.run_until("claim", {"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.stop("run-1")
    release = ControlTable.release

    def other_first(table: ControlTable, *given: object) -> bool:
        deployment.change_record(transition={**(deployment.lock() or {}), "run": "run-2"})
        return release(table, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ControlTable, "release", other_first)
    said = ctl("unlock", "run-1", "--yes")
    assert said.code == 1, said.text
    assert (deployment.lock() or {})["run"] == "run-2"


def test_of_two_pauses_at_once_the_later_one_stands(ctl: Ctl, deployment: Deployment) -> None:
    """Neither is an error: whoever pauses wants it off, and `status` says whose it is."""
    for reason in ("first", "second"):
        assert ctl("pause", "--for", "1h", "--reason", reason, "--yes").code == 0
    assert "(second)" in ctl("status").text
