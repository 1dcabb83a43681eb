"""``make simulate``: plays histories of the product in virtual time, and says what they broke and what they reached."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from simulation.campaign import Found, campaign, judged, smallest
from simulation.story import in_words, tell

RESULT = Path("build/simulation/latest.json")
# Stories of a campaign: one a promise that was broken.
MOST_STORIES = 5
NEVER_SHOWN = 8


def simulate(
    histories: Annotated[int, typer.Option(min=1, help="How many histories are played.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The first one's seed; each next one has the next seed.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stops earlier, after so many minutes.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many cores play them.")] = os.cpu_count() or 1,
    result: Annotated[Path, typer.Option(help="Where the figures go, for programs.")] = RESULT,
) -> None:
    """Plays histories; one alone is told as a story, and what it breaks is made small, as a campaign does.

    The exit code is 1 when a promise was broken.
    """
    if histories == 1:
        raise typer.Exit(_one(seed))
    began = time.monotonic()
    found = campaign(seed, histories, workers, minutes, lambda so_far: _progress(so_far, histories))
    print(file=sys.stderr)
    figures = _figures(found, seed, workers, time.monotonic() - began)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(figures, indent=2) + "\n")
    _say(figures)
    _tell_broken(found)
    print(f"\nFigures  {result}")
    raise typer.Exit(bool(found.broken))


def _one(seed: int) -> int:
    played, broken = judged(seed)
    print("\n".join(tell(played, broken)))
    _tell_broken(Found(histories=1, broken=[(seed, one) for one in broken]))
    return bool(broken)


def _progress(found: Found, histories: int) -> None:
    line = f"\r{found.histories:,} of {histories:,} histories, {len(found.broken)} promises broken"
    print(line, end="", file=sys.stderr, flush=True)


def _figures(found: Found, seed: int, workers: int, seconds: float) -> dict[str, Any]:
    return {
        "seed": seed,
        "histories": found.histories,
        "workers": workers,
        "seconds": round(seconds, 1),
        "histories_per_second_and_worker": round(found.histories / seconds / workers, 1),
        "virtual_hours": round(found.virtual_s / 3600, 1),
        "faults": found.reached.faults.total(),
        "ends_of_runs": dict(found.ends.most_common()),
        "reached": found.reached.report(),
        "broken": [
            {"seed": seed, "promise": one.promise, "at_s": round(one.at, 2), "what": one.what}
            for seed, one in found.broken
        ],
    }


def _say(figures: dict[str, Any]) -> None:
    print(
        f"{figures['histories']:,} histories from seed {figures['seed']}, {figures['virtual_hours']:,} virtual hours "
        f"with {figures['faults']:,} faults, in {figures['seconds']} s: "
        f"{figures['histories_per_second_and_worker']} a second on each of {figures['workers']} cores"
    )
    print("Runs ended: " + ", ".join(f"{count:,} {end}" for end, count in figures["ends_of_runs"].items()))
    for what, share in figures["reached"].items():
        never = ", ".join(share["never"][:NEVER_SHOWN]) + ("…" if len(share["never"]) > NEVER_SHOWN else "")
        print(f"{share['reached']:>6,} of {share['of']:,} {what}" + (f"; never {never}" if never else ""))
    if not figures["broken"]:
        print("PASSED: every promise held in every history.")


def _tell_broken(found: Found) -> None:
    """Tells one history for each promise that was broken, made small."""
    if not found.broken:
        return
    first = {one.promise: (seed, one) for seed, one in reversed(found.broken)}
    for promise, (seed, _) in list(first.items())[:MOST_STORIES]:
        seeds = sorted({one for one, broken in found.broken if broken.promise == promise})
        faults = smallest(seed, promise)
        played, broken = judged(seed, faults)
        print(f"\n{promise}: broken in {len(seeds)} histories, seeds {', '.join(map(str, seeds[:10]))}")
        print(f"Seed {seed} with no more than: {'; '.join(map(in_words, faults)) or 'no fault'}")
        print("\n".join(tell(played, broken)))
        print(f"Again: make simulate ARGS='--histories 1 --seed {seed}'")
    print(f"\nFAILED: {len({seed for seed, _ in found.broken})} of {found.histories:,} histories broke a promise.")


if __name__ == "__main__":
    typer.run(simulate)
