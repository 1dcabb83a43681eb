"""``failoverctl adopt``: looks at a global database that exists, and writes the settings with which it is adopted.

It only reads in AWS, and writes one local file: nothing is changed before the stacks are applied.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

import typer
from rich.table import Table

from failoverctl import adoption, found
from failoverctl.account import Account
from failoverctl.command import Session
from failoverctl.errors import CannotTell, Refused
from orchestration.additions import Addition, additions
from orchestration.settings import Settings, SettingsError, load, settings_file
from orchestration.specification import describe

GlobalCluster = Annotated[str, typer.Argument(metavar="GLOBAL_CLUSTER", help="RDS identifier of the global database.")]
Zone = Annotated[
    str | None,
    typer.Option("--zone", metavar="ID", help="Id of the private zone for the writer's name; else one is made."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing, only say what would be written.")]


def adopt(session: Session, global_cluster: GlobalCluster, *, zone: Zone = None, dry_run: DryRun = False) -> int | None:
    """Look at a global database that exists, say what is added around it, and write [existing] into the settings."""
    if session.chosen.lab:
        raise Refused("the lab's database is its own; leave --lab away to look at one in AWS")
    settings = session.deployment.settings
    account = Account(session.deployment)
    seen = found.look(account, found.global_database(account, global_cluster), zone)
    if faults := adoption.faults(seen, settings):
        raise Refused(
            f"{global_cluster} cannot be adopted as it is:\n"
            + "\n".join(f"  {fault}" for fault in faults)
            + "\nNothing was changed."
        )
    sections = {"database": adoption.database(seen), "existing": adoption.section(seen, settings)}
    adopted = _with(settings, sections)
    added, weaker = additions(describe(adopted, session.deployment.identity.account)), adoption.weaker(seen)
    text = _text(sections)
    _show(session, seen, added, weaker)
    if dry_run:
        session.say("", f"{settings_file()} would get:", "", text, "Nothing was changed.")
    else:
        with settings_file().open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
        session.say("", f"{settings_file()} has now:", "", text)
        session.say("Next: `make synth`, and apply the stacks in their order (docs/adopt.md).")
    session.tell({"settings": sections, "added": added, "weaker": weaker, "written": not dry_run})
    return None


def _with(settings: Settings, sections: dict[str, dict[str, Any]]) -> Settings:
    """Returns the settings as they are with these; raises `CannotTell` where they cannot be used together."""
    given = settings.model_dump(exclude_unset=True)
    given["database"] = given.get("database", {}) | sections["database"]
    given["existing"] = sections["existing"]
    try:
        return load(**given)
    except SettingsError as error:
        raise CannotTell(f"what was found does not make settings: {error}") from None


def _text(sections: dict[str, dict[str, Any]]) -> str:
    """Returns what is added to the settings' file; raises `Refused` where it says something else already."""
    there = tomllib.loads(settings_file().read_text(encoding="utf-8"))
    if "existing" in there:
        raise Refused(f"{settings_file()} has [existing] already; remove it, then it is written anew")
    if "database" not in there:
        return adoption.toml(sections)
    differing = {k: v for k, v in sections["database"].items() if there["database"].get(k) != v}
    if differing:
        said = adoption.toml({"database": differing}).strip().replace("\n", ", ")
        raise Refused(f"{settings_file()} has another [database] than the clusters: set {said} there")
    return adoption.toml({"existing": sections["existing"]})


def _show(session: Session, seen: found.Found, added: tuple[Addition, ...], weaker: list[adoption.Weaker]) -> None:
    session.say("Found")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, there in seen.both.items():
        classes = ", ".join(f"{one['DBInstanceIdentifier']} ({one['DBInstanceClass']})" for one in there.instances)
        version = there.cluster["EngineVersion"]
        table.add_row(f"  {name}", there.region, f"{there.name}, PostgreSQL {version}: {classes}")
        table.add_row("", "", f"{there.vpc['VpcId']}, {there.vpc['CidrBlock']}")
    table.add_row("  link", "", seen.around.link or "none; a VPC peering is made")
    session.show(table)
    touching = [one for one in added if one.to]
    session.say("", "Added to what exists, and taken away again by a destroy")
    session.show(_table((f"{one.count} {one.what}", f"{one.to}: {one.why}") for one in touching))
    session.say("", "Added beside it")
    session.show(_table((f"{one.count} {one.what}", one.why) for one in added if not one.to))
    session.say("", "Weaker than around a database of our own")
    session.show(_table((one.promise, f"{one.why}.\n→ {one.remedy}") for one in weaker))


def _table(rows: Any) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for first, second in rows:
        table.add_row(f"  {first}", second)
    return table
