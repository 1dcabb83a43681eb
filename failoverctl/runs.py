"""The runs of both workflows in both regions: which there are, how far each is, and what the table keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused, credentials_fault, is_denied, root_of
from handlers.core import history
from handlers.core.errors import FailoverError
from handlers.core.history import Event, Question
from handlers.core.message import execution_arn
from handlers.core.noted import Noted
from handlers.gateways import executions
from handlers.gateways.aws import code_of, named_errors
from handlers.gateways.run_table import RunTable
from handlers.gateways.runs import OVER, Runs
from handlers.report.facts import Workflow
from orchestration.specification.names import Names

WORKFLOWS: tuple[Workflow, ...] = ("failover", "reprotect")

# A run that waits for a person has asked in its last few events.
LAST_EVENTS = 10


@dataclass(frozen=True)
class Run:
    """One execution. Times in seconds since 1970; ``ended_at`` and ``output`` are None while it runs."""

    name: str
    workflow: Workflow
    region: str
    arn: str
    status: str
    started_at: float
    ended_at: float | None = None
    asked: Mapping[str, Any] | None = None
    output: Mapping[str, Any] | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it never does anything again."""
        return self.status in OVER

    @property
    def outcome(self) -> str:
        """How it ended, or that it runs, in the workflow's own words."""
        if self.output and isinstance(self.output.get("outcome"), str):
            return str(self.output["outcome"])
        return self.status.lower().replace("_", " ")


def machine_arn(names: Names, workflow: Workflow, region: str) -> str:
    """Returns the ARN of a workflow in a region."""
    return names.state_machine_arn(region) if workflow == "failover" else names.reprotection_arn(region)


def listed(deployment: Deployment, region: str, most: int) -> list[Run]:
    """Returns the newest runs of a region, the newest first; raises `FailoverError`."""
    found = []
    for workflow in WORKFLOWS:
        arn = machine_arn(deployment.names, workflow, region)
        with named_errors(f"listing the runs of {workflow} in {region}"):
            answer = deployment.client("stepfunctions", region).list_executions(stateMachineArn=arn, maxResults=most)
        found += [_run(workflow, region, one) for one in answer["executions"][:most]]
    return sorted(found, key=lambda run: -run.started_at)[:most]


def described(deployment: Deployment, region: str, workflow: Workflow, name: str) -> Run | None:
    """Returns one run with its input and output; None when there is none of that name. Raises `FailoverError`."""
    arn = execution_arn(machine_arn(deployment.names, workflow, region), name)
    with named_errors(f"looking for run {name} in {region}"):
        try:
            one = deployment.client("stepfunctions", region).describe_execution(executionArn=arn)
        except ClientError as error:
            if code_of(error) in ("ExecutionDoesNotExist", "InvalidArn"):
                return None
            raise
    return _run(workflow, region, one)


def is_over(deployment: Deployment, region: str, run: str) -> bool | None:
    """Returns whether a run of the failover workflow has ended; None when that is not known."""
    arn = deployment.names.state_machine_arn(region)
    return Runs(deployment.client("stepfunctions", region), arn).is_over(run)


def find(deployment: Deployment, name: str) -> Run:
    """Returns the run of that name, wherever it is.

    Raises
    ------
    Refused
        there is none in either region.
    CannotTell
        it is not in the region that answers, and the other one does not; or the deployment is not in this account.
    """

    def look(region: str) -> Run | None:
        return next(filter(None, (described(deployment, region, workflow, name) for workflow in WORKFLOWS)), None)

    _ = deployment.names
    deployment.make_clients("stepfunctions")
    asked = []
    for answered in deployment.each(look):
        if isinstance(answered.error, FailoverError):
            _raise_if_known(deployment, answered.error)
            continue
        run = answered.get()
        if run is not None:
            return run
        asked.append(answered.region)
    dark = [region for region in deployment.regions if region not in asked]
    if dark:
        raise CannotTell(
            f"there is no run {name} in {' and '.join(asked) or 'any region that answers'}, and {' and '.join(dark)} "
            "gives no answer: it may be there. `failoverctl runs` lists those that are seen"
        )
    deployment.read()  # in an account without the deployment there are no runs either: it says so
    raise Refused(
        f"there is no run {name} in {' or '.join(deployment.regions)}. `failoverctl runs` lists the last ones; Step "
        "Functions forgets a run after 90 days, and `failoverctl show` then looks into the table of records"
    )


def kept(deployment: Deployment, name: str) -> tuple[Mapping[str, Any], Noted | None] | None:
    """Returns what is kept of a run for good, and noted beside it, in either region; None where there is nothing."""

    def look(region: str) -> tuple[Mapping[str, Any], Noted | None] | None:
        record = _table(deployment, region).read(name)
        return (record, noted(deployment, region, name)) if record else None

    return deployment.in_either("dynamodb", look)


def noted(deployment: Deployment, region: str, name: str) -> Noted | None:
    """Returns what was noted beside the record of a run of that region; None where nobody can read it."""
    return _table(deployment, region).noted(name)


def _table(deployment: Deployment, region: str) -> RunTable:
    return RunTable(deployment.client("dynamodb", region), deployment.names.runs_table(region))


def events(deployment: Deployment, run: Run, *, last: int | None = None) -> list[Event]:
    """Returns the history of a run in its order, or the end of it, of at least ``last`` events if it is that long."""
    return executions.events(deployment.client("stepfunctions", run.region), run.arn, last=last)


def waiting(deployment: Deployment, runs: Sequence[Run]) -> list[tuple[Run, Question]]:
    """Returns the runs among these that wait for a person, each with its question. Raises `FailoverError`."""
    found = []
    for run in runs:
        if not run.is_over:
            question = history.question(events(deployment, run, last=LAST_EVENTS))
            if question is not None and question.answer is None:
                found.append((run, question))
    return found


def _raise_if_known(deployment: Deployment, error: FailoverError) -> None:
    """Raises what every region would say."""
    if fault := credentials_fault(error):
        raise CannotTell(fault) from error
    if is_denied(error):
        raise CannotTell(
            f"{deployment.identity.arn} may not look at the runs: attach the policy "
            f"{deployment.names.policy('readers')}, or use other credentials ({root_of(error)})"
        ) from error


def _run(workflow: Workflow, region: str, one: Mapping[str, Any]) -> Run:
    """Returns a run as Step Functions lists it, or describes it, which says more."""
    return Run(
        one["name"],
        workflow,
        region,
        one["executionArn"],
        one["status"],
        one["startDate"].timestamp(),
        one["stopDate"].timestamp() if "stopDate" in one else None,
        history.json_object(one.get("input")),
        history.json_object(one.get("output")),
        one.get("error"),
    )
