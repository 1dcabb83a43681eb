"""RunHooks: starts what the settings hang on an event, tells people what of it fails, and notes it beside the run.

Started by EventBridge, it runs beside the workflow, which knows nothing of it: a hook can delay or fail no run.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.hooks import HookEnded, due, failed, message, noted, read_hooks
from handlers.core.reading import Fields
from handlers.gateways import hooks, notifications
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, RunTableVariables):
    """What the function reads."""

    hooks: str


class RequiredHookFailed(FailoverError):
    """A hook that the settings call required has failed; people have been told, and the function's alarm pages."""


ENVIRONMENT = Environment.read()
HOOKS = read_hooks(ENVIRONMENT.hooks)
TOPICS = notifications.topics(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; each hook of the event is given it as it is.

    Raises
    ------
    RequiredHookFailed
        a required hook has failed.
    """
    fields = Fields(event, "the event", InvalidRequest)
    kind, detail = fields.text("detail-type"), fields.section("detail").data
    started = due(HOOKS, kind)
    with ThreadPoolExecutor(max(1, len(started))) as pool:
        running = [pool.submit(hooks.run, hook, ENVIRONMENT.aws_region, event) for hook in started]
        ended = [one.result() for one in running]
    for one in ended:
        logger.info("a hook has ended", hook=one.hook.name, event=kind, seconds=one.took_s, error=one.error)
    bad = failed(ended)
    if bad:
        notifications.publish_to_all(TOPICS, message(kind, detail, bad, ENVIRONMENT.topic_arn))
        note(str(detail.get("run", "")), kind, bad)
    if any(one.hook.required for one in bad):
        raise RequiredHookFailed(f"{', '.join(one.hook.name for one in bad)}: {bad[0].error}")
    return {"done": [one.hook.name for one in ended if one.error is None], "failed": [one.hook.name for one in bad]}


def note(run: str, event: str, bad: Sequence[HookEnded]) -> None:
    """Notes beside the record of the run what has failed; people know of it without."""
    try:
        RUNS.note_hooks(run, event, noted(bad))
    except FailoverError:
        logger.exception("the hooks that failed were not noted")
