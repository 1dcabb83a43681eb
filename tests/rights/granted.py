"""What is granted, what was needed and what was reviewed, as sets that can be compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestration.specification import Specification
from orchestration.specification.policies import permissions
from tests.deployment import STANDBY
from tests.deployment.rights import Used, used_by
from tests.rights.journeys import JOURNEYS, travel
from tests.rights.options import ALL_OPTIONS, described

REVIEWED = Path(__file__).parent / "reviewed.txt"
OTHER_WAY_ROUND = {"us-east-1": "us-west-2", "us-west-2": "us-east-1", "use1": "usw2", "usw2": "use1"}


@dataclass(frozen=True)
class Reviewed:
    """A line of the reviewers' list."""

    roles: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str

    def covers(self, one: Used) -> bool:
        """Whether it gives the reason for a permission."""
        resource = one.resource.removeprefix("arn:aws:")
        return (
            any(fnmatchcase(one.role, pattern) for pattern in self.roles)
            and any(fnmatchcase(one.action, pattern) for pattern in self.actions)
            and any(fnmatchcase(resource, pattern) for pattern in self.resources)
        )


def reviewed() -> list[Reviewed]:
    """The reviewers' list."""
    lines = [line for line in REVIEWED.read_text().splitlines() if line and not line.startswith("#")]
    parts = [line.split(" | ") for line in lines]
    return [
        Reviewed(tuple(roles.split(", ")), tuple(actions.split(", ")), tuple(resources.split(", ")), reason)
        for roles, actions, resources, reason in parts
    ]


def specification() -> Specification:
    """A deployment that has every role: the settings ask for all that only they bring."""
    return described(**ALL_OPTIONS)


def granted() -> list[Used]:
    """Every permission of every role of us-west-2: one action on one resource; the other region has the same."""
    whole = specification()
    return [
        used_by(role, statement, action, resource)
        for role, statements in permissions(whole.names, whole.regions[STANDBY]).items()
        for statement in statements
        for action in statement.actions
        for resource in statement.resources
    ]


def needed() -> Counter[Used]:
    """What the journeys needed, as if every role were one of us-west-2, and how often."""
    found: Counter[Used] = Counter()
    for journey in JOURNEYS:
        for used, times in travel(journey.name).used.items():
            found[_of_us_west_2(used)] += times
    return found


def _of_us_west_2(used: Used) -> Used:
    if "-use1-" not in used.role:
        return used
    return Used(*(_swapped(text) for text in (used.role, used.action, used.resource, used.conditions)))


def _swapped(text: str) -> str:
    return re.sub("|".join(OTHER_WAY_ROUND), lambda found: OTHER_WAY_ROUND[found[0]], text)


def as_lines(permissions: Iterable[Used]) -> list[str]:
    """For a failure's message."""
    return sorted(
        f"{one.role} | {one.action} | {one.resource.removeprefix('arn:aws:')} | {one.conditions}" for one in permissions
    )
