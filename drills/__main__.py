"""The command line of the drills: ``make drill``, or ``python -m drills``."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drills.drill import AURORA_PROMOTION_SECONDS, Options, run
from drills.errors import EXPECTED
from drills.result import OUTAGE_SENTENCES

# Exit codes besides 0 (passed) and 1 (failed).
CANNOT_RUN, INTERRUPTED = 2, 130

Outage = StrEnum("Outage", {name: name for name in OUTAGE_SENTENCES})  # type: ignore[misc]
Mode = StrEnum("Mode", {name: name for name in ("failover", "rehearsal")})  # type: ignore[misc]

FAILOVER, KILL = Mode("failover"), Outage("kill")

# Faster than this, the lab's processes do not keep up with their own clock, and the figures mean nothing.
FASTEST = 20.0


def drill(
    mode: Annotated[Mode, typer.Option(help="What the alarm starts.")] = FAILOVER,
    outage: Annotated[Outage, typer.Option(help="What happens to the writer region.")] = KILL,
    speed: Annotated[
        float, typer.Option(min=0.1, max=FASTEST, help="Virtual seconds in a real one; 1 is production cadence.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the transfers and the moment of the outage.")] = 1,
    aurora_promotion: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds that Aurora's own promotion takes: a model, not measured.")
    ] = AURORA_PROMOTION_SECONDS,
    postgres: Annotated[
        Path | None, typer.Option(help="Folder of PostgreSQL's programs; by default the system's, then the packaged.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("build/drill"),
) -> None:
    """Fail a region over on this machine: real databases, real clients, the real workflow, no AWS account."""
    options = Options(mode.value, outage.value, speed, seed, aurora_promotion, postgres and postgres.resolve(), output)
    # A shell that starts a drill in the background has it ignore Ctrl-C; it can be interrupted all the same, and a
    # request to terminate is taken for one.
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.default_int_handler)
    try:
        code = run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Everything that the drill had started is gone.\n")
        code = INTERRUPTED
    except EXPECTED as error:
        sys.stderr.write(f"\nThe drill cannot run: {error}\n")
        code = CANNOT_RUN
    raise SystemExit(code)


if __name__ == "__main__":
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(drill)
    command()
