"""What was measured of Aurora in somebody's account, for drills to take instead of what is assumed."""

from __future__ import annotations

import json

from orchestration.settings import PROJECT_ROOT

# Written by ``failoverctl verify --keep``; to be committed beside the settings of the deployment that it is of.
FILE = PROJECT_ROOT / "measured.json"
# For a detach and promotion, Aurora's guide says "in the order of minutes" today and said "under a minute" before;
# field reports lie around this value.
ASSUMED_PROMOTION_S = 30.0


def promotion_s() -> float:
    """Returns how long Aurora takes to promote (s): as it was measured, or else as it is assumed."""
    if not FILE.is_file():
        return ASSUMED_PROMOTION_S
    return float(json.loads(FILE.read_text(encoding="utf-8"))["promotion_s"])


def keep_promotion(seconds: float, run: str) -> None:
    """Keeps how long Aurora's promotion took in a run; raises `OSError`."""
    text = json.dumps({"promotion_s": round(seconds, 1), "run": run}, indent=2)
    FILE.write_text(f"{text}\n", encoding="utf-8")
