"""What was measured of Aurora in somebody's account, for drills to take instead of what is assumed."""

from __future__ import annotations

import json
from typing import Any, Literal

from orchestration.settings import PROJECT_ROOT

Move = Literal["failover", "switchover"]
MOVES: tuple[Move, ...] = ("failover", "switchover")
# Written by ``failoverctl verify --keep``; to be committed beside the settings of the deployment that it is of.
FILE = PROJECT_ROOT / "measured.json"
# For a detach and promotion, Aurora's guide says "in the order of minutes" today and said "under a minute" before;
# field reports lie around this value. A switchover typically takes less than a minute, by the same guide.
ASSUMED_PROMOTION_S = 30.0


def promotion_s(move: Move) -> float:
    """Returns how long Aurora takes to promote in a move (s): as it was measured, or else as it is assumed."""
    return float(_kept().get(move, {}).get("promotion_s", ASSUMED_PROMOTION_S))


def keep_promotion(move: Move, seconds: float, run: str) -> None:
    """Keeps how long Aurora's promotion took in a run that was such a move; raises `OSError`."""
    text = json.dumps(_kept() | {move: {"promotion_s": round(seconds, 1), "run": run}}, indent=2)
    FILE.write_text(f"{text}\n", encoding="utf-8")


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    return kept
