"""Deploys every stack to an emulator with the real AWS provider, and destroys it again: ``make terraform-check``.

It deploys and destroys by the commands of docs/deploy.md (`tests.terraform.walk`). What it shows: they do what the page
says; every stack can be planned, applied and destroyed in its order; what is in its state exists; a second plan
proposes nothing but the emulator's own differences; a region can be planned while the other one is dark; and from a
switchover and a failover to the failback, no plan touches a database whose apply is not refused.
"""

# ruff: noqa: T201  # a command that prints to a person
from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import boto3

from failoverctl.asks.beforehand import REPORTS_ROLE
from orchestration.safe_to_apply import ATTEMPTS, ATTEMPTS_VARIABLE, DATABASES, verdict
from orchestration.settings import Settings, load
from orchestration.terraform import NOT_FOUND, Change, TerraformFailed
from tests.terraform import emulator, inventory, provider
from tests.terraform.circle import Circle, NotThere
from tests.terraform.emulator_differences import REVIEWED_WITH, unneeded, unreviewed
from tests.terraform.endpoint import Endpoint
from tests.terraform.terraform import Terraform
from tests.terraform.walk import PARTS, Walk, WalkFailed

ACCOUNT = "000000000000"  # the emulator's


class CheckFailed(Exception):
    """The deployment does not do what it must; the message says what was expected and what was found."""


@dataclass(frozen=True)
class Deployment:
    """Every stack, prepared, in the order in which it is deployed, and the endpoint that stands for AWS."""

    settings: Settings
    stacks: dict[str, Terraform]
    endpoint: Endpoint
    provider_version: str | None

    def deploy(self) -> None:
        """Applies every stack. A stack's plan may only create."""
        for name, stack in self.stacks.items():
            with timed(f"deploy {name}"):
                stack.init()
                stack.validate()
                planned = stack.plan()
                expect(all(change.actions == ("create",) for change in planned), f"{name} plans only to create")
                stack.apply()
                made = {resource["address"] for resource in stack.resources()}
                missing = {change.address for change in planned} - made
                expect(not missing, f"{name}: everything planned is in its state, but {sorted(missing)} is not")
                self._expect_listed(name)

    def deployed(self) -> None:
        """Looks whether the emulator has everything that is in the stacks' states, and that there is something."""
        for name in self.stacks:
            self._expect_listed(name)

    def _expect_listed(self, name: str) -> None:
        made = self.stacks[name].resources()
        unlisted = inventory.missing(made, self.settings.regions, self.endpoint.url)
        expect(not unlisted, f"{name}: the emulator lists everything in the state, but {unlisted} is not there")
        expect(bool(made), f"{name} has resources in its state")
        print(f"  {name}: {len(made)} resources")

    def plan_again(self) -> None:
        """Plans every stack: Terraform asks the emulator for each resource, so what is missing or differs shows.

        Only the emulator's own differences may; each one must, with the provider that they were reviewed with.
        """
        differences: list[Change] = []
        for name, stack in self.stacks.items():
            with timed(f"plan {name} again"):
                planned = stack.plan()
                self._expect_nothing_new(name, planned)
                differences += planned
        stale = unneeded(differences) if self.provider_version == REVIEWED_WITH else []
        expect(not stale, "every reviewed difference of the emulator is seen; remove:\n" + "\n".join(stale))

    def plan_in_the_dark(self) -> None:
        """Plans each region's stack while the other region answers nothing, IAM and Route 53 included."""
        for region, dark in (self.settings.regions, self.settings.regions[::-1]):
            with timed(f"plan {region} while {dark} is dark"), self.endpoint.without(dark) as seen:
                self._expect_nothing_new(region, self.stacks[region].plan())
                asked = {where for where, _ in seen}
                expect(asked == {region}, f"{region} is planned by itself, but {sorted(asked)} was asked")

    def plan_around(self, circle: Circle) -> list[Row]:
        """Plans after each step of the circle: nothing may be proposed, or an apply has to be refused."""
        rows = []
        for step in circle.steps():
            for name in step.stacks:
                stack = self.stacks[name]
                with timed(f"{step.name}: plan {name}"), self.endpoint.telling(step.told):
                    new = [change for change in stack.plan() if unreviewed([change])]
                reasons = verdict(circle.record(), new, name)
                rows.append(Row.of(step.name, name, new, reasons))
                if step.at_work:
                    expect(bool(reasons), f"an apply of {name} is refused {step.name}")
                    continue
                self._expect_nothing_new(f"{name} after the {step.name}", new)
                expect(not reasons, f"an apply of {name} is safe after the {step.name}, but: {reasons}")
                if step.applied:
                    with timed(f"{step.name}: apply {name}"), self.endpoint.telling(step.told):
                        stack.apply()
        return rows

    def destroyed(self, destroy: Callable[[], None]) -> None:
        """Has every stack destroyed; nothing may be left, in the states or in the emulator."""
        known = {line.split()[0] for line in self._present()}
        unseen = {listing.kind for listing in inventory.LISTINGS} - known
        expect(not unseen, f"the emulator lists what is deployed, but no {sorted(unseen)}")
        destroy()
        for name, stack in self.stacks.items():
            expect(not stack.resources(), f"nothing of {name} is left in its state")
        left = self._present()
        expect(not left, f"nothing is left in the emulator, but {left} is")

    def _present(self) -> list[str]:
        """What the emulator has of the deployment."""
        return inventory.present(self.settings.environment_suffix, self.settings.regions, self.endpoint.url)

    def _expect_nothing_new(self, name: str, changes: Iterable[Change]) -> None:
        found = unreviewed(changes)
        expect(not found, f"a second plan of {name} proposes nothing, but:\n" + "\n".join(found))


@dataclass(frozen=True)
class Row:
    """One plan: what it proposes beyond the reviewed differences, to which databases, and whether it may be applied."""

    step: str
    stack: str
    proposed: tuple[str, ...]
    databases: tuple[str, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, step: str, stack: str, changes: Sequence[Change], reasons: Iterable[str]) -> Row:
        """The row of a plan with these changes, which must not be applied for these reasons."""
        return cls(
            step,
            stack,
            tuple(f"{'/'.join(change.actions)} {change.address}" for change in changes),
            tuple(sorted(change.name or change.address for change in changes if change.kind in DATABASES)),
            tuple(reasons),
        )


def table(rows: Iterable[Row]) -> str:
    """The rows for a person to read, as a table of Markdown."""
    lines = [("step", "stack", "proposed", "databases touched", "apply")]
    lines += [
        (
            row.step,
            row.stack,
            ", ".join(f"{actions} {count}" for actions, count in _counted(row.proposed)) or "nothing",
            ", ".join(row.databases) or "none",
            "refused" if row.reasons else "safe",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in ruled
    )


def _counted(proposed: Iterable[str]) -> list[tuple[str, int]]:
    """How many resources have which actions."""
    return sorted(Counter(line.split()[0] for line in proposed).items())


def expect(holds: bool, what: str) -> None:
    """Raises `CheckFailed` unless ``holds``; ``what`` says what was expected."""
    if not holds:
        raise CheckFailed(f"expected: {what}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make terraform-check", description=__doc__)
    parser.add_argument("--emulator", required=True, help="Python of the virtual environment that holds ministack")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table of plans to FILE as well")
    options = parser.parse_args(arguments)
    terraform = provider.terraform()
    if terraform is None:
        print(f"error: {NOT_FOUND}", file=sys.stderr)
        return 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="terraform-check-") as folder:
        try:
            rows = run(Path(folder), terraform, options.emulator)
        except (CheckFailed, NotThere, TerraformFailed, WalkFailed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(f"All checks passed in {time.monotonic() - started:.0f} s.")
    return 0


def run(folder: Path, terraform: str, emulator_python: str) -> list[Row]:
    """The whole check, with everything it writes below ``folder``; returns the plans around the circle."""
    found = provider.find()
    print(f"Terraform: {terraform}; AWS provider: {found.version or 'as pinned, from the registry'}")
    port = emulator.free_port()
    command = [emulator_python, "-m", "ministack"]
    with (
        emulator.running(command, port, folder / "emulator.log", MINISTACK | {"GATEWAY_PORT": str(port)}) as upstream,
        Endpoint(upstream, LACKING).running() as endpoint,
    ):
        environment = terraform_environment(endpoint.url) | found.write(folder)
        walk = Walk(folder, environment, terraform, found.version)
        os.environ.update(emulator.credentials(endpoint.url) | walk.variables)  # for this process, as for the walk's
        # The page's command makes it; the emulator gives it another name than AWS does.
        boto3.client("iam", "us-east-1").create_role(RoleName=REPORTS_ROLE, AssumeRolePolicyDocument="{}")
        for part in PARTS[:2]:
            with timed(f"docs/deploy.md, {part}"):
                walk.go(part)
        deployment = Deployment(load(), walk.stacks(), endpoint, found.version)
        deployment.deployed()
        with timed("docs/deploy.md, after"):
            walk.go("after")
        deployment.plan_again()
        deployment.plan_in_the_dark()
        rows = deployment.plan_around(Circle(deployment.settings, ACCOUNT, endpoint.url))
        with timed("docs/deploy.md, destroy"):
            deployment.destroyed(lambda: walk.go("destroy"))
    return rows


# The emulator orders no Serverless v2 instances, without which `failoverctl deploy` would not begin. And it takes a
# secret's replicas away only with the secret itself, which the provider deletes after this.
LACKING = {
    "secretsmanager.RemoveRegionsFromReplication": json.dumps({"ReplicationStatus": []}),
    "DescribeOrderableDBInstanceOptions": "<DescribeOrderableDBInstanceOptionsResponse>"
    "<DescribeOrderableDBInstanceOptionsResult><OrderableDBInstanceOptions><OrderableDBInstanceOption>"
    "<DBInstanceClass>db.serverless</DBInstanceClass><SupportsGlobalDatabases>true</SupportsGlobalDatabases>"
    "<AvailabilityZones><AvailabilityZone><Name>a</Name></AvailabilityZone>"
    "<AvailabilityZone><Name>b</Name></AvailabilityZone></AvailabilityZones></OrderableDBInstanceOption>"
    "</OrderableDBInstanceOptions></DescribeOrderableDBInstanceOptionsResult>"
    "</DescribeOrderableDBInstanceOptionsResponse>",
}

# Nothing but HTTP on one port of this machine. Functions end in an error: there is no database for them, and a guardian
# that lives would fence and open clusters while the check moves them.
MINISTACK = {"BIND_HOST": "127.0.0.1", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LAMBDA_STRICT": "1"}


def terraform_environment(url: str) -> dict[str, str]:
    """What Terraform is told: the emulator's address, and nothing of the user's AWS accounts."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **kept,
        **emulator.credentials(url),
        ATTEMPTS_VARIABLE: ATTEMPTS,
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_ARGS": "-no-color",
        "TF_IN_AUTOMATION": "1",
    }


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    print(f"{what} ...", flush=True)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
