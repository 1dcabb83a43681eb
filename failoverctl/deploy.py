"""``failoverctl deploy``: applies the four stacks in their order, each as it was planned and found safe."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from failoverctl.account import Account
from failoverctl.assumption import ask_all
from failoverctl.command import Session
from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused
from failoverctl.findings import show
from failoverctl.preflight import SENTENCES, needed
from failoverctl.start import Yes
from handlers.core.duration import lasting
from handlers.core.errors import FailoverError
from handlers.core.readiness import verdict
from handlers.gateways.aws import named_errors
from orchestration import safe_to_apply
from orchestration.safe_to_apply import judge, planned, read_record
from orchestration.terraform import NOT_FOUND, PLAN, Terraform, TerraformFailed

CONFIGURATION = "cdk.tf.json"
APPLY_LOG = "apply.log"  # in the stack's folder
TELL_EVERY_S = 20.0
INIT_S = 300.0
LONGEST_ERROR = 1500  # characters of Terraform's errors that are worth repeating; its log has all of them

# What Terraform's errors mean here, and what to do; the first that fits.
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"UnreservedConcurrentExecution below its minimum",
        "Lambda's quota is too small: ask for 200 or more in Service Quotas (L-B99A9384)",
    ),
    (
        r"reserved_connections[^\n]*(?:modif|invalid|not )",
        "Aurora does not let a parameter group reserve connections: set `reserved_connections = 0` under `[database]`, "
        "and `make synth`",
    ),
    (
        r"AWSServiceRoleForBackupReports|Invalid principal in policy",
        "AWS Backup's role for reports is missing: `aws iam create-service-linked-role --aws-service-name "
        "reports.backup.amazonaws.com`",
    ),
    (r"ExpiredToken|InvalidClientTokenId", "the credentials have expired: get new ones"),
    (r"Error acquiring the state lock", "somebody else applies this stack, or did and was cut off: ask, and wait"),
    (
        r"AccessDenied|UnauthorizedOperation|is not authorized to perform",
        "the credentials do not allow it: use those of whoever may deploy",
    ),
)


@dataclass(frozen=True)
class Stack:
    """One stack as it was synthesized."""

    name: str
    terraform: Terraform

    @property
    def folder(self) -> Path:
        """Where its configuration is."""
        return self.terraform.folder


def deploy(session: Session, *, yes: Yes = False) -> int | None:
    """Apply all four stacks in order, as planned and found safe; stop at the first failure and say what to do."""
    if session.chosen.lab:
        raise Refused("a lab is not deployed; call it without --lab, with the credentials of an AWS account")
    deployment = session.deployment
    _ = deployment.names  # says what is wrong with the credentials
    stacks = _stacks(deployment)
    clients = [deployment.client("dynamodb", region) for region in deployment.regions]
    record = partial(read_record, clients, deployment.names.control_table, deployment.names.global_cluster)
    try:
        if record() is None:
            _look_before(session)
        for number, stack in enumerate(stacks, 1):
            _apply(session, stack, f"[{number}/{len(stacks)}] {stack.name}", record, yes=yes)
    except safe_to_apply.CannotTell as error:
        raise CannotTell(str(error)) from error
    _told(session, stacks)
    return None


def _stacks(deployment: Deployment) -> Sequence[Stack]:
    """Returns the stacks in their order; raises `Refused` where they are missing, or another deployment's."""
    program = shutil.which("terraform")
    if program is None:
        raise Refused(NOT_FOUND)
    found = []
    for name in ("identity", *deployment.regions, "global"):
        folder = safe_to_apply.STACKS_FOLDER / name
        try:
            tags = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))["provider"]["aws"][0][
                "default_tags"
            ]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise Refused(f"there is no stack in {folder}; write it with `make synth`") from error
        written_for, wanted = tags[0]["tags"]["EnvironmentSuffix"], deployment.settings.environment_suffix
        if written_for != wanted:
            raise Refused(f"{folder} was written for the suffix {written_for}, not {wanted}: `make synth`")
        found.append(Stack(name, Terraform(program, folder, dict(os.environ))))
    return found


def _look_before(session: Session) -> None:
    """Asks what `preflight` asks, before the first deployment; raises `Refused` where something is missing."""
    session.say("This is the first deployment: what does the account lack for it?")
    found = ask_all(Account(session.deployment), needed(session.deployment.settings))
    answer = verdict(found)
    other = [each for each in found if each.level != "ok"]
    if other:
        show(session, answer, SENTENCES[answer], other)
    if answer == "failing":
        raise Refused("something is missing for the first deployment (`failoverctl preflight`). Nothing was changed.")


def _apply(session: Session, stack: Stack, title: str, record: Any, *, yes: bool) -> None:
    session.say("", f"{title}: planning")
    again = "`failoverctl deploy` again goes on from there; what is done stays done"
    try:
        stack.terraform.run("init", "-input=false", "-no-color", timeout_s=INIT_S)
    except TerraformFailed as error:
        raise Refused(f"{title}: {_explained(str(error))}. {again}.") from error
    answer, reasons = judge(stack.name, partial(planned, stack.name), record)
    if answer != "safe":
        (stack.folder / PLAN).unlink(missing_ok=True)
        stop = Refused if answer == "NOT SAFE" else CannotTell
        raise stop(f"{title}: {answer}: {'; '.join(map(_explained, reasons))}. {again}.")
    session.say(f"{title}: {'; '.join(reasons)}")
    session.confirm(f"Apply {stack.name}?", yes=yes)
    progress = Progress(session, title)
    try:
        stack.terraform.apply_checked(stack.folder / APPLY_LOG, progress)
    except TerraformFailed as error:
        raise Refused(
            f"{title}: {_explained(str(error))}. All of it is in {stack.folder / APPLY_LOG}. {again}."
        ) from error
    session.say(f"{title}: done, {progress.done} resources in {lasting(progress.lasted_s)}")


class Progress:
    """Says now and then how many resources of a stack are done."""

    def __init__(self, session: Session, title: str) -> None:
        self.done = 0
        self._session, self._title = session, title
        self._began = self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        """Notes how many are done."""
        self.done = done
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._told = time.monotonic()
            self._session.say(f"{self._title}: {done} resources done, {lasting(self.lasted_s)}")

    @property
    def lasted_s(self) -> float:
        """For how long it has been applied."""
        return time.monotonic() - self._began


def _explained(error: str) -> str:
    """Returns Terraform's error, shortened, after what it means here where that is known."""
    meaning = next((words for pattern, words in KNOWN if re.search(pattern, error)), None)
    text = error.strip()[:LONGEST_ERROR]
    return f"{meaning}.\n{text}" if meaning else text


def _told(session: Session, stacks: Sequence[Stack]) -> None:
    """Says what an application needs to know, who hears of the deployment, and what comes next."""
    outputs = {stack.name: _outputs(stack) for stack in stacks}
    table = Table(box=None, pad_edge=False)
    for title in ("Stack", "Output", "Value"):
        table.add_column(title, overflow="fold")
    for name, values in outputs.items():
        for output, value in values.items():
            table.add_row(name, output, value if isinstance(value, str) else json.dumps(value))
    session.say("")
    session.show(table)
    subscribers = {region: _subscribers(session.deployment, region) for region in session.deployment.regions}
    session.say("", *(f"Alerts of {region}: {words}" for region, words in subscribers.items()))
    session.say("", "All four stacks are applied. Next: `failoverctl bootstrap`, then `failoverctl verify`.")
    session.tell({"outputs": outputs, "subscribers": subscribers})


def _outputs(stack: Stack) -> Mapping[str, Any]:
    try:
        found = json.loads(stack.terraform.run("output", "-json", "-no-color"))
    except TerraformFailed as error:
        return {"(unknown)": str(error)[:LONGEST_ERROR]}
    return {name: each["value"] for name, each in sorted(found.items()) if not each.get("sensitive")}


def _subscribers(deployment: Deployment, region: str) -> str:
    topic = deployment.names.topic_arn(region)
    try:
        with named_errors(f"reading the subscribers of {topic}"):
            found = deployment.client("sns", region).get_topic_attributes(TopicArn=topic)["Attributes"]
    except FailoverError as error:
        return f"cannot tell ({error})"
    confirmed, pending = int(found["SubscriptionsConfirmed"]), int(found["SubscriptionsPending"])
    if not confirmed and not pending:
        return "nobody hears of them: set `alert_emails`, or subscribe to the topic"
    waiting = f", {pending} have yet to confirm by the link in their mail" if pending else ""
    return f"{confirmed} confirmed{waiting}"
