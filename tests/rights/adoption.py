"""The tables of docs/adopt.md: what is added to somebody's account, what it may do there, and what it costs a month.

``make rights`` writes them into the page; `test_adoption` holds it equal.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestration import idle_cost
from orchestration.additions import additions, rights
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import Specification, describe
from orchestration.specification.model import Permission
from tests.deployment import ACCOUNT
from tests.infrastructure.existing import SETTINGS, existing

PAGE = PROJECT_ROOT / "docs" / "adopt.md"
BEGIN, END = "<!-- tables: `make rights` writes them -->\n", "<!-- end of the tables -->\n"
LOOKING = ("Describe", "Get", "List")


def example() -> Specification:
    """What the page shows: a database in two VPCs with a zone, where the peering, keys and topics are ours."""
    return describe(
        load(environment_suffix="test", environment="development", existing=existing(), **SETTINGS), ACCOUNT
    )


def tables(specification: Specification) -> str:
    """Returns the tables, in Markdown."""
    added = additions(specification)
    touching = [(f"{one.count} {one.what}", str(one.to), one.why) for one in added if one.to]
    beside = [(f"{one.count} {one.what}", one.why) for one in added if not one.to]
    here = specification.names.regional("", specification.settings.writer_region)
    granted = [one for one in rights(specification) if one.who.endswith(here)]
    merged: dict[tuple[str, ...], list[str]] = {}
    for one in granted:
        merged.setdefault(_row(one.permission, specification), []).append(_short(one.who, specification))
    rows = [(*row[:3], "<br>".join(sorted(set(who))), row[3]) for row, who in merged.items()]
    cost = [*idle_cost.orchestrator(specification), *idle_cost.database(specification)]
    return "\n".join(
        (
            "### What is added to what exists\n",
            _table(("added", "to", "for"), touching),
            "### What is added beside it\n",
            _table(("added", "for"), beside),
            "### What may look at the database\n",
            _table(("action", "on", "in", "by", "for"), (row for row in rows if _looks(row[0]))),
            "### What may change it\n",
            _table(("action", "on", "in", "by", "for"), (row for row in rows if not _looks(row[0]))),
            "### What it costs a month, at idle\n",
            _table(
                ("what", "US dollars"),
                [
                    *((one.resource, f"{one.dollars:.2f}") for one in cost if one.dollars >= 0.005),
                    ("**Together**", f"**{idle_cost.total(cost):.2f}**"),
                ],
            ),
        )
    )


def page(text: str) -> str:
    """Returns the page with its tables as they must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(example())}\n{END}{after}"


def _row(permission: Permission, specification: Specification) -> tuple[str, ...]:
    def plain(resource: str) -> str:
        for region in specification.regions:
            resource = resource.replace(f":{region}:", "::")
        return resource.removeprefix("arn:aws:").replace(f":{ACCOUNT}:", ":").replace("*", "\\*")

    regions = sorted(
        {region for region in specification.regions for one in permission.resources if f":{region}:" in one}
        | set((permission.conditions or {}).get("StringEquals", {}).values()) & set(specification.regions)
    )
    return (
        "<br>".join(permission.actions),
        "<br>".join(sorted({plain(one) for one in permission.resources})),
        "<br>".join(regions) or "everywhere",
        permission.why,
    )


def _short(who: str, specification: Specification) -> str:
    return who.removesuffix(f"-{specification.settings.environment_suffix}")


def _looks(actions: str) -> bool:
    return all(action.partition(":")[2].startswith(LOOKING) for action in actions.split("<br>"))


def _table(header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, tuple("---" for _ in header), *lines)) + "\n"
