"""Texts of others, shown to people: on one line, and everything that is in them visible. Pure."""

from __future__ import annotations


def plain(text: str) -> str:
    """Returns a text with everything escaped that does not print: line breaks, control characters, lone surrogates.

    So no text can forge a line of a message, end a comment, or be one that AWS does not take.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shortened(text: str, longest: int) -> str:
    """Returns a text of at most ``longest`` characters; one that was cut ends with a sign of it."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
