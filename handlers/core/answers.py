"""What the answer of a database that was asked says of it: is it up, is it down, or is nothing known? Pure.

The rules are the table `MEANINGS`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Known = Literal["up", "down", "unknown"]

# What went wrong where no server gave an SQLSTATE.
Trouble = Literal["certificate", "tls", "refused", "deadline", "ended", "no name", "resolver", "prober"]


@dataclass(frozen=True)
class Meaning:
    """What an answer says: ``code`` is a pattern of SQLSTATEs, or a `Trouble`; ``why`` goes on from "the database"."""

    code: str
    known: Known
    why: str


# PostgreSQL documentation, "Appendix A. PostgreSQL Error Codes".
MEANINGS = (
    # About who asks: a database that says so lives, and its applications are served. People have to mend it.
    Meaning("28...", "up", "refuses the monitor's login"),
    Meaning("53300", "up", "has no connection left for the monitor"),
    Meaning("certificate", "up", "shows a certificate that does not verify"),
    Meaning("tls", "up", "and the monitor do not agree on TLS"),
    # About itself. Applications get the same answers.
    Meaning("57P03", "down", "is starting or stopping and takes no session"),
    Meaning("57...", "down", "ended the session or the statement"),
    Meaning("53...", "down", "is out of disk space or memory"),
    Meaning("58...", "down", "cannot use its storage or its system"),
    Meaning("XX...", "down", "fails inside, or its data is damaged"),
    Meaning("F0...", "down", "cannot read its configuration"),
    Meaning("08...", "down", "lost the connection"),
    Meaning("refused", "down", "does not listen"),
    Meaning("deadline", "down", "did not answer in time"),
    Meaning("ended", "down", "closed the connection"),
    Meaning("no name", "down", "has no address"),
    # About the question, such as a right or a table that is missing.
    Meaning("[0-9A-Z]{5}", "up", "refuses what the monitor asks for"),
    # The prober failed by itself.
    Meaning("resolver", "unknown", "could not be asked: DNS does not answer the prober"),
    Meaning("prober", "unknown", "could not be asked: the prober has no memory or socket left"),
)


def meaning(code: str) -> Meaning:
    """Returns what an SQLSTATE or a `Trouble` says of the database that was asked."""
    return next(row for row in MEANINGS if re.fullmatch(row.code, code))
