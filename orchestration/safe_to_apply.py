"""Says for each stack whether ``terraform apply`` is safe now, and why not: ``make safe-to-apply``.

A run or a re-protection changes databases outside Terraform. An apply beside it, or one that "repairs" what it has
done, removes, detaches or unfences a database. Two sources tell: the control record (is anybody at work?) and the
stack's own plan (what would be done to a database?). The exit code is 0 (safe), 1 (not safe) or 2 (cannot tell).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from handlers.core.control import ControlRecord
from handlers.core.errors import Misconfigured
from handlers.gateways import items
from handlers.gateways.aws import client, code_of, is_definite
from orchestration.settings import PROJECT_ROOT, Settings, SettingsError, load
from orchestration.specification import CONTROL_KEY, Names
from orchestration.terraform import NOT_FOUND, PLAN, Change, Terraform, TerraformFailed, changes

STACKS_FOLDER = PROJECT_ROOT / "cdktf.out" / "stacks"

# The provider's 25 would have a plan of a region that is dark take many minutes.
ATTEMPTS_VARIABLE, ATTEMPTS = "AWS_MAX_ATTEMPTS", "3"

CLUSTER, INSTANCE, GLOBAL_CLUSTER = "aws_rds_cluster", "aws_rds_cluster_instance", "aws_rds_global_cluster"
DATABASES = {CLUSTER: "cluster", INSTANCE: "instance", GLOBAL_CLUSTER: "global database"}

# What must not be removed or made anew either: the databases' keys, and the tables, whose data nobody makes again.
ALSO_KEPT = {"aws_dynamodb_table": "table", "aws_dynamodb_table_item": "control record", "aws_kms_key": "key"}

# An update of these undoes what a run has done: attribute → what would happen.
UNDOING = {
    CLUSTER: {
        "global_cluster_identifier": "would be detached from its global database, which makes a second writer of it",
        "replication_source_identifier": "would be promoted, which makes a second writer of it",
        "vpc_security_group_ids": "would lose its fence: clients could write to an old writer again",
        "engine_version": "would be upgraded, away from the other region's version",
    },
    GLOBAL_CLUSTER: {"engine_version": "would have the clusters of both regions upgraded at once"},
    "aws_dynamodb_table_item": {"item": "would name the writer of the deployment again, whoever writes now"},
}

# Set where the setting `password_version` has been raised. Users are the writer's: RDS takes no password for a
# secondary, and by then Terraform has stored the new one in the secret.
PASSWORD = "master_password_wo_version"  # noqa: S105 - the name of an attribute

Answer = Literal["safe", "NOT SAFE", "cannot tell"]
EXIT_CODES: dict[Answer, int] = {"safe": 0, "NOT SAFE": 1, "cannot tell": 2}


class CannotTell(Exception):
    """What the answer rests on cannot be read; the message says what, and what to do."""


def verdict(record: ControlRecord | None, changes: Iterable[Change], stack: str) -> list[str]:
    """Why ``stack`` must not be applied now, in sentences for people; empty when an apply is safe.

    ``record`` is None before the first deployment: then databases may be made, and nothing else is different.
    """
    reasons = at_work(record) if record else []
    waits = record and not record.protected and record.writer_region != stack and _is_region(stack)
    for change in changes:
        if reason := danger(change, first_deployment=record is None):
            reasons.append(reason)
        elif record and waits and change.kind in DATABASES:
            reasons.append(
                f"{_named(change)} would be changed, but the writer has failed over to {record.writer_region} and this "
                "region's cluster waits to be retired: finish the re-protection first"
            )
        elif record and change.kind == CLUSTER and PASSWORD in change.changed and record.writer_region != stack:
            reasons.append(
                f"{_named(change)} would get a new master password, which RDS takes for the writer's cluster only, and "
                f"the writer is in {record.writer_region}: fail back first, or lower password_version again"
            )
    return reasons


def at_work(record: ControlRecord) -> list[str]:
    """Who changes databases right now, and what to wait for; nothing may be applied meanwhile, in any stack."""
    reasons = []
    if moving := record.transition:
        reasons.append(
            f"run {moving.run} ({moving.mode}) holds the lock on the control record and may be moving the writer: wait "
            "until its execution has ended; if that has stopped without giving the lock back, start the workflow again "
            f'with "resumes": "{moving.run}"'
        )
    if rebuilding := record.reprotection:
        reasons.append(
            f"run {rebuilding.run} (re-protection) removes and makes databases itself: wait until its execution has "
            f'ended; if that has stopped half way, start the workflow again with "resumes": "{rebuilding.run}"'
        )
    return reasons


def danger(change: Change, *, first_deployment: bool = False) -> str | None:
    """What is dangerous about one change of a plan, and what to do instead; None when nothing is."""
    kept = change.kind in DATABASES or change.kind in ALSO_KEPT
    if kept and "delete" in change.actions:
        if "create" in change.actions:
            why = ", ".join(sorted(change.replaced_for)) or "a change that cannot be made in place"
            return (
                f"{_named(change)} would be replaced by an empty one because of {why}: undo that in the settings, or "
                "bring it under ignore_changes"
            )
        return (
            f"{_named(change)} would be removed with its data: to end the deployment use `terraform destroy`, "
            "otherwise put it back into the configuration"
        )
    if change.kind in DATABASES and "create" in change.actions and not first_deployment:
        return (
            f"{_named(change)} would be made, empty: AWS has none now, as while a standby is rebuilt. Finish the "
            "re-protection, which makes it as a copy of the writer; what only Terraform's state has lost comes back by "
            "`terraform import`"
        )
    undone = [meaning for name, meaning in UNDOING.get(change.kind, {}).items() if name in change.changed]
    if change.actions == ("update",) and undone:
        return (
            f"{_named(change)} {' and '.join(undone)}: synthesize the stacks of this version anew (make synth), which "
            "leave it alone"
        )
    return None


def _named(change: Change) -> str:
    what = DATABASES.get(change.kind) or ALSO_KEPT[change.kind]
    return f"{what} {change.name} ({change.address})" if change.name else f"{what} {change.address}"


def _is_region(stack: str) -> bool:
    return stack not in ("identity", "global")


def read_record(replicas: Sequence[Any], table: str, database: str) -> ControlRecord | None:
    """The control record as it stands now, through the first of these DynamoDB clients that answers.

    None when there is no such table or no record in it, which the ``global`` stack makes.

    Raises
    ------
    CannotTell
        no replica answers, the credentials do not suffice, or the record cannot be understood.
    """
    silent = []
    for replica in replicas:
        region = replica.meta.region_name
        try:
            answer = replica.get_item(TableName=table, Key={CONTROL_KEY: {"S": database}}, ConsistentRead=True)
            return ControlRecord.read(items.plain(answer["Item"])) if "Item" in answer else None
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            if is_definite(error):
                raise CannotTell(
                    f"reading the control record in {table}: {error}; use credentials that may read this table"
                ) from error
            silent.append(f"{region}: {error}")
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise CannotTell(
                f"{error}; set credentials of the deployment's account (AWS_PROFILE, for example)"
            ) from error
        except BotoCoreError as error:
            silent.append(f"{region}: {error}")
        except Misconfigured as error:
            raise CannotTell(str(error)) from error
    raise CannotTell(f"no region tells the control record, so a run may be at work: {'; '.join(silent)}")


def account_id(clients: Sequence[Any]) -> str:
    """The account of the credentials, by the first of these STS clients that answers; raises `CannotTell`."""
    silent = []
    for sts in clients:
        try:
            return str(sts.get_caller_identity()["Account"])
        except (ClientError, BotoCoreError) as error:
            silent.append(f"{sts.meta.region_name}: {error}")
    raise CannotTell(
        f"AWS does not say whose credentials these are ({'; '.join(silent)}); set credentials of the deployment's "
        "account (AWS_PROFILE, for example)"
    )


def planned(stack: str) -> list[Change]:
    """What an apply of a synthesized stack would do now. Its plan stays in the stack's folder; raises `CannotTell`."""
    program = shutil.which("terraform")
    if program is None:
        raise CannotTell(NOT_FOUND)
    folder = STACKS_FOLDER / stack
    if not folder.is_dir():
        raise CannotTell(f"there is no {folder}; write it with `make synth`")
    try:
        return Terraform(program, folder, {ATTEMPTS_VARIABLE: ATTEMPTS, **os.environ}).plan()
    except TerraformFailed as error:
        raise CannotTell(
            f"{error}\nIs the stack initialized (`terraform init`), and does its region answer?"
        ) from error


def read_plan(file: Path) -> list[Change]:
    """The changes of a plan in a file that ``terraform show -json`` has written; raises `CannotTell`."""
    try:
        return changes(json.loads(file.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotTell(
            f"{file} is not a plan as JSON ({type(error).__name__}: {error}); write it with `terraform show -json PLAN`"
        ) from error


def judge(
    stack: str, plan: Callable[[], list[Change]], record: Callable[[], ControlRecord | None]
) -> tuple[Answer, list[str]]:
    """The answer for one stack, and what it rests on, each in a sentence.

    Nothing is planned while somebody is at work. The record is read again after the plan, which takes a while.
    """
    now = record()
    if now and (reasons := at_work(now)):
        return "NOT SAFE", reasons
    try:
        changes = plan()
    except CannotTell as error:
        return "cannot tell", [str(error)]
    reasons = verdict(record(), changes, stack)
    if reasons:
        return "NOT SAFE", reasons
    touched = sum(change.kind in DATABASES for change in changes)
    return "safe", [f"{len(changes)} changes, {touched or 'none'} of them to a database, and nobody is at work"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers for each stack; returns the exit code."""
    try:
        settings = load()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["cannot tell"]
    options = _options(arguments, settings)
    names = Names(settings, "")
    replicas = [client("dynamodb", region) for region in settings.regions]

    def record() -> ControlRecord | None:
        return read_record(replicas, names.control_table, names.global_cluster)

    answers: list[Answer] = []
    try:
        account = account_id([client("sts", region) for region in settings.regions])
        print(f"{names.global_cluster} in account {account}: {_told(record())}")
        for stack in options.stack:
            plan = partial(read_plan, options.plan) if options.plan else partial(planned, stack)
            answer, sentences = judge(stack, plan, record)
            answers.append(answer)
            print(f"{stack}: {answer}", *(f"  {sentence}" for sentence in sentences), sep="\n")
            if not options.plan:
                _offer(STACKS_FOLDER / stack, answer)
    except CannotTell as error:
        print(f"error: {error}", file=sys.stderr)
        answers.append("cannot tell")
    return EXIT_CODES[next(answer for answer in ("NOT SAFE", "cannot tell", "safe") if answer in answers)]


def _options(arguments: Sequence[str] | None, settings: Settings) -> argparse.Namespace:
    stacks = ("identity", *settings.regions, "global")
    parser = argparse.ArgumentParser(prog="python -m orchestration.safe_to_apply", description=__doc__)
    parser.add_argument("--stack", action="append", choices=stacks, help="only this one; may be given more than once")
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="a plan of the one stack, from `terraform show -json`, to judge instead",
    )
    options = parser.parse_args(arguments)
    options.stack = options.stack or list(stacks)
    if options.plan and len(options.stack) != 1:
        parser.error("--plan is the plan of one stack: name it with --stack")
    return options


def _offer(folder: Path, answer: Answer) -> None:
    """Says how to apply the plan that was found safe; any other is removed, so that nobody applies it."""
    if answer == "safe":
        print(f"  apply what was checked: terraform -chdir={os.path.relpath(folder)} apply {PLAN}")
    else:
        (folder / PLAN).unlink(missing_ok=True)


def _told(record: ControlRecord | None) -> str:
    if record is None:
        return "no control record yet, so this is the first deployment"
    return f"writer {record.writer_region}, epoch {record.epoch}" + ("" if record.protected else ", not protected")


if __name__ == "__main__":
    sys.exit(main())
