"""What a function is told by its deployment, checked when the function starts.

A handler declares what it reads: its class ``Environment`` combines the variables that its gateways need, each set
declared beside its gateway, with its own. The specification gives the function these and no others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from handlers.core.errors import Misconfigured

# The RDS certificate authorities that the zip carries (Amazon RDS global bundle).
RDS_CA_BUNDLE = Path(__file__).resolve().parent.parent / "rds-ca.pem"


class Variables:
    """What every function reads; an annotation is an environment variable in lower case, a text or a whole number.

    Lambda itself sets ``AWS_REGION``. No dataclass: a function combines up to twenty such classes, and making each of
    those would be a tenth of its cold start.
    """

    aws_region: str

    @classmethod
    def declared(cls) -> dict[str, str]:
        """Returns the type of each variable, by its name in lower case; those of the bases come first."""
        return {
            name: kind for base in reversed(cls.__mro__) for name, kind in vars(base).get("__annotations__", {}).items()
        }

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Reads the variables.

        Raises
        ------
        Misconfigured
            names every variable that is missing or not a whole number where it must be one.
        """
        read = cls()
        faults = []
        for name, kind in cls.declared().items():
            text = variables.get(name.upper(), "")
            if not text:
                faults.append(f"{name.upper()} is missing")
            elif kind == "int" and not text.isdecimal():
                faults.append(f"{name.upper()} is {text!r}, not a whole number")
            else:
                setattr(read, name, int(text) if kind == "int" else text)
        if faults:
            raise Misconfigured(
                f"the function's environment: {'; '.join(faults)}; deploy it from the specification again"
            )
        return read


class PeerVariables(Variables):
    """Which region is the other one."""

    peer_region: str
