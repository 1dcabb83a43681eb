"""What a function is told by its deployment, checked when the function starts.

A handler declares what it reads: its class ``Environment`` combines the variables that its gateways need, each set
declared beside its gateway, with its own. The specification gives the function these and no others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from handlers.core.errors import Misconfigured

# The RDS certificate authorities that the zip carries (Amazon RDS global bundle).
RDS_CA_BUNDLE = Path(__file__).resolve().parent.parent / "rds-ca.pem"


@dataclass(frozen=True)
class Variables:
    """What every function reads; a field is an environment variable in lower case, a text or a whole number.

    Lambda itself sets ``AWS_REGION``.
    """

    aws_region: str

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Reads the variables.

        Raises
        ------
        Misconfigured
            names every variable that is missing or not a whole number where it must be one.
        """
        values: dict[str, str | int] = {}
        faults = []
        for field in fields(cls):
            variable = field.name.upper()
            text = variables.get(variable, "")
            if not text:
                faults.append(f"{variable} is missing")
            elif field.type == "int" and not text.isdecimal():
                faults.append(f"{variable} is {text!r}, not a whole number")
            else:
                values[field.name] = int(text) if field.type == "int" else text
        if faults:
            raise Misconfigured(
                f"the function's environment: {'; '.join(faults)}; deploy it from the specification again"
            )
        return cls(**values)  # type: ignore[arg-type]  # the loop above gave each field the type it declares


@dataclass(frozen=True)
class PeerVariables(Variables):
    """Which region is the other one."""

    peer_region: str
