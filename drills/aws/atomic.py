"""DynamoDB: conditional writes have one winner.

DynamoDB evaluates a condition and writes in one step (DynamoDB developer guide, "Condition expressions"). moto does not
under threads: two requests may both find the condition true. Here, therefore, requests are answered one after another.

Limits: no throttling, and no parallelism between tables.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.dynamodb.responses import DynamoHandler

if TYPE_CHECKING:
    from contextlib import ExitStack


def install(stack: ExitStack) -> None:
    """Answers DynamoDB's requests one after another until ``stack`` is closed."""
    lock = threading.Lock()
    answer = DynamoHandler.call_action

    def one_at_a_time(self: DynamoHandler) -> Any:
        with lock:
            return answer(self)

    stack.enter_context(mock.patch.object(DynamoHandler, "call_action", one_at_a_time))
