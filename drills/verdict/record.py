"""What every part of a result is made of: fields that are checked, and times that are rounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, FiniteFloat

# Milliseconds: finer than any model of the lab, and short enough to read.
TIME_DECIMALS = 3


def rounded(seconds: float) -> float:
    """Returns a time with the precision of a result."""
    return round(seconds, TIME_DECIMALS)


Seconds = Annotated[FiniteFloat, AfterValidator(rounded)]


class Record(BaseModel):
    """Immutable and checked: a wrong field name or a value that is not a finite number is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
