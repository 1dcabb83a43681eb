"""``make soak``: drills chosen at random, one after another, until the time is over.

A seed chooses what strikes: the mode, the outage, up to two troubles, the phase in which a run is broken off, how
clients find the writer, what the person on call answers, and whether the old writer comes back. One strike in seven is
a circle: one lab under load is struck two to four times, each time by another outage and in the region that writes,
mended, re-protected and struck again. Any combination may come for which the design demands an end; the drill judges
it, with the ledger's proof of what was lost.

The choices depend on the seed and the strike's number alone, so any strike can be made again without those before it.
Timings are the machine's.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from drills.apart import drill
from drills.bench.rto import Spread
from drills.outages import CIRCLE, NO_OUTAGE, OUTAGES, UndemandedError
from drills.troubles import SWITCHOVER, TROUBLES, Phase, When, demanded_with
from drills.verdict.folder import LATEST, RESULT_FILE, make_latest

if TYPE_CHECKING:
    from drills.outages import Outage
    from drills.troubles import Trouble

# How often each is chosen; a rehearsal changes nothing, and a circle takes five times as long as a failover.
MODES = {"failover": 8, SWITCHOVER: 3, "rehearsal": 1, CIRCLE: 2}
TROUBLES_AT_ONCE = (0, 1, 1, 1, 2)
ROUNDS = (2, 3, 3, 4)
ROUND_TRIPS = [row.name for row in OUTAGES.values() if row.goes_round]
CLIENTS = ("name", "hosts", "both")
APPROVALS = {"yes": 4, "no": 2, "never": 1}  # who never answers keeps a drill waiting for a quarter of an hour
COMES_BACK = 0.25
# Most choices make no sense together; of so many, one always does.
TRIES = 10_000


@dataclass(frozen=True)
class Strike:
    """What strikes, as the command line of a drill says it; ``number`` counts from 1."""

    number: int
    mode: str
    outage: str
    troubles: tuple[str, ...]
    phase: str | None
    clients: str
    approve: str
    comes_back: bool
    then: tuple[str, ...]
    seed: int

    @property
    def arguments(self) -> list[str]:
        """The arguments of the drill."""
        more = [part for trouble in self.troubles for part in ("--trouble", trouble)]
        more += ["--phase", self.phase] if self.phase else []
        more += ["--rounds", str(1 + len(self.then))] if self.mode == CIRCLE else []
        more += [part for outage in self.then for part in ("--then", outage)]
        more += ["--comes-back"] if self.comes_back else []
        chosen = ["--mode", self.mode, "--outage", self.outage, "--approve", self.approve, "--clients", self.clients]
        return [*chosen, "--seed", str(self.seed), *more]

    @property
    def words(self) -> str:
        """What strikes, in short."""
        parts = [f"{self.mode} {self.outage}", *(f"then {outage}" for outage in self.then), *self.troubles]
        parts += [f"while {self.phase}"] if self.phase else []
        parts += [] if self.mode == CIRCLE else [f"clients by {self.clients}"]
        parts += ["the old writer comes back"] if self.comes_back else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Struck:
    """How a strike ended. ``seconds`` is what it took, of this machine's time; what was not measured is None."""

    strike: Strike
    passed: bool
    seconds: float
    reached: str | None
    rto_seconds: float | None
    acknowledged: int
    lost: int
    duplicated: int
    both_wrote: int
    moves: int
    invariants: int
    broken: tuple[str, ...]
    last_line: str
    kept_at: str | None = None

    @classmethod
    def of(cls, strike: Strike, code: int, seconds: float, result: dict[str, Any], last_line: str) -> Struck:
        """Reads the drill's result; a drill that ended without one has failed."""
        invariants: dict[str, bool] = result.get("invariants", {})
        legs = [leg for leg in result.get("legs", []) if leg["step"] != "re-protection"]
        moved = result.get("writer_after") not in (None, result.get("writer_before"))
        return cls(
            strike=strike,
            passed=code == 0 and bool(result),
            seconds=round(seconds, 1),
            reached=result.get("reached"),
            rto_seconds=result.get("rto_seconds"),
            acknowledged=result.get("acknowledged", 0),
            lost=result.get("lost", 0),
            duplicated=result.get("duplicated", 0),
            both_wrote=result.get("both_wrote", 0),
            moves=len(legs) or int(moved),
            invariants=len(invariants),
            broken=tuple(sorted(name for name, held in invariants.items() if not held)),
            last_line=last_line,
        )


def choose(seed: int, number: int) -> Strike:
    """Returns the strike of that number; the same for the same seed, whatever came before."""
    chance = random.Random(f"soak {seed} {number}")  # noqa: S311 - nothing secret
    (mode,) = chance.choices(list(MODES), weights=list(MODES.values()))
    for _ in range(TRIES):
        outage = OUTAGES.get(chance.choice([NO_OUTAGE, *OUTAGES]))
        troubles = [TROUBLES[name] for name in chance.sample(sorted(TROUBLES), chance.choice(TROUBLES_AT_ONCE))]
        # A failover stops nobody: its run is never in that phase.
        phases = [phase for phase in Phase if mode == SWITCHOVER or phase is not Phase.STOPPING]
        if is_demanded(mode, outage, troubles):
            circle = mode == CIRCLE
            asks = mode == "failover" and outage is not None and outage.asks_person
            returns = mode == "failover" and outage is not None and outage.goes_round
            return Strike(
                number=number,
                mode=mode,
                outage=outage.name if outage else NO_OUTAGE,
                troubles=tuple(trouble.name for trouble in troubles),
                phase=str(chance.choice(phases)) if any(row.when is When.PHASE for row in troubles) else None,
                clients="name" if circle else chance.choice(CLIENTS),
                approve=chance.choices(list(APPROVALS), weights=list(APPROVALS.values()))[0] if asks else "yes",
                comes_back=returns and chance.random() < COMES_BACK,
                then=tuple(chance.choice(ROUND_TRIPS) for _ in range(1, chance.choice(ROUNDS))) if circle else (),
                seed=chance.randrange(1_000_000),
            )
    raise AssertionError(f"seed {seed}, strike {number}: nothing that the design demands was chosen")


def is_demanded(mode: str, outage: Outage | None, troubles: list[Trouble]) -> bool:
    """Returns whether the design demands an end of these together."""
    try:
        demanded_with(mode, outage, "yes", troubles)
    except UndemandedError:
        return False
    return True


def run(strike: Strike, more: list[str], folder: Path) -> Struck:
    """Runs a strike's drill; what it printed and its results are in ``folder``."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    drilled = drill([*strike.arguments, *more], folder)
    seconds = time.monotonic() - began
    (folder / "printed.txt").write_text(drilled.printed)
    return Struck.of(strike, drilled.code, seconds, drilled.result or {}, drilled.last_line)


def summary(seed: int, struck: list[Struck]) -> dict[str, Any]:
    """Returns the result of a soak, for programs."""
    outages = [each.rto_seconds for each in struck if each.rto_seconds is not None]
    return {
        "seed": seed,
        "strikes": len(struck),
        "passed": sum(each.passed for each in struck),
        "failed": [each.strike.number for each in struck if not each.passed],
        "seconds": round(sum(each.seconds for each in struck), 1),
        "moves": sum(each.moves for each in struck),
        "ends": dict(Counter(each.reached or "none" for each in struck)),
        "rto_seconds": asdict(Spread.of(outages)) if outages else None,
        "acknowledged": sum(each.acknowledged for each in struck),
        "lost": sum(each.lost for each in struck),
        "duplicated": sum(each.duplicated for each in struck),
        "both_wrote": sum(each.both_wrote for each in struck),
        "invariants_checked": sum(each.invariants for each in struck),
        "invariants_broken": dict(Counter(name for each in struck for name in each.broken)),
        "outages": dict(Counter(each.strike.outage for each in struck)),
        "troubles": dict(Counter(name for each in struck for name in each.strike.troubles)),
        "each": [asdict(each) for each in struck],
    }


def again(seed: int, number: int, more: list[str]) -> str:
    """Returns the command that makes one strike again."""
    return f"make soak ARGS='{' '.join(['--seed', str(seed), '--strike', str(number), *more])}'"


def main(
    minutes: Annotated[float, typer.Option(min=0, help="No strike begins later; one always does.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses what strikes.")] = 1,
    strike: Annotated[int | None, typer.Option(min=1, help="Makes that one strike only, again.")] = None,
    aurora_promotion: Annotated[float, typer.Option(min=0, help="The stated delay of Aurora's promotion.")] = 30.0,
    speed: Annotated[float, typer.Option(min=0.1, help="Virtual seconds per real second.")] = 1.0,
    output: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("build/soak"),
) -> None:
    """Strike a real lab at random, again and again, and say what became of it."""
    console = Console(soft_wrap=True)
    root = output / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    more = ["--aurora-promotion", f"{aurora_promotion:g}", "--speed", f"{speed:g}"]
    struck: list[Struck] = []
    end = time.monotonic() + minutes * 60
    number = strike or 1
    while not struck or (strike is None and time.monotonic() < end):
        chosen = choose(seed, number)
        console.print(f"{datetime.now(UTC):%H:%M:%S} strike {number}: {chosen.words}", highlight=False)
        folder = root / f"strike-{number}"
        found = run(chosen, more, folder)
        if found.passed:
            shutil.rmtree(folder)
        else:
            found = replace(found, kept_at=str(folder))
        struck.append(found)
        _keep(root, summary(seed, struck))
        console.print(f"         {found.last_line}", highlight=False)
        if not found.passed:
            console.print(f"         kept: {folder}; again: {again(seed, number, more)}", highlight=False)
        number += 1
    result = summary(seed, struck)
    console.print(_table(result))
    console.print(f"All figures: {output / LATEST / RESULT_FILE}")
    raise SystemExit(1 if result["failed"] else 0)


def _keep(root: Path, result: dict[str, Any]) -> None:
    """Writes the result after each strike, so that a soak that is ended leaves what it has found."""
    root.mkdir(parents=True, exist_ok=True)
    (root / RESULT_FILE).write_text(json.dumps(result, indent=2) + "\n")
    make_latest(root)


def _table(result: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    rto = result["rto_seconds"]
    rows = {
        "Strikes": f"{result['passed']} of {result['strikes']} passed",
        "Ends": ", ".join(f"{number} {end}" for end, number in result["ends"].items()),
        "Moves of the writer": result["moves"],
        "RTO": f"{rto['minimum']:.1f} / {rto['median']:.1f} / {rto['maximum']:.1f} s" if rto else "none measured",
        "Acknowledged writes": f"{result['acknowledged']:,}",
        "Lost, duplicated": f"{result['lost']:,}, {result['duplicated']}",
        "Both wrote": f"{result['both_wrote']} times",
        "Invariants": f"{result['invariants_checked']} checked, {sum(result['invariants_broken'].values())} broken",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


if __name__ == "__main__":
    typer.run(main)
