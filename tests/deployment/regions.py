"""The account and the two regions of the deployment."""

from __future__ import annotations

ACCOUNT = "123456789012"
WRITER, STANDBY = "us-east-1", "us-west-2"  # the regions' roles at deployment
