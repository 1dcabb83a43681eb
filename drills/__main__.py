"""The command line of the drills: ``make drill``, or ``python -m drills``."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drills.lab import CLIENTS
from drills.outages import APPROVALS, CIRCLE, MODES, NO_OUTAGE, OUTAGES, USUAL, UndemandedError
from drills.script.circle import Circle
from drills.script.drill import AURORA_PROMOTION_SECONDS, Drill, run
from drills.script.options import BY_NAME, Options
from drills.troubles import TROUBLES, Phase
from drills.world.dns import ResolutionError
from drills.world.network import NetworkError
from drills.world.postgres import PostgresError
from orchestration.measured import ASSUMED_PROMOTION_S, promotion_s
from orchestration.packaging import PackagingError
from orchestration.settings import SettingsError

# The errors that a drill expects: each has a message for people and is shown without a traceback.
EXPECTED = (SettingsError, PackagingError, PostgresError, NetworkError, ResolutionError, UndemandedError)

# Exit codes besides 0 (passed) and 1 (failed).
CANNOT_RUN, INTERRUPTED = 2, 130

Outage = StrEnum("Outage", {name: name for name in (*OUTAGES, NO_OUTAGE)})  # type: ignore[misc]
Mode = StrEnum("Mode", {name: name for name in MODES})  # type: ignore[misc]
Approve = StrEnum("Approve", {name: name for name in APPROVALS})  # type: ignore[misc]

TroubleName = StrEnum("TroubleName", {name: name for name in TROUBLES})  # type: ignore[misc]
Clients = StrEnum("Clients", {name: name for name in CLIENTS})  # type: ignore[misc]

FAILOVER, YES, NAME = Mode("failover"), Approve("yes"), Clients(BY_NAME)

# Faster than this, the lab's processes do not keep up with their own clock, and the figures mean nothing.
FASTEST = 20.0

# What every lab may be told, whoever starts it.
Speed = Annotated[
    float, typer.Option(min=0.1, max=FASTEST, help="Virtual seconds per real second; 1 is production cadence.")
]
AuroraPromotion = Annotated[
    float, typer.Option(min=0, max=600, help="Seconds that Aurora's own promotion takes: modelled, not measured.")
]
Postgres = Annotated[
    Path | None, typer.Option(help="Folder of PostgreSQL's programs; by default the system's, then the packaged.")
]


def drill(
    mode: Annotated[Mode, typer.Option(help="What the drill runs.")] = FAILOVER,
    outage: Annotated[
        Outage | None,
        typer.Option(
            help=f"What fails; a failover's default is {USUAL['failover']}, a circle's {USUAL[CIRCLE]}; else a person "
            "starts the run.",
            show_default=False,
        ),
    ] = None,
    trouble: Annotated[
        list[TroubleName] | None,
        typer.Option(help="What makes it worse; may be given more than once.", show_default=False),
    ] = None,
    phase: Annotated[
        Phase | None,
        typer.Option(help="Where the run is when run-stopped or target-lost strikes it; by default moving."),
    ] = None,
    lasts: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=0,
            help="Seconds that outage restart (6) or quiet (0) lasts, before a minute's watch.",
            show_default=False,
        ),
    ] = None,
    clients: Annotated[
        Clients,
        typer.Option(help="How clients find the writer: by its name, by both regions' endpoints, or some each."),
    ] = NAME,
    approve: Annotated[
        Approve, typer.Option(help="How the person on call answers when asked (outages lag and fading ask).")
    ] = YES,
    comes_back: Annotated[
        bool, typer.Option("--comes-back", help="The old writer comes back after the failover.")
    ] = False,
    guardian_dead: Annotated[
        bool,
        typer.Option(
            "--guardian-dead", help="The monitor of the writer's region is dead: shows the limit of the guarantee."
        ),
    ] = False,
    storm: Annotated[
        bool, typer.Option("--storm", help="The alarm's event arrives 50 times, and 20 people start a failover too.")
    ] = False,
    rounds: Annotated[
        int, typer.Option(min=1, max=10, help="In a circle: failovers, each re-protected, before the failback.")
    ] = 1,
    then: Annotated[
        list[Outage] | None,
        typer.Option(
            help="In a circle: what fails in the second round, and so on; may be given more than once.",
            show_default=False,
        ),
    ] = None,
    speed: Speed = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the transfers and the moment of the outage.")] = 1,
    aurora_promotion: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=600,
            help="Seconds that Aurora's own promotion takes, in a failover or a switchover: modelled.",
            show_default=f"{ASSUMED_PROMOTION_S:g}, or as failoverctl verify has measured it",
        ),
    ] = None,
    postgres: Postgres = None,
    output: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("build/drill"),
) -> None:
    """Fail a region over on this machine: real databases, real clients, the real workflow, no AWS account."""
    chosen = outage.value if outage else USUAL.get(mode.value, NO_OUTAGE)
    options = Options(
        mode=mode.value,
        outage=OUTAGES.get(chosen),
        approve=approve.value,
        comes_back=comes_back,
        guardian_dead=guardian_dead,
        storm=storm,
        rounds=rounds,
        speed=speed,
        seed=seed,
        aurora_promotion_seconds=_usual_promotion_s(mode) if aurora_promotion is None else aurora_promotion,
        postgres=postgres and postgres.resolve(),
        output=output,
        troubles=tuple(TROUBLES[each.value] for each in dict.fromkeys(trouble or ())),
        phase=phase,
        clients=clients.value,
        lasts_seconds=lasts,
        then=tuple(OUTAGES[each.value] for each in then or () if each.value in OUTAGES),
    )
    raise SystemExit(_exit_code(options))


def _usual_promotion_s(mode: Mode) -> float:
    return promotion_s("switchover") if mode.value == "switchover" else AURORA_PROMOTION_SECONDS


def heed_interrupts() -> None:
    """Restores Ctrl-C, which a shell makes background jobs ignore, and takes SIGTERM for an interrupt too."""
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.default_int_handler)


def _exit_code(options: Options) -> int:
    """Runs the drill; an expected error is told in one line, without a traceback."""
    heed_interrupts()
    try:
        _ = options.demanded  # before anything is built
        return run(options, Circle if options.mode == CIRCLE else Drill)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Everything that the drill started is gone.\n")
        return INTERRUPTED
    except EXPECTED as error:
        sys.stderr.write(f"\nThe drill cannot run: {error}\n")
        return CANNOT_RUN


def main() -> None:
    """Runs what the command line says; raises `SystemExit` with the exit code."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(drill)
    command()


if __name__ == "__main__":
    main()
