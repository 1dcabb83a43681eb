"""Heartbeat rows: the writer's database commits one with every tick, and replication carries them to the standby."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.reading import LARGEST_WHOLE, Fields

LARGEST_SEQUENCE = LARGEST_WHOLE
END_OF_TIME_S = 4_102_444_800  # 2100-01-01: a timestamp beyond it is milliseconds mistaken for seconds


@dataclass(frozen=True)
class Beat:
    """One heartbeat: its number, and when the writer's database committed it (seconds since 1970)."""

    seq: int
    at: float

    def stored(self) -> dict[str, float]:
        """Returns it as an item holds it."""
        return {"seq": self.seq, "at": self.at}

    @classmethod
    def read(cls, fields: Fields) -> Beat:
        """Reads a heartbeat out of an event, an answer or an item."""
        return cls(
            seq=fields.whole("seq", at_most=LARGEST_SEQUENCE),
            at=fields.number("at", at_least=0, at_most=END_OF_TIME_S),
        )

    @classmethod
    def read_optional(cls, fields: Fields, field: str) -> Beat | None:
        """Reads the heartbeat in ``field``; None when there is none."""
        return None if fields.data.get(field) is None else cls.read(fields.section(field))
