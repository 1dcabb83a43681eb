"""Writes docs/permissions.md and docs/independence.md from the synthesized stacks, the specification and the journeys.

``make rights`` runs it; `test_documents` holds both files equal to what it would write, and
`tests.rights.test_adoption` the tables of docs/adopt.md.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestration.settings import PROJECT_ROOT
from orchestration.specification import people
from orchestration.specification.model import Permission
from orchestration.specification.policies import permissions
from orchestration.specification.workflows import definition, tasks
from tests.deployment import ACCOUNT, STANDBY, WRITER
from tests.deployment.rights import used_by
from tests.infrastructure.synthesized import ACCOUNT as TOKEN
from tests.infrastructure.synthesized import Deployment, Stack, synthesized
from tests.rights import adoption
from tests.rights.granted import reviewed, specification
from tests.rights.independence import WORKFLOWS, Row, Workflow, rows
from tests.rights.options import ALL_OPTIONS, described, setting_of

PERMISSIONS = PROJECT_ROOT / "docs" / "permissions.md"
INDEPENDENCE = PROJECT_ROOT / "docs" / "independence.md"

# Resources with a policy of their own, and what names each on the page.
KINDS_WITH_POLICIES = {
    "aws_kms_key": "",
    "aws_s3_bucket_policy": "bucket",
    "aws_sns_topic_policy": "arn",
    "aws_vpc_endpoint": "service_name",
}
REFERENCE = re.compile(r"\$\{(?P<kind>\w+)\.(?P<id>[\w-]+)\.\w+\}")

ABOUT_PERMISSIONS = f"""\
# Permissions

Who may do what: every role of {STANDBY} in a deployment named `test`, and everything else that lets somebody in. The
other region has the same with the regions in each other's place. ARNs stand without `arn:aws:` and the account.

`make rights` writes this page from the specification and the synthesized stacks; a test holds it equal. Permissions are
exact in both directions:

* **Nobody asks for what is not allowed.** Every request that a function makes in the tests, in drills and in
  simulations is compared with its role, by the action, each resource that AWS's service authorization reference has it
  authorized on, the conditions and the use of keys that follows from it (`orchestration/authorization.py`). A request
  that is not allowed is refused, and fails the test or the drill; in a simulation it is an error of the history.
* **Nothing is allowed that nobody needs.** Each action on each resource is needed by one of the journeys of
  `tests/rights/journeys.py`, which play the real handlers, or has a line in `tests/rights/reviewed.txt` that says why
  it is granted all the same; here its reason stands in *italics*. A line whose permission is needed after all is an
  error too.

Some functions and their roles are there only when the settings ask for them, which the page says of each. Here the
settings ask for all of them, and for a hook of each kind: a function `scale-out`, a state machine `tickets`, an SSM
document `drain-queues`.

The policies of the people who use `failoverctl` are in `orchestration/specification/people.py`.

Anybody may ask the writer switch which region its clients belong in, by its URL alone: Route 53's health checkers
cannot sign their requests. It reads one item, answers yes or no, and its reserved concurrency is its limit.
"""
ABOUT_GAME_DAYS = """\
## Game days

Only with `game_day.enabled` in the settings ([gameday.md](gameday.md)). No function of ours has any of this.
"""
ABOUT_INDEPENDENCE = f"""\
# Independence

Every request to AWS of each workflow, by service and region, as recorded while the real handlers played it
(`tests/rights/journeys.py`). `make rights` writes this page; a test holds it equal, and checks that

* no step asks an endpoint without a region in its name: not Route 53's or IAM's control plane, which are in us-east-1,
  nor the global endpoint of STS;
* in a failover from {WRITER} to {STANDBY} every endpoint of {WRITER} refuses, and the run recovers. What it asks
  of {WRITER} all the same is asked beside the way, by the steps that are marked *best effort*: how such a step ends
  does not change how the run ends, and its time limit bounds it.

Beside these requests the prober connects to the databases, Step Functions invokes the steps in its own region, and
Lambda decrypts their variables with its own region's key. Where the public name leads is decided by Route 53's health
checkers, its data plane, which no run asks. The control table's replica answers in its own region; DynamoDB needs one
of the two other regions for that, of which the witness is in a third.
"""


def permissions_page(deployment: Deployment) -> str:
    """The page on permissions."""
    parts = [ABOUT_PERMISSIONS, "## Without a role of ours\n", *_policies_of_resources(deployment)]
    whole, identity = specification(), deployment.stacks["identity"]
    region, only_with = whole.regions[STANDBY], setting_of()
    purposes = {role["name"]: role for role in identity.all("aws_iam_role")}
    for name, statements in sorted(permissions(whole.names, region).items()):
        (trust,) = json.loads(purposes[name]["assume_role_policy"])["Statement"]
        parts += [f"## {name}\n", f"{purposes[name]['description']}.\n"]
        if name in only_with:
            parts.append(f"Only with `{only_with[name]}` in the settings.\n")
        parts.append(f"Taken on by {_trusted(trust)}.\n")
        parts.append(_table(("may", "on", "if", "why"), _statements(name, statements)))
    return "\n".join([*parts, *_of_game_days()])


def _of_game_days() -> Iterator[str]:
    """What the settings add with `game_day.enabled`: the role in which FIS acts, and the policy of people."""
    with_it = described(game_day={"enabled": True})
    experiment, (*_, policy) = with_it.regions[STANDBY].game_day, people.policies(with_it.names)
    assert experiment is not None, "the setting makes one"
    yield ABOUT_GAME_DAYS
    for name, about, granted in (
        (experiment.name, "Taken on by FIS, for experiments of this account and region.", experiment.permissions),
        (policy.name, "A policy for people, of both regions.", policy.permissions),
    ):
        yield f"### {name}\n"
        yield f"{about}\n"
        yield _table(("may", "on", "if", "why"), _statements(name, granted))


def _statements(role: str, statements: Iterable[Permission]) -> Iterator[tuple[str, ...]]:
    reasons = reviewed()
    for statement in statements:
        used = [used_by(role, statement, action, arn) for action in statement.actions for arn in statement.resources]
        notes = {reason.reason: None for one in used for reason in reasons if reason.covers(one)}
        yield (
            _lines(statement.actions),
            _lines(_plain(arn) for arn in statement.resources),
            _lines(_conditions(statement.conditions or {})),
            ". ".join([statement.why, *(f"*{note}*" for note in notes)]),
        )


# The arguments of `aws_lambda_permission` by which it holds for some requests only.
CONDITIONS = ("function_url_auth_type", "invoked_via_function_url", "source_arn")


def _policies_of_resources(deployment: Deployment) -> Iterator[str]:
    """Who is let in by a resource's own policy: a key, a topic, a bucket, a way out of the VPC, a function."""
    stack, only_with = deployment.stacks[STANDBY], setting_of()
    found: list[tuple[str, ...]] = []
    for kind, what in KINDS_WITH_POLICIES.items():
        for policy in stack.all(kind):
            where = _plain(_named(stack, policy[what])) if what else "the region's key"
            statements = json.loads(policy["policy"])["Statement"]
            found += [(f"{where}: {statement['Sid']}", *_of_resource(statement)) for statement in statements]
    for granted in stack.all("aws_lambda_permission"):
        conditions = {key: granted[key] for key in CONDITIONS if key in granted}
        name = _named(stack, granted["function_name"])
        asked_for = f" (only with `{only_with[name]}`)" if name in only_with else ""
        found.append(
            (
                f"{name}: {granted['statement_id']}{asked_for}",
                f"allow {'everybody' if granted['principal'] == '*' else granted['principal']}",
                granted["action"],
                _lines(f"{key} `{_named(stack, str(value))}`" for key, value in conditions.items()),
            )
        )
    yield _table(("where", "whom", "what", "if"), sorted(found))


def _named(stack: Stack, reference: str) -> str:
    """The name of the resource that Terraform's text refers to."""
    match = REFERENCE.fullmatch(reference)
    if not match:
        return reference
    resource = stack.json["resource"][match["kind"]][match["id"]]
    return str(resource.get("function_name") or resource.get("bucket") or resource["name"])


def _of_resource(statement: dict[str, Any]) -> tuple[str, str, str]:
    principal = statement["Principal"]
    whom = "everybody" if principal == "*" else _lines(_plain(one) for who in principal.values() for one in _many(who))
    return (
        f"{statement['Effect'].lower()} {whom}",
        _lines(_many(statement["Action"])),
        _lines(_conditions(statement.get("Condition", {}))),
    )


def _trusted(trust: dict[str, Any]) -> str:
    ((_, who),) = trust["Principal"].items()
    conditions = list(_conditions(trust.get("Condition", {})))
    return f"`{_plain(who)}`" + (f", if {' and '.join(conditions)}" if conditions else "")


def _conditions(conditions: dict[str, dict[str, Any]]) -> Iterator[str]:
    for operator, tests in conditions.items():
        for key, value in tests.items():
            values = " or ".join(f"`{_plain(one)}`" for one in _many(value))
            yield f"{key} {'' if operator.endswith('Equals') else f'({operator}) '}{values}"


def independence_page() -> str:
    """The page on independence."""
    parts = [ABOUT_INDEPENDENCE]
    for workflow in WORKFLOWS:
        parts += [f"## {workflow.title}\n", f"{workflow.about}\n"]
        header = ("step", "asks", "in", "in the role", "given up after")
        parts.append(_table(header, (_row(row, workflow) for row in rows(workflow))))
    return "\n".join(parts)


def _row(row: Row, workflow: Workflow) -> tuple[str, ...]:
    path = workflow.path
    limits = {step: state["TimeoutSeconds"] for _, step, state in tasks(definition(path))} if path else {}
    effort = " (*best effort*)" if row.step in workflow.best_effort else ""
    limit = f"{limits[row.step]} s" if row.step in limits else ""
    return f"{row.step}{effort}", _lines(row.actions), row.region, row.role, limit


def _table(header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    written = [f"| {' | '.join(line)} |" for line in (header, tuple("---" for _ in header), *lines)]
    return "\n".join(written) + "\n"


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(texts)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(arn: str) -> str:
    for account in (ACCOUNT, TOKEN):
        arn = arn.replace(f":{account}:", "::").replace(account, "ACCOUNT")
    return arn.removeprefix("arn:aws:").replace("*", "\\*").replace("|", "\\|")


def main() -> None:
    """Writes both pages, and the tables of the one on adoption."""
    with tempfile.TemporaryDirectory() as folder:
        PERMISSIONS.write_text(permissions_page(synthesized(Path(folder), **ALL_OPTIONS)))
    INDEPENDENCE.write_text(independence_page())
    adoption.PAGE.write_text(adoption.page(adoption.PAGE.read_text()))


if __name__ == "__main__":
    main()
