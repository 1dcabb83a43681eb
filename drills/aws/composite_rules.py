"""The rule expression of a composite alarm.

Models CloudWatch's grammar (CloudWatch API reference, ``PutCompositeAlarm``, ``AlarmRule``): the functions
``ALARM``, ``OK`` and ``INSUFFICIENT_DATA`` with an alarm's name or ARN, the words ``TRUE`` and ``FALSE``, the
operators ``NOT``, ``AND``, ``OR`` in this order of precedence, and parentheses.

Limits: no check of the length of the expression and of the number of alarms, no ``AT_LEAST``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# True when the rule holds, given a function from an alarm's name to its state.
Evaluate = Callable[[Callable[[str], str]], bool]

TOKEN = re.compile(
    r"""\s*(?: (?P<state>ALARM|OK|INSUFFICIENT_DATA) \s* \( \s* (?: "(?P<quoted>[^"]+)" | (?P<bare>[^"()\s]+) ) \s* \)
          | (?P<word>AND|OR|NOT|TRUE|FALSE) \b
          | (?P<bracket>[()]) )""",
    re.VERBOSE,
)


class RuleError(ValueError):
    """CloudWatch would not take the expression; the message says where it stops making sense."""


@dataclass(frozen=True)
class CompositeRule:
    """A parsed rule: the names of its alarms, and the question whether it holds."""

    alarms: tuple[str, ...]
    holds: Evaluate


def parse(expression: str) -> CompositeRule:
    """Parses a rule expression.

    Raises
    ------
    RuleError
        When it cannot be parsed.
    """
    parser = _Parser(expression)
    holds = parser.any_of()
    parser.expect_end()
    return CompositeRule(tuple(parser.alarms), holds)


class _Parser:
    """Recursive descent, one method per level of precedence."""

    def __init__(self, expression: str) -> None:
        self.alarms: list[str] = []
        self._expression = expression
        self._tokens: list[re.Match[str]] = []
        position = 0
        while expression[position:].strip():
            token = TOKEN.match(expression, position)
            if not token:
                raise RuleError(f"the alarm rule makes no sense from {expression[position:].strip()!r} on")
            self._tokens.append(token)
            position = token.end()
        self._next = 0

    def any_of(self) -> Evaluate:
        terms = [self.all_of()]
        while self._take("OR"):
            terms.append(self.all_of())
        return lambda state: any(term(state) for term in terms)

    def all_of(self) -> Evaluate:
        terms = [self.term()]
        while self._take("AND"):
            terms.append(self.term())
        return lambda state: all(term(state) for term in terms)

    def term(self) -> Evaluate:
        if self._take("NOT"):
            negated = self.term()
            return lambda state: not negated(state)
        if self._take("("):
            inner = self.any_of()
            if not self._take(")"):
                raise RuleError(f"the alarm rule lacks a closing parenthesis: {self._expression!r}")
            return inner
        if self._take("TRUE"):
            return lambda _: True
        if self._take("FALSE"):
            return lambda _: False
        return self._condition()

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise RuleError(f"the alarm rule continues where it should end: {self._tokens[self._next][0].strip()!r}")

    def _condition(self) -> Evaluate:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if token is None or not token["state"]:
            raise RuleError(f'the alarm rule lacks a condition such as ALARM("name"): {self._expression!r}')
        self._next += 1
        wanted, name = token["state"], (token["quoted"] or token["bare"]).rsplit(":alarm:", 1)[-1]
        self.alarms.append(name)
        return lambda state: state(name) == wanted

    def _take(self, word: str) -> bool:
        if self._next < len(self._tokens) and word in (
            self._tokens[self._next]["word"],
            self._tokens[self._next]["bracket"],
        ):
            self._next += 1
            return True
        return False
