"""AWS FIS, as ``gameday`` asks it: the experiment that is deployed, and what becomes of one that is started."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from failoverctl.account import Account
from failoverctl.errors import CannotTell, Refused, credentials_fault, is_denied
from handlers.core.errors import FailoverError, TransientFailure
from orchestration.specification.game_day import ACTION, SCOPE

# FIS API reference, ExperimentState and ExperimentActionState.
OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
DATABASE = "RDSNetworkInterface"  # how RDS describes a network interface of an instance

APPLY = "apply the stacks as they are now (`failoverctl deploy`)"


@dataclass(frozen=True)
class Template:
    """The experiment as it is deployed in a region: what it cuts off, for how long, and which alarms end it."""

    id: str
    region: str
    subnets: tuple[str, ...]
    minutes: float
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """An experiment that was started; times in seconds since 1970, None where it has not come to that.

    ``cut_at`` and ``restored_at``: when FIS began to cut the subnets off, and had given them back.
    """

    id: str
    region: str
    status: str
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    cut_at: float | None = None
    restored_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether FIS does nothing more of it."""
        return self.status in OVER


@dataclass(frozen=True)
class Interface:
    """A network interface in a subnet that is cut off, and what it is, in AWS's own words."""

    id: str
    subnet: str
    what: str

    @property
    def is_database(self) -> bool:
        """Whether it is one of RDS."""
        return self.what == DATABASE


def template(account: Account, region: str) -> Template:
    """Returns the experiment of a region; raises `Refused` where there is none, or another than this version makes."""
    name = account.names.game_day(region)
    with asking(account, "looking for the experiment"):
        found = account.pages("fis", region, "list_experiment_templates", "experimentTemplates")
        ids = [each["id"] for each in found if each.get("tags", {}).get("Name") == name]
        if len(ids) != 1:
            raise Refused(f"there {'is no experiment' if not ids else f'are {len(ids)} experiments'} {name}: {APPLY}")
        one = account.answer("fis", region, "get_experiment_template", id=ids[0])["experimentTemplate"]
    actions, targets = list(one["actions"].values()), list(one["targets"].values())
    parameters = actions[0].get("parameters", {}) if actions else {}
    if [each["actionId"] for each in actions] != [ACTION] or parameters.get("scope") != SCOPE or len(targets) != 1:
        raise Refused(f"the experiment {name} ({ids[0]}) does other things than cut the database off: {APPLY}")
    alarms = [each["value"] for each in one["stopConditions"] if each["source"] == "aws:cloudwatch:alarm"]
    return Template(
        ids[0],
        region,
        tuple(arn.rsplit("/", 1)[1] for arn in targets[0].get("resourceArns", ())),
        _minutes(parameters.get("duration", "")),
        tuple(arn.split(":alarm:", 1)[1] for arn in alarms),
    )


def running(account: Account, of: Template) -> Experiment | None:
    """Returns the experiment of a template that is not over; None where there is none."""
    with asking(account, "looking for experiments that run"):
        found = account.pages("fis", of.region, "list_experiments", "experiments", experimentTemplateId=of.id)
    return next((each for each in (_read(one, of.region) for one in found) if not each.is_over), None)


def start(account: Account, of: Template) -> Experiment:
    """Starts an experiment; raises `CannotTell` where nobody knows whether it was started."""
    name = account.names.game_day(of.region)
    try:
        with asking(account, "starting the experiment"):
            answer = account.answer(
                "fis", of.region, "start_experiment", experimentTemplateId=of.id, tags={"Name": name}
            )
    except TransientFailure as error:
        raise CannotTell(
            "the experiment may have been started or not: `failoverctl gameday --plan` shows one that runs, and how "
            f"to stop it ({error})"
        ) from error
    return _read(answer["experiment"], of.region)


def look(account: Account, at: Experiment) -> Experiment:
    """Returns what has become of an experiment; raises `FailoverError`."""
    return _read(account.answer("fis", at.region, "get_experiment", id=at.id)["experiment"], at.region)


def stop(account: Account, which: Experiment) -> Experiment:
    """Has FIS stop an experiment, which takes the cut back; raises `FailoverError`."""
    return _read(account.answer("fis", which.region, "stop_experiment", id=which.id)["experiment"], which.region)


def alarm_states(account: Account, of: Template) -> Mapping[str, str]:
    """Returns the states of a template's alarms by their names; an alarm that is not there has none."""
    with asking(account, "looking at the alarms that end it"):
        found = account.answer(
            "cloudwatch",
            of.region,
            "describe_alarms",
            AlarmNames=list(of.alarms),
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        )
    both = (*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ()))
    return {each["AlarmName"]: each["StateValue"] for each in both}


def interfaces(account: Account, of: Template) -> Sequence[Interface]:
    """Returns the network interfaces in the subnets that a template cuts off."""
    with asking(account, "looking at what is in the subnets"):
        found = account.pages(
            "ec2",
            of.region,
            "describe_network_interfaces",
            "NetworkInterfaces",
            Filters=[{"Name": "subnet-id", "Values": list(of.subnets)}],
        )
    return [
        Interface(
            each["NetworkInterfaceId"],
            each["SubnetId"],
            each.get("Description") or each.get("Attachment", {}).get("InstanceId") or each.get("InterfaceType", ""),
        )
        for each in found
    ]


@contextmanager
def asking(account: Account, what: str) -> Iterator[None]:
    """Says of a request that was not allowed which policy allows it."""
    try:
        yield
    except FailoverError as error:
        if fault := credentials_fault(error):
            raise CannotTell(fault) from error
        if not is_denied(error):
            raise
        raise Refused(
            f"{account.deployment.identity.arn} may not do that ({what}): attach the policy "
            f"{account.names.policy('gameday')} beside {account.names.policy('operators')}, or use other credentials. "
            f"Nothing was cut off. {error.__cause__}"
        ) from error


def _read(one: Mapping[str, Any], region: str) -> Experiment:
    """Returns an experiment as FIS describes it, or lists it, which says less."""
    action: Mapping[str, Any] = next(iter(one.get("actions", {}).values()), {})
    return Experiment(
        one["id"],
        region,
        one["state"]["status"],
        one["state"].get("reason", ""),
        _at(one.get("startTime") or one.get("creationTime")),
        _at(one.get("endTime")),
        _at(action.get("startTime")),
        _at(action.get("endTime")),
    )


def _at(moment: Any) -> float | None:
    return None if moment is None else float(moment.timestamp())


def _minutes(duration: str) -> float:
    """Returns an ISO 8601 duration, such as ``PT20M``, in minutes."""
    found = DURATION.fullmatch(duration)
    if not found:
        raise Refused(f"the experiment lasts {duration!r}, which is not understood: {APPLY}")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 60 + minutes + seconds / 60
