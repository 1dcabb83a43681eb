"""What differs only because the emulator is not AWS. Reviewed: to add one, say what the emulator does."""

from __future__ import annotations

from collections.abc import Iterable

from tests.terraform.terraform import Change

# Resources that the emulator has no API for or forgets half of: type → the attribute that it forgets, or None for all
# of the type. They are validated and planned with the others, by `make test`.
UNKNOWN = {
    "aws_backup_report_plan": None,
    "aws_backup_vault_notifications": None,
    "aws_vpc_security_group_egress_rule": "prefix_list_id",
}

# Resource type → attributes that may change, and why. A resource that would be made, replaced or removed is never on
# this list.
DIFFERENCES: dict[str, tuple[frozenset[str], str]] = {}


def unreviewed(changes: Iterable[Change]) -> list[str]:
    """The changes that are not on the list, each in one line."""
    found = []
    for change in changes:
        allowed, _ = DIFFERENCES.get(change.kind, (frozenset(), ""))
        if change.actions != ("update",) or not change.changed <= allowed:
            found.append(f"  {'/'.join(change.actions)} {change.address}: {', '.join(sorted(change.changed))}")
    return found
