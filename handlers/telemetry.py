"""The structured log and the metrics that all functions share (Powertools)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import WARM_UP
from handlers.core.timing import Timing

logger = Logger()
metrics = Metrics()

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def instrumented(handler: Handler) -> Handler:
    """Logs with the request's context and counts every invocation by step, duration and how it ended.

    A warm-up is answered at once, and not counted.

    One metric, ``StepDuration`` in ms, with the dimensions ``Step`` (the handler's module) and ``Result``
    (``Succeeded``, or the class name of the error that Step Functions sees). The result gets ``timing`` (``began`` and
    ``ended``, in seconds since 1970), from which the record of the run is made.
    """
    step = handler.__module__.rpartition(".")[2]

    @wraps(handler)
    def measured(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        began, started = time.time(), time.monotonic()
        result = "Succeeded"
        try:
            answer = handler(event, context)
            return answer | {"timing": asdict(Timing(began, time.time()))}
        except Exception as error:
            result = type(error).__name__
            logger.exception("the step failed")
            raise
        finally:
            metrics.add_dimension("Step", step)
            metrics.add_dimension("Result", result)
            metrics.add_metric("StepDuration", MetricUnit.Milliseconds, (time.monotonic() - started) * 1000)

    # The state is cleared so that no line carries the run of the previous invocation.
    logged: Handler = logger.inject_lambda_context(metrics.log_metrics(measured), clear_state=True)

    @wraps(handler)
    def entry(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return {} if event == WARM_UP else logged(event, context)

    return entry
