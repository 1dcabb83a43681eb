"""Adopts a database that somebody else's Terraform made, on an emulator: ``make terraform-check`` runs it.

What it shows, with the real AWS provider: `failoverctl adopt` finds the database and writes settings that deploy; both
configurations plan nothing before, around a failover and after it; a value that is wrong ends the plan before anything
is changed; a rebuilt standby has the instance classes that were found; and after our stacks are destroyed the databases
are there.
"""

# ruff: noqa: T201  # a command that prints to a person
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from orchestration.settings import PROJECT_ROOT, SETTINGS_FILE_VARIABLE, Settings, load
from orchestration.terraform import NOT_FOUND, TerraformFailed
from tests.terraform import check, emulator, inventory, owner, provider
from tests.terraform.check import CheckFailed, Deployment, expect
from tests.terraform.circle import Circle, NotThere
from tests.terraform.configuration import deployment_order, prepare
from tests.terraform.emulator_differences import UNKNOWN, UNKNOWN_DATA, unreviewed
from tests.terraform.endpoint import Endpoint
from tests.terraform.terraform import Terraform

SUFFIX = "adopted"
SETTINGS = (
    f'environment_suffix = "{SUFFIX}"\nenvironment = "development"\napplication = "orders"\ndns_zone = "{owner.ZONE}"\n'
)

# The emulator knows no transit gateways; there are none.
LACKING = {
    "DescribeTransitGatewayVpcAttachments": "<DescribeTransitGatewayVpcAttachmentsResponse>"
    "<transitGatewayVpcAttachments/></DescribeTransitGatewayVpcAttachmentsResponse>"
}


class AroundOwners(Circle):
    """The circle of a database whose clusters have security groups of their owner's."""

    def _set_group(self, purpose: str) -> None:
        """Closes the first cluster with our fence's group, or gives it back its owner's, as the fence function does."""
        groups = self._settings.existing_in(self._home).security_group_ids
        if purpose == "database":
            self._rds[self._home].modify_db_cluster(
                DBClusterIdentifier=self._names.cluster(self._home), VpcSecurityGroupIds=list(groups)
            )
            return
        super()._set_group(purpose)


class Check:
    """One emulated account with an owner's database in it."""

    def __init__(self, folder: Path, terraform: str, endpoint: Endpoint) -> None:
        self.folder = folder
        self.terraform = terraform
        self.endpoint = endpoint
        self.found = provider.find()
        self.environment = check.terraform_environment(endpoint.url) | self.found.write(folder)
        self.file = folder / "settings.toml"
        self.file.write_text(SETTINGS)
        os.environ.update(emulator.credentials(endpoint.url) | {SETTINGS_FILE_VARIABLE: str(self.file)})
        owner.write(folder / "owner", self.found.version)
        self.owner = Terraform(terraform, folder / "owner", self.environment)

    def run(self) -> None:
        """The whole check."""
        with check.timed("the owner deploys"):
            self.owner.init()
            self.owner.plan()
            self.owner.apply()
        self.owner_plans_nothing("before anybody adopts it")
        before = self.databases()
        with check.timed("failoverctl adopt"):
            self.adopt()
        settings = load()
        stacks = self.stacks(self.synthesize("ours", {}), "ours")
        deployment = Deployment(settings, stacks, self.endpoint, self.found.version)
        self.refuses_a_wrong_range(settings)
        deployment.deploy()
        self.nothing_of_the_owners_is_in(stacks)
        self.both_plan_nothing(stacks, "after the deployment", settings.regions, {})
        expect(self.databases() == before, "the databases are as they were")
        self.around(deployment, settings)
        rebuilt = self.databases()
        for name, stack in reversed(stacks.items()):
            with check.timed(f"destroy {name}"):
                stack.destroy()
                expect(not stack.resources(), f"nothing of {name} is left in its state")
        left = inventory.present(SUFFIX, settings.regions, self.endpoint.url)
        expect(not left, f"nothing of ours is left in the emulator, but {left} is")
        self.owner_plans_nothing("after our stacks are destroyed")
        expect(self.databases() == rebuilt, "the databases are untouched by the destroy")
        print(f"databases: {rebuilt}")

    def adopt(self) -> None:
        """Runs failoverctl as a person would."""
        zone = next(one["values"]["zone_id"] for one in self.owner.resources() if one["type"] == "aws_route53_zone")
        done = subprocess.run(
            [sys.executable, "-m", "failoverctl", "adopt", owner.GLOBAL, "--zone", zone],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout, done.stderr)
        expect(done.returncode == 0, f"failoverctl adopts {owner.GLOBAL}")

    def synthesize(self, name: str, variables: Mapping[str, str]) -> Path:
        """Synthesizes with the settings as they are, and these variables; returns the folder."""
        output = self.folder / f"{name}.out"
        subprocess.run(
            [sys.executable, "app.py"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "CDKTF_OUTDIR": str(output), **variables},
            check=True,
        )
        return output

    def stacks(self, synthesized: Path, name: str) -> dict[str, Terraform]:
        """Prepares every stack, in the order in which they are deployed."""
        prepared = {}
        for stack in deployment_order(synthesized / "manifest.json"):
            target = self.folder / name / stack
            prepare(
                synthesized / "stacks" / stack, target, self.found.version, without=UNKNOWN, data_without=UNKNOWN_DATA
            )
            prepared[stack] = Terraform(self.terraform, target, self.environment)
        return prepared

    def refuses_a_wrong_range(self, settings: Settings) -> None:
        """A VPC with another range than the settings say ends the plan with field, value and remedy."""
        wrong = self.stacks(self.synthesize("wrong", {"FAILOVER_EXISTING__WRITER__VPC_CIDR": "10.70.0.0/16"}), "wrong")
        stack = wrong[settings.writer_region]
        with check.timed("plan with a wrong range"):
            stack.init()
            try:
                stack.plan()
            except TerraformFailed as error:
                said = " ".join(str(error).replace("│", " ").split())
                wanted = "existing.writer.vpc_cidr is 10.70.0.0/16"
                expect(wanted in said and owner.RANGES[owner.WRITER] in said, f"{wanted}, but: {said}")
            else:
                raise CheckFailed("expected: a wrong range is refused")

    def nothing_of_the_owners_is_in(self, stacks: Mapping[str, Terraform]) -> None:
        """No address of what exists is managed by a stack of ours."""
        owners = {one["values"]["arn"] for one in self.owner.resources() if one["values"].get("arn")}
        ours = {one["values"].get("arn") for stack in stacks.values() for one in stack.resources()}
        expect(not owners & ours, f"nothing of the owner's is managed by us, but {owners & ours}")

    def around(self, deployment: Deployment, settings: Settings) -> None:
        """Plans after each step of the circle: the owner's configuration, and ours of the region that was lost."""
        circle = AroundOwners(settings, check.ACCOUNT, self.endpoint.url)
        for step in circle.steps():
            if step.at_work:
                continue  # a cluster is missing: `failoverctl apply-safe` refuses, docs/adopt.md tells the owner
            names = [name for name in step.stacks if name in (settings.writer_region, "global")]
            self.both_plan_nothing(deployment.stacks, f"after the {step.name}", names, step.told)

    def both_plan_nothing(
        self, stacks: Mapping[str, Terraform], when: str, names: Sequence[str], told: Mapping[str, str]
    ) -> None:
        """Neither our stacks nor the owner's configuration proposes anything but the emulator's own differences."""
        for name in names:
            with check.timed(f"plan {name} {when}"), self.endpoint.telling(told):
                found = unreviewed(stacks[name].plan())
            expect(not found, f"a plan of {name} {when} proposes nothing, but:\n" + "\n".join(found))
        with self.endpoint.telling(told):
            self.owner_plans_nothing(when)

    def owner_plans_nothing(self, when: str) -> None:
        """The owner's own plan proposes nothing but the emulator's own differences."""
        with check.timed(f"the owner plans {when}"):
            found = unreviewed(self.owner.plan())
        expect(not found, f"the owner's plan {when} proposes nothing, but:\n" + "\n".join(found))

    def databases(self) -> dict[str, Any]:
        """Each cluster with its instances' classes, groups and parameter group, as RDS tells them."""
        told: dict[str, Any] = {}
        for region, name in owner.CLUSTERS.items():
            rds = boto3.client("rds", region, endpoint_url=self.endpoint.url)
            cluster = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
            answer = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [name]}])
            told[name] = {
                "instances": {one["DBInstanceIdentifier"]: one["DBInstanceClass"] for one in answer["DBInstances"]},
                "groups": sorted(one["VpcSecurityGroupId"] for one in cluster["VpcSecurityGroups"]),
                "parameters": cluster["DBClusterParameterGroup"],
            }
        return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.terraform.adopted", description=__doc__)
    parser.add_argument("--emulator", required=True, help="Python of the virtual environment that holds ministack")
    options = parser.parse_args(arguments)
    terraform = provider.terraform()
    if terraform is None:
        print(f"error: {NOT_FOUND}", file=sys.stderr)
        return 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="terraform-adopted-") as name:
        folder, port = Path(name), emulator.free_port()
        command = [options.emulator, "-m", "ministack"]
        variables = check.MINISTACK | {"GATEWAY_PORT": str(port)}
        try:
            with (
                emulator.running(command, port, folder / "emulator.log", variables) as upstream,
                Endpoint(upstream, LACKING).running() as endpoint,
            ):
                Check(folder, terraform, endpoint).run()
        except (CheckFailed, NotThere, TerraformFailed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(f"All checks passed in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
