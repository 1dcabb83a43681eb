"""Asks of an account, and of this machine, what a first deployment needs."""

from __future__ import annotations

import json
import shutil
import subprocess

from failoverctl import adoption, found
from failoverctl.account import Account
from failoverctl.asks.database import SERVERLESS, not_orderable
from failoverctl.errors import Refused, code_in
from handlers.core.errors import Misconfigured
from handlers.core.hooks import ASSUMED_ROLE, KINDS
from handlers.core.readiness import NotSeen, Said
from orchestration.settings import US_CONTROL_PLANE_REGION, Hook
from orchestration.specification.model import LEFT_UNRESERVED
from orchestration.specification.names import INSTANCES

OLDEST_TERRAFORM = (1, 11)  # the first with write-only attributes, in which the master password is
REPORTS_ROLE = "AWSServiceRoleForBackupReports"
# AWS makes these by itself when they are first needed.
MADE_BY_AWS = ("AWSServiceRoleForRDS", "AWSServiceRoleForDynamoDBReplication", "AWSServiceRoleForBackup")
ENABLED = ("opt-in-not-required", "opted-in")
VPCS_QUOTA = "L-F678F1CE"
# What a region's stack makes of what RDS counts.
RDS_NEEDS = {"DBClusters": 1, "DBInstances": INSTANCES}
ANSWERS_WITHIN_S = 20.0
# How Lambda, Step Functions and Systems Manager say that there is nothing of a name.
NOT_THERE = ("ResourceNotFoundException", "StateMachineDoesNotExist", "InvalidDocument")


def programs(_: Account, __: str) -> Said:
    """Looks on this machine for the programs that the deployment calls."""
    missing = [name for name in ("terraform", "curl") if shutil.which(name) is None]
    if missing:
        return "failing", f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on PATH"
    try:
        said = subprocess.run(
            ["terraform", "version", "-json"], capture_output=True, text=True, check=True, timeout=ANSWERS_WITHIN_S
        ).stdout
        version = str(json.loads(said)["terraform_version"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise NotSeen(f"terraform does not say its version ({type(error).__name__})") from error
    found = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    return "ok" if found >= OLDEST_TERRAFORM else "failing", f"Terraform {version}"


def credentials(account: Account, _: str) -> Said:
    """Asks STS whose credentials these are."""
    who = account.deployment.identity
    if who.arn.endswith(":root"):
        return "warning", f"they are the root user's, of account {who.account}"
    return "ok", f"{who.arn}, of account {who.account}"


def enabled(account: Account, region: str) -> Said:
    """Asks whether all three regions are enabled in the account."""
    wanted = (*account.regions, account.settings.witness_region)
    found = account.answer("ec2", region, "describe_regions", AllRegions=True, RegionNames=list(wanted))["Regions"]
    states = {each["RegionName"]: each.get("OptInStatus") for each in found}
    off = [each for each in wanted if states.get(each) not in ENABLED]
    return ("failing", f"not enabled: {', '.join(off)}") if off else ("ok", ", ".join(wanted))


def concurrency(account: Account, region: str) -> Said:
    """Asks Lambda how many executions at a time the account may have, and how many of them are free."""
    needed = account.specification.regions[region].concurrency
    found = account.answer("lambda", region, "get_account_settings")["AccountLimit"]
    quota, free = int(found["ConcurrentExecutions"]), int(found["UnreservedConcurrentExecutions"])
    words = f"{quota} are allowed and {free} of them not reserved; {needed} are needed"
    if quota < needed:
        return "failing", words
    if free < needed:
        return "warning", f"{words}: others have reserved some, or this deployment is there already"
    return "ok", f"{words}, {LEFT_UNRESERVED} of them for functions without a reservation"


def state_bucket(account: Account, _: str) -> Said:
    """Asks for the bucket of Terraform's state."""
    state = account.settings.state
    if state.bucket is None or state.region is None:
        return "warning", "no [state] in the settings: Terraform keeps its state in files beside the project"
    try:
        account.answer("s3", state.region, "head_bucket", Bucket=state.bucket)
    except Misconfigured as error:
        if code_in(error) not in ("404", "NoSuchBucket", "301"):
            raise
        return "failing", f"there is no bucket {state.bucket} in {state.region}"
    found = account.answer("s3", state.region, "get_bucket_versioning", Bucket=state.bucket)
    if found.get("Status") != "Enabled":
        return "failing", f"{state.bucket} keeps no versions"
    return "ok", f"{state.bucket} in {state.region}, with versions"


def service_linked_roles(account: Account, _: str) -> Said:
    """Asks IAM for the roles that AWS's own services act in."""
    if not _has_role(account, REPORTS_ROLE):
        return "failing", f"there is no role {REPORTS_ROLE}"
    missing = [name for name in MADE_BY_AWS if not _has_role(account, name)]
    return "ok", f"{REPORTS_ROLE} is there" + (f"; AWS makes {', '.join(missing)} itself" if missing else "")


def _has_role(account: Account, name: str) -> bool:
    try:
        account.answer("iam", US_CONTROL_PLANE_REGION, "get_role", RoleName=name)
    except Misconfigured as error:
        if code_in(error) != "NoSuchEntity":
            raise
        return False
    return True


def instance_class(account: Account, region: str) -> Said:
    """Asks whether Serverless v2 instances can be ordered."""
    fault = not_orderable(account, region, SERVERLESS)
    return ("failing", fault) if fault else ("ok", f"{SERVERLESS}, in two zones or more")


def rds_quotas(account: Account, region: str) -> Said:
    """Asks RDS for its quotas, and what of them is used."""
    found = account.answer("rds", region, "describe_account_attributes")["AccountQuotas"]
    quotas = {each["AccountQuotaName"]: (int(each["Used"]), int(each["Max"])) for each in found}
    unknown = [name for name in RDS_NEEDS if name not in quotas]
    if unknown:
        raise NotSeen(f"RDS does not tell the quota of {' and '.join(unknown)}")
    words = ", ".join(f"{quotas[name][0]} of {quotas[name][1]} {name}" for name in RDS_NEEDS)
    full = any(quotas[name][0] + needed > quotas[name][1] for name, needed in RDS_NEEDS.items())
    return "failing" if full else "ok", f"{words} are used"


def vpcs(account: Account, region: str) -> Said:
    """Asks for the region's VPCs and how many there may be."""
    if exists := account.settings.existing_in(region).vpc_id:
        return "ok", f"none is made: {exists} is there"
    used = len(account.pages("ec2", region, "describe_vpcs", "Vpcs"))
    asked = {"ServiceCode": "vpc", "QuotaCode": VPCS_QUOTA}
    try:
        quota = account.answer("service-quotas", region, "get_service_quota", **asked)["Quota"]
    except Misconfigured as error:
        if code_in(error) != "NoSuchResourceException":
            raise
        quota = account.answer("service-quotas", region, "get_aws_default_service_quota", **asked)["Quota"]
    return "ok" if used < quota["Value"] else "failing", f"{used} of {quota['Value']:.0f} are used"


def adoptable(account: Account, _: str) -> Said:
    """Looks at what [existing] names, as `failoverctl adopt` does, and whether the settings still say how it is."""
    settings = account.settings
    if not settings.adopts:
        return _usable(account)
    try:
        name = str(settings.existing.global_cluster)
        seen = found.look(account, found.global_database(account, name), settings.existing.zone_id)
    except Refused as error:
        return "failing", str(error)
    if faults := adoption.faults(seen, settings) or adoption.outdated(seen, settings):
        return "failing", "; ".join(faults)
    clusters = " and ".join(f"{there.name} ({there.region})" for there in seen.both.values())
    return "ok", f"{clusters}, as the settings say; {len(adoption.weaker(seen))} weaker promises (docs/adopt.md)"


def _usable(account: Account) -> Said:
    """Looks at the VPCs, the link and the zone that exist around a database that is to be ours."""
    settings = account.settings
    try:
        around = found.look_around(account)
    except Refused as error:
        return "failing", str(error)
    if faults := adoption.faults_around(around, settings):
        return "failing", "; ".join(faults)
    vpcs = [f"{there.vpc['VpcId']} ({there.region})" for there in around.vpcs.values()]
    return "ok", f"{' and '.join([*vpcs, *filter(None, [settings.existing.zone_id])])}, as the settings say"


def hooks(account: Account, region: str) -> Said:
    """Looks for what the settings' hooks start, and whether a document takes what it is given.

    It only warns: what a hook starts may be deployed later.
    """
    faults = [fault for hook in account.settings.hooks if (fault := _cannot_start(account, region, hook))]
    names = ", ".join(hook.name for hook in account.settings.hooks)
    return ("warning", "; ".join(faults)) if faults else ("ok", f"{names}: there")


def _cannot_start(account: Account, region: str, hook: Hook) -> str | None:
    """Says why a hook cannot be started in a region; None where nothing is in the way."""
    kind, name = hook.starts
    try:
        if kind == "function":
            account.answer("lambda", region, "get_function_configuration", FunctionName=name)
        elif kind == "state_machine":
            arn = account.names.machine_arn(name, region)
            found = account.answer("stepfunctions", region, "describe_state_machine", stateMachineArn=arn)
            if found["type"] != "STANDARD":
                return f"{hook.name}: {name} is of the type {found['type']}, whose executions nobody can watch"
        else:
            return _document_refuses(account, region, hook)
    except Misconfigured as error:
        if code_in(error) not in NOT_THERE:
            raise
        return f"{hook.name}: there is no {KINDS[kind]} {name}"
    return None


def _document_refuses(account: Account, region: str, hook: Hook) -> str | None:
    document = account.answer("ssm", region, "describe_document", Name=hook.document)["Document"]
    if document.get("DocumentType") != "Automation":
        return f"{hook.name}: {hook.document} is no Automation runbook but of the type {document.get('DocumentType')}"
    declared = {each["Name"] for each in document.get("Parameters", ())}
    missing = [name for name in (ASSUMED_ROLE, *hook.parameters) if name not in declared]
    if missing:
        return f"{hook.name}: {hook.document} declares no parameter {' and no '.join(missing)}"
    if not _has_role(account, str(hook.document_role)):
        return f"{hook.name}: there is no role {hook.document_role}"
    return None


def application_alarms(account: Account, region: str) -> Said:
    """Looks for the alarms that say whether the application is well; they may be made later, too."""
    wanted = list(account.settings.application_alarms)
    found = account.answer(
        "cloudwatch", region, "describe_alarms", AlarmNames=wanted, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    there = {each["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for each in found.get(kind, ())}
    missing = [name for name in wanted if name not in there]
    return ("warning", f"there is no {' and no '.join(missing)}") if missing else ("ok", f"{', '.join(wanted)}: there")


def first_time(account: Account, region: str) -> Said:
    """Asks whether a deployment of this suffix is there already."""
    table = account.names.control_table
    try:
        account.answer("dynamodb", region, "describe_table", TableName=table)
    except Misconfigured as error:
        if code_in(error) != "ResourceNotFoundException":
            raise
        return "ok", f"there is no table {table} yet"
    return "warning", f"there is a table {table}: this suffix is deployed already"
