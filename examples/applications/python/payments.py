"""What every Python example does with its connection: payments, each repeated under its key until it is answered."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import uuid
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PAY = "SELECT pay(%s, %s, %s, %s)"
# Between two attempts: doubled up to the limit and spread at random, so that clients do not fall into step.
PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
# Errors of the caller's (SQLSTATE classes), which no repetition mends; but a fenced region refuses a login with 42501.
FINAL, FENCED = ("22", "23", "42"), "42501"
PAYERS = 2
PAYMENTS_PER_SECOND = 5


@dataclass(frozen=True)
class Payment:
    """One payment. The key is made once, before the first attempt, and kept with the order until it is answered."""

    key: uuid.UUID
    account: int
    cents: int
    made_at: datetime


def is_final(error: Exception) -> bool:
    """Returns whether the database calls it a mistake of the caller's; SQLAlchemy wraps what the driver raised."""
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return state != FENCED and state.startswith(FINAL)


def answered(payment: Payment, pay: Callable[[Payment], str], failures: tuple[type[Exception], ...], payer: int) -> str:
    """Returns the database's answer, after as many attempts under the same key as that takes.

    Raises what the database calls a mistake of the caller's, at once.
    """
    pause = PAUSE_S
    while True:
        try:
            answer = pay(payment)
        except failures as error:
            if is_final(error):
                raise
            tell(payer, payment, error=" ".join(str(error).split()) or type(error).__name__)
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - nothing secret
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            tell(payer, payment, answer=answer)
            return answer


def tell(payer: int, payment: Payment, **outcome: str) -> None:
    """Writes one line for the outcome of one attempt."""
    line = json.dumps({"t": time.time(), "payer": payer, "key": str(payment.key), **outcome})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(pay: Callable[[Payment], str], *failures: type[Exception]) -> None:
    """Pays until stdin ends; ``failures`` are what an attempt raises, `is_final` or not."""

    def payer(number: int) -> None:
        while True:
            payment = Payment(uuid.uuid4(), random.randint(1, 1000), random.randint(1, 5000), datetime.now(UTC))  # noqa: S311
            answered(payment, pay, failures, number)
            time.sleep(1 / PAYMENTS_PER_SECOND)

    for number in range(PAYERS):
        threading.Thread(target=payer, args=(number,), daemon=True).start()
    sys.stdin.read()


def values(payment: Payment) -> tuple[object, ...]:
    """Returns what `PAY` takes."""
    return astuple(payment)
