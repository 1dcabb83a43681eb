"""Asks DynamoDB about the control table, and Secrets Manager about the master user's secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from failoverctl.account import Account
from failoverctl.errors import code_in
from handlers.core.errors import Misconfigured
from handlers.core.lease import TICK_S
from handlers.core.readiness import NotSeen, Said

# The guardian writes the record with every tick; some more than one are looked at.
LOOKS, PAUSE_S = 12, TICK_S / 4


def consistency(account: Account, region: str) -> Said:
    """Asks how the control table is replicated."""
    table: Mapping[str, Any] = account.answer(
        "dynamodb", region, "describe_table", TableName=account.names.control_table
    )["Table"]
    witnesses = {each["RegionName"]: each["WitnessStatus"] for each in table.get("GlobalTableWitnesses", ())}
    replicas = {each["RegionName"]: each["ReplicaStatus"] for each in table.get("Replicas", ())} | {region: "ACTIVE"}
    wanted = account.specification.control_table
    faults = [
        words
        for holds, words in (
            (
                table.get("MultiRegionConsistency") == "STRONG",
                f"it is {table.get('MultiRegionConsistency') or 'EVENTUAL'}",
            ),
            *(
                (replicas.get(each) == "ACTIVE", f"the replica of {each} is {replicas.get(each) or 'missing'}")
                for each in wanted.replica_regions
            ),
            (
                witnesses.get(str(wanted.witness_region)) == "ACTIVE",
                f"the witness in {wanted.witness_region} is {witnesses.get(str(wanted.witness_region)) or 'missing'}",
            ),
        )
        if not holds
    ]
    return ("failing", "; ".join(faults)) if faults else ("ok", f"STRONG, with a witness in {wanted.witness_region}")


def read_anywhere(account: Account, region: str) -> Said:
    """Reads the record through one region and then through the other, again and again, while its guardian writes it.

    Nothing is written for that. A region that lags behind would show an older renewal than was seen just before.
    """
    regions, seen, renewals = (region, account.peer(region)), 0.0, set()
    for _ in range(LOOKS):
        for place in regions:
            expires_at = account.deployment.read_in(place).record.lease_expires_at or 0.0
            if expires_at < seen:
                return (
                    "failing",
                    f"{place} showed a lease until {expires_at:.1f} after the other one had shown {seen:.1f}",
                )
            seen = expires_at
            renewals.add(expires_at)
        time.sleep(PAUSE_S)
    if len(renewals) < 2:
        raise NotSeen("no guardian has renewed the lease meanwhile, so nothing was written: `failoverctl status`")
    return "ok", f"{len(renewals)} renewals, {2 * LOOKS} reads in turn, none of them behind"


def secret(account: Account, region: str) -> Said:
    """Asks how the copy of the master user's secret in the other region stands."""
    if account.settings.adopts:
        return _owners_secret(account, region)
    names, peer = account.names, account.peer(region)
    found = account.answer("secretsmanager", region, "describe_secret", SecretId=names.master_secret)
    copies = {each["Region"]: each for each in found.get("ReplicationStatus", ())}
    copy = copies.get(peer)
    if copy is None:
        return "failing", f"there is no copy in {peer}"
    if fault := _out_of_sync(copy):
        return "failing", fault
    key = str(copy.get("KmsKeyId") or "")
    if "alias/aws/secretsmanager" in key or not key:
        return "warning", f"the copy in {peer} is in sync, and encrypted with AWS's own key"
    return "ok", f"the copy in {peer} is in sync"


def _out_of_sync(copy: Mapping[str, Any]) -> str | None:
    if copy.get("Status") == "InSync":
        return None
    return f"the copy in {copy['Region']} is {copy.get('Status')}: {copy.get('StatusMessage') or 'no reason given'}"


def _owners_secret(account: Account, region: str) -> Said:
    """Asks for the secret of an adopted database: it may be copied either way, be one in each region, or not exist."""
    name = account.names.master_secret
    both = {each: _described(account, each, name) for each in (region, account.peer(region))}
    missing = [each for each, there in both.items() if there is None]
    if len(missing) == len(both):
        return "warning", f"there is no secret {name} in either region"
    if missing:
        return "failing", f"there is no secret {name} in {missing[0]}"
    copies = [
        copy for there in both.values() for copy in (there or {}).get("ReplicationStatus", ()) if copy["Region"] in both
    ]
    if not copies:
        return "warning", f"each region has a secret {name} of its own, and nothing keeps the two equal"
    faults = [fault for copy in copies if (fault := _out_of_sync(copy))]
    return ("failing", "; ".join(faults)) if faults else ("ok", f"the copy in {copies[0]['Region']} is in sync")


def _described(account: Account, region: str, secret: str) -> Mapping[str, Any] | None:
    try:
        return dict(account.answer("secretsmanager", region, "describe_secret", SecretId=secret))
    except Misconfigured as error:
        if code_in(error) != "ResourceNotFoundException":
            raise
        return None
