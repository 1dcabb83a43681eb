"""Asks IAM, Lambda, CloudWatch and EventBridge about the functions, their roles and what starts them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from failoverctl.account import Account
from handlers.core.readiness import NotSeen, Said
from orchestration.settings import US_CONTROL_PLANE_REGION
from orchestration.specification.model import Permission
from orchestration.specification.policies import permissions

HOUR, MINUTE_S = timedelta(hours=1), 60
MINUTES = 60
# EventBridge may be late by some seconds, so that a start falls into the next minute; two missing ones are silence.
GAPS_BORNE = 1
# CloudWatch shows the newest minutes late.
MINUTES_NOT_SHOWN = 2
MOST_SHOWN = 5
URL_WAIT_S = 6.0
# What a pattern stands for, where a permission has one.
STANDS_FOR = {"*": "example", "??????": "abcdef"}


def granted(account: Account, region: str) -> Said:
    """Has IAM simulate every permission of every role of the region, with the conditions that it is granted under.

    The simulation knows permissions boundaries and the organization's policies, which no file of this project does.
    """
    refused, asked = [], 0
    for role, grants in permissions(account.names, account.specification.regions[region]).items():
        for grant in grants:
            for answer in _simulated(account, role, grant):
                asked += 1
                if answer["EvalDecision"] != "allowed":
                    refused.append(f"{role} may not {answer['EvalActionName']}{_why(answer)}")
    if refused:
        more = f", and {len(refused) - MOST_SHOWN} more" if len(refused) > MOST_SHOWN else ""
        return "failing", "; ".join(refused[:MOST_SHOWN]) + more
    return "ok", f"{asked} permissions, all allowed"


def _simulated(account: Account, role: str, grant: Permission) -> Iterator[Mapping[str, Any]]:
    context = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [value],
            "ContextKeyType": "stringList" if operator.startswith("ForAnyValue:") else "string",
        }
        for operator, tests in (grant.conditions or {}).items()
        for key, value in tests.items()
    ]
    yield from account.pages(
        "iam",
        US_CONTROL_PLANE_REGION,
        "simulate_principal_policy",
        "EvaluationResults",
        PolicySourceArn=account.names.role_arn(role),
        ActionNames=list(grant.actions),
        ResourceArns=[_example(each) for each in grant.resources],
        ContextEntries=context,
    )


def _example(resource: str) -> str:
    if resource == "*":
        return resource
    for pattern, text in STANDS_FOR.items():
        resource = resource.replace(pattern, text)
    return resource


def _why(answer: Mapping[str, Any]) -> str:
    if not answer.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return " (a policy of the organization)"
    if not answer.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return " (its permissions boundary)"
    return f" on {answer.get('EvalResourceName', '*')} ({answer['EvalDecision']})"


def trusted(account: Account, region: str) -> Said:
    """Asks whom the roles trust in which the other region acts on this one."""
    faults = []
    for role in account.specification.regions[region].roles_for_others:
        found = account.answer("iam", US_CONTROL_PLANE_REGION, "get_role", RoleName=role.name)["Role"]
        document = found["AssumeRolePolicyDocument"]  # botocore has decoded it
        text = document if isinstance(document, str) else json.dumps(document)
        missing = [each for each in role.trusted if each not in text]
        faults += [f"{role.name} does not trust {each.rsplit('/', 1)[-1]}" for each in missing]
    return ("failing", "; ".join(faults)) if faults else ("ok", "each role trusts the functions that act in it")


def only_by_url(account: Account, region: str) -> Said:
    """Asks who may invoke the writer switch, and asks the switch itself as a health checker does."""
    function = account.names.function("writer_switch", region)
    policy = account.answer("lambda", region, "get_policy", FunctionName=function)["Policy"]
    open_to_all = [
        statement
        for statement in json.loads(policy)["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
        and "lambda:InvokedViaFunctionUrl" not in json.dumps(statement.get("Condition", {}))
    ]
    if open_to_all:
        return "failing", f"everybody may invoke {function}, and not by its URL only"
    url = account.answer("lambda", region, "get_function_url_config", FunctionName=function)["FunctionUrl"]
    said = _fetched(str(url))
    if not said.startswith('{"engaged": '):
        return "failing", f"the switch answers {said[:80]!r}"
    return "ok", f"it may be called by its URL only, and answers {said}"


def _fetched(url: str) -> str:
    if not url.startswith("https://"):
        raise NotSeen(f"{url} is no address of Lambda's")
    try:
        with urllib.request.urlopen(url, timeout=URL_WAIT_S) as answer:  # noqa: S310 - https, as Lambda gave it
            return str(answer.read(200).decode(errors="replace"))
    except urllib.error.HTTPError as error:  # a switch that is not engaged answers 503
        return error.read(200).decode(errors="replace")
    except OSError as error:
        raise NotSeen(f"this machine does not reach {url}: {error}") from error


def without_gaps(account: Account, region: str) -> Said:
    """Asks Lambda in which minutes of the last hour the monitor was started."""
    dimensions = {"FunctionName": account.names.function("monitor", region)}
    points = account.points(region, "AWS/Lambda", "Invocations", dimensions, HOUR, MINUTE_S)
    started = [point for point in points if float(point["Sum"]) > 0]
    if not started:
        return "failing", "it was not started at all in the last hour"
    first, last = (choose(point["Timestamp"] for point in started) for choose in (min, max))
    lived = round((last - first).total_seconds() / MINUTE_S) + 1
    missing = lived - len(started)
    words = f"it was started in {len(started)} of {lived} minutes"
    # A point has the time at which its minute began.
    since = (account.reading.now - last.timestamp()) / MINUTE_S - 1
    if since > MINUTES_NOT_SHOWN + GAPS_BORNE:
        return "failing", f"{words}, and not in the last {since:.0f}"
    if missing > GAPS_BORNE:
        return "failing", words
    if lived + since < MINUTES - MINUTES_NOT_SHOWN:
        raise NotSeen(f"{words}, and an hour is wanted: ask again later")
    return "ok", words


def alarms(account: Account, region: str) -> Said:
    """Asks CloudWatch for every alarm of the region, and whether it has data."""
    deployed = account.specification.regions[region]
    wanted = [alarm.name for alarm in (*deployed.alarms, *deployed.upkeep_alarms)]
    found = {
        each["AlarmName"]: each
        for each in account.pages("cloudwatch", region, "describe_alarms", "MetricAlarms", AlarmNames=wanted[:100])
    }
    missing = [name for name in wanted if name not in found]
    silent = [name for name in wanted if found.get(name, {}).get("StateValue") == "INSUFFICIENT_DATA"]
    quiet = [name for name in wanted if not found.get(name, {}).get("ActionsEnabled", True)]
    faults = [
        f"{title}: {', '.join(names)}"
        for title, names in (("missing", missing), ("not evaluated", silent), ("actions switched off", quiet))
        if names
    ]
    return ("failing", "; ".join(faults)) if faults else ("ok", f"{len(wanted)} alarms, all evaluated")


def rules(account: Account, region: str) -> Said:
    """Asks EventBridge for every rule of the region, by an event or by a schedule."""
    deployed = account.specification.regions[region]
    by_event = {rule.name: rule.event_pattern for rule in deployed.rules}
    by_event |= {rule.name: rule.event_pattern for rule in deployed.function_rules}
    by_schedule = {schedule.name: schedule.expression for schedule in deployed.schedules}
    faults = []
    for name in (*by_event, *by_schedule):
        found = account.answer("events", region, "describe_rule", Name=name)
        if found.get("State") != "ENABLED":
            faults.append(f"{name} is {found.get('State')}")
        if json.loads(found.get("EventPattern", "{}")) != json.loads(json.dumps(by_event.get(name, {}))):
            faults.append(f"{name} waits for another event than is deployed")
        if found.get("ScheduleExpression") != by_schedule.get(name):
            faults.append(f"{name} has another schedule than is deployed")
    count = len(by_event) + len(by_schedule)
    return ("failing", "; ".join(faults)) if faults else ("ok", f"{count} rules are enabled, as deployed")
