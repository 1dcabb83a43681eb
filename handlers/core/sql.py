"""Splits an SQL script into its statements."""

from __future__ import annotations

import re

# What may hide a semicolon (PostgreSQL manual, "Lexical Structure"): comments, quoted text and names, and dollar-quoted
# text, whose tag ends it. Anything else is one character at a time.
_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<end> ; )
    | .
    """,
    re.DOTALL | re.VERBOSE,
)


def statements(script: str) -> list[str]:
    """Returns the statements of ``script`` in order, without the comments between their words and their semicolons."""
    found, current = [], ""
    for token in _TOKEN.finditer(script):
        if token["end"]:
            found.append(current.strip())
            current = ""
        else:
            current += " " if token["comment"] else token[0]
    return [statement for statement in (*found, current.strip()) if statement]
