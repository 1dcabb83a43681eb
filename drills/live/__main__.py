"""The command line of the living lab: ``make lab``, or ``python -m drills.live``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from drills.__main__ import CANNOT_RUN, EXPECTED, AuroraPromotion, Postgres, Speed, heed_interrupts
from drills.live.living import LivingLab
from drills.live.page import serve
from drills.script.drill import AURORA_PROMOTION_SECONDS
from drills.verdict.events import Kind
from drills.world.clock import Clock
from drills.world.postgres import find_binaries
from drills.world.reaper import Reaper

PORT = 8765
WAKE_SECONDS = 0.5


def lab(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port on 127.0.0.1; 0 for any free one.")
    ] = PORT,
    speed: Speed = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the transfers.")] = 1,
    aurora_promotion: AuroraPromotion = AURORA_PROMOTION_SECONDS,
    postgres: Postgres = None,
) -> None:
    """Keep a lab of two regions on this machine, with a page in the browser, until it is stopped with Ctrl-C."""
    heed_interrupts()
    try:
        _keep(port, speed, seed, aurora_promotion, postgres and postgres.resolve())
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. Everything that the lab started is gone.\n")
    except EXPECTED as error:
        sys.stderr.write(f"\nThe lab cannot run: {error}\n")
        raise SystemExit(CANNOT_RUN) from None


def _keep(port: int, speed: float, seed: int, promotion_seconds: float, postgres: Path | None) -> None:
    """Keeps the lab until `KeyboardInterrupt`; when this ends, everything of it is gone."""
    reaper = Reaper()
    try:
        folder = Path(tempfile.mkdtemp(prefix="lab-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        reaper.folder(folder)
        clock, binaries = Clock.started_now(speed), find_binaries(folder, postgres)
        with LivingLab(folder, binaries, clock, reaper, seed=seed, promotion_seconds=promotion_seconds) as living:
            address = serve(living, port)
            living.timeline.event(Kind.LAB, f"the page is at {address}; Ctrl-C ends the lab")
            living.start()
            living.timeline.event(Kind.LAB, f"all is there: {address}; in another terminal: failoverctl --lab status")
            while True:  # a signal that another thread has taken is noticed when this one wakes
                time.sleep(WAKE_SECONDS)
    finally:
        reaper.close()


if __name__ == "__main__":
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(lab)
    command()
