"""A global database that exists already, as `failoverctl adopt` describes it, for tests."""

from __future__ import annotations

from typing import Any

VPC = {"writer": "vpc-0aaaaaaaaaaaaaaa1", "standby": "vpc-0bbbbbbbbbbbbbbb1"}
GROUPS = {
    "writer": ["sg-0aaaaaaaaaaaaaaa1", "sg-0aaaaaaaaaaaaaaa2"],
    "standby": ["sg-0bbbbbbbbbbbbbbb1"],
}
ZONE = "Z0123456789ABCDEFGHIJ"


def region(name: str, **more: Any) -> dict[str, Any]:
    """What exists in the region that the settings call ``name``; ``more`` wins."""
    digit = "a" if name == "writer" else "b"
    return {
        "cluster": f"orders-{name}",
        "instances": [f"orders-{name}-{n}" for n in (1, 2)],
        "security_group_ids": GROUPS[name],
        "subnet_group": f"orders-{name}-subnets",
        "parameter_group": "orders-pg16",
        "vpc_id": VPC[name],
        "vpc_cidr": "10.60.0.0/20" if name == "writer" else "10.61.0.0/20",
        "function_subnet_ids": [f"subnet-0{digit * 15}{n}" for n in (1, 2, 3)],
        "route_table_ids": [f"rtb-0{digit * 15}1"],
        **more,
    }


def existing(
    writer: dict[str, Any] | None = None, standby: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The part ``[existing]`` of the settings, with a database, its VPCs and a zone."""
    return {
        "global_cluster": "orders-global",
        "master_secret": "orders/master",
        "zone_id": ZONE,
        "writer": region("writer", **writer or {}),
        "standby": region("standby", **standby or {}),
        **more,
    }


def linked(**more: Any) -> dict[str, Any]:
    """The same, where everything that may exist does: the link, the keys, the topics and the prober's groups."""
    return existing(
        link="pcx-0123456789abcdef0",
        **{
            name: {
                "route_table_ids": [],
                "key_alias": f"alias/orders-{name}",
                "alert_topic": f"orders-{name}-alerts",
                "prober_security_group_id": f"sg-0{('a' if name == 'writer' else 'b') * 15}9",
                "instance_parameter_groups": ["orders-instances"],
                "storage_key_arn": f"arn:aws:kms:us-{'east-1' if name == 'writer' else 'west-2'}:123456789012:key/one",
            }
            for name in ("writer", "standby")
        },
        **more,
    )


SETTINGS: dict[str, Any] = {"database": {"engine_version": "15.10"}, "dns_zone": "orders.internal"}
