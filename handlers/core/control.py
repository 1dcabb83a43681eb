"""The control record: who the writer is, and which run may change that. Pure: no DynamoDB in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import END_OF_TIME_S, Beat
from handlers.core.plain import plain
from handlers.core.reading import ANY_TEXT, LARGEST_WHOLE, LONGEST_LINE, Fields
from handlers.core.request import MODES, Mode

FIRST_EPOCH = 1
LARGEST_EPOCH = LARGEST_COUNT = LARGEST_WHOLE

# `checking`: the run looks, and a writer that renews its lease stops it. `stopping`: a switchover stops the healthy
# writer, whose guardian no longer renews, and fences; until `stopping_until`, then its guardian takes the lock away.
# `moving`: the run has committed to move the writer, and the guardian of the old one no longer renews, and fences.
Phase = Literal["checking", "stopping", "moving"]
PHASES: tuple[Phase, ...] = ("checking", "stopping", "moving")

# What a guardian says of its database: `unknown` is neither, for nobody could ask it.
Says = Literal["up", "down", "unknown"]
SAYS: tuple[Says, ...] = ("up", "down", "unknown")

Wanted = Literal["hold", "abort"]
WANTED: tuple[Wanted, ...] = ("hold", "abort")

LONGEST_REASON = 1000  # characters of what a person said


@dataclass(frozen=True)
class Word:
    """The word of a guardian that cannot renew as it should. Times in seconds since 1970, by its own clock.

    ``says``: its database is ``down``, or ``unknown``, and has been ``since`` then. Until ``rests_until`` no guardian
    of the writer region need fence, and no run asks RDS to move the writer; None while it renews beside the word.
    """

    says: Says
    since: float
    rests_until: float | None = None

    @classmethod
    def read(cls, fields: Fields) -> Word:
        """Reads a word out of a control item."""
        return cls(fields.choice("says", SAYS), _moment(fields, "since"), _optional_moment(fields, "rests_until"))

    def stored(self) -> dict[str, Any]:
        """Returns the word as the record holds it."""
        return _known(asdict(self))


@dataclass(frozen=True)
class WriterSign:
    """A sign of life of the guardian of a writer that is stopped or moved away, which may not renew.

    ``at``: when it looked, in seconds since 1970; ``says`` as in `Word`, or ``up``; ``fenced``: it has seen the fence
    stand after it read the lock in this phase.
    """

    at: float
    says: Says
    fenced: bool

    @classmethod
    def read(cls, fields: Fields) -> WriterSign:
        """Reads a sign out of a control item."""
        return cls(_moment(fields, "at"), fields.choice("says", SAYS), fields.flag("fenced", False))


@dataclass(frozen=True)
class Transition:
    """The lock: the run that holds it and what it does. Times in seconds since 1970.

    ``seen_lease`` is the end of the writer's lease as the run saw it when it took the lock; ``move_requests`` counts
    the requests to RDS to move the writer (detach or switchover), each before it is sent, minus one that RDS refused;
    ``asked_at``: when the last of them was noted.
    ``replicated_xid``: every transaction of the old writer with a lower id had ended and was in the standby.
    ``moving_since``: when the run committed to move; ``writer_sign``: the old writer's guardian's, since then or since
    the writer was stopped. ``wanted``: what a person has asked this run for.
    """

    run: str
    mode: Mode
    phase: Phase
    incident: str
    target_region: str
    started_at: float
    deadline: float
    seen_lease: float | None = None
    stopping_until: float | None = None
    dns_engaged: bool = False
    move_requests: int = 0
    asked_at: float | None = None
    replicated_xid: int | None = None
    moving_since: float | None = None
    writer_sign: WriterSign | None = None
    wanted: Wanted | None = None

    @classmethod
    def read(cls, fields: Fields) -> Transition:
        """Reads the lock out of a control item."""
        return cls(
            run=fields.text("run"),
            mode=fields.choice("mode", MODES),
            phase=fields.choice("phase", PHASES),
            incident=fields.text("incident"),
            target_region=fields.text("target_region"),
            started_at=_moment(fields, "started_at"),
            deadline=_moment(fields, "deadline"),
            seen_lease=_optional_moment(fields, "seen_lease"),
            stopping_until=_optional_moment(fields, "stopping_until"),
            dns_engaged=fields.flag("dns_engaged", False),
            move_requests=fields.whole("move_requests", at_most=LARGEST_COUNT, default=0),
            asked_at=_optional_moment(fields, "asked_at"),
            replicated_xid=fields.optional_whole("replicated_xid", at_most=LARGEST_COUNT),
            moving_since=_optional_moment(fields, "moving_since"),
            writer_sign=WriterSign.read(fields.section("writer_sign")) if "writer_sign" in fields.data else None,
            wanted=fields.choice("wanted", WANTED) if "wanted" in fields.data else None,
        )

    @property
    def began_at(self) -> float:
        """Since when the run moves the writer; before that, since when it has the lock."""
        return self.started_at if self.moving_since is None else self.moving_since

    def stored(self) -> dict[str, Any]:
        """Returns the lock as the record holds it: what is not known is left out."""
        return _known(asdict(self))


@dataclass(frozen=True)
class ReprotectionLock:
    """The run that re-protects, who started it, and since when (seconds since 1970)."""

    run: str
    started_by: str
    started_at: float

    @classmethod
    def read(cls, fields: Fields) -> ReprotectionLock:
        """Reads the lock out of a control item."""
        return cls(fields.text("run"), fields.text("started_by"), _moment(fields, "started_at"))


@dataclass(frozen=True)
class PersonsNo:
    """Who ended the automatic attempts of this epoch, when (seconds since 1970), and why, in the person's words.

    Nothing is decided by the words. Whatever they are, the record has to stay readable: a guardian that cannot read it
    fences a healthy writer.
    """

    by: str
    at: float
    reason: str

    @classmethod
    def of(cls, by: str, at: float, words: str) -> PersonsNo:
        """Makes one of what a person said, which may be anything."""
        return cls(plain(by)[:LONGEST_LINE], at, _reason(words, LONGEST_REASON))

    @classmethod
    def read(cls, fields: Fields) -> PersonsNo:
        """Reads a no out of a control item."""
        return cls(fields.text("by", pattern=ANY_TEXT), _moment(fields, "at"), fields.text("reason", pattern=ANY_TEXT))


@dataclass(frozen=True)
class Pause:
    """A person's pause of automatic failover: whose, since when, until when (seconds since 1970), and why.

    It ends by itself, so that nobody has to think of it. Its words are taken as those of a `PersonsNo`.
    ``maintenance``: the person works on the writer meanwhile; it begins only while no run is at work, and somebody is
    meant to end it. ``extends_since``: when the first pause of the row began, where this one has extended another.
    """

    by: str
    at: float
    until: float
    reason: str
    maintenance: bool = False
    extends_since: float | None = None

    @classmethod
    def of(
        cls,
        by: str,
        at: float,
        until: float,
        words: str,
        *,
        maintenance: bool = False,
        before: Pause | None = None,
    ) -> Pause:
        """Makes one of what a person said, which may be anything; ``before`` is the one whose place it takes."""
        since = before.since if before and before.lasts(at) else None
        return cls(plain(by)[:LONGEST_LINE], at, until, _reason(words, LONGEST_LINE), maintenance, since)

    @classmethod
    def read(cls, fields: Fields) -> Pause:
        """Reads a pause out of a control item."""
        by, reason = (fields.text(name, pattern=ANY_TEXT) for name in ("by", "reason"))
        return cls(
            by,
            _moment(fields, "at"),
            _moment(fields, "until"),
            reason,
            fields.flag("maintenance", False),
            _optional_moment(fields, "extends_since"),
        )

    @property
    def since(self) -> float:
        """Since when automatic failover has been paused without a gap (seconds since 1970)."""
        return self.at if self.extends_since is None else self.extends_since

    def lasts(self, now: float) -> bool:
        """Returns whether it holds at ``now`` (seconds since 1970)."""
        return now < self.until

    def stored(self) -> dict[str, Any]:
        """Returns the pause as the record holds it: what is not known is left out."""
        return _known(asdict(self))


@dataclass(frozen=True)
class Told:
    """What people were told last of an incident: about what, for which reason, when (seconds since 1970)."""

    about: str
    reason: str
    at: float

    @classmethod
    def read(cls, fields: Fields) -> Told:
        """Reads what was told out of a control item."""
        about, reason = (fields.text(name, pattern=ANY_TEXT) for name in ("about", "reason"))
        return cls(about, reason, _moment(fields, "at"))


@dataclass(frozen=True)
class ControlRecord:
    """One item per global database.

    Attributes
    ----------
    writer_region
        the region that holds the writer role.
    epoch
        grows by one with every change of writer.
    automatic_failover
        False while a person has turned automatic failovers off, for good.
    paused
        a person's pause of them, which ends by itself.
    transition
        the lock, while a run holds it.
    lease_expires_at
        until when the writer may write without renewing, in seconds since 1970; None from a change of writer (and
        from the deployment) to the first renewal.
    heartbeat
        the last heartbeat row that the guardian knows to be committed.
    renewing_since
        since when the lease has been renewed without a gap by a guardian that knew its database to live (seconds since
        1970); it says nothing while the lease is over or a word stands.
    word
        the guardian's, while it cannot renew as it should.
    unfenced_region
        the old writer's region after a failover, until it is known to be fenced.
    last_run, last_incident, last_transition_at
        the run that moved the writer last, the incident it answered, and when (seconds since 1970).
    claims_from
        from when on the lock may be taken again after a change of writer (seconds since 1970): before that, a request
        to RDS that was noted then may still be on its way.
    ended_by_person
        a person's no, which ends the automatic attempts of this epoch.
    told
        what people were told last.
    protected
        False from a failover until a re-protection has made a new standby: there is nothing to move the writer to.
    reprotection
        the lock of the run that re-protects.
    retiring
        RDS's resource id of the old cluster, once a run has begun to retire it.
    replicated_xid
        of the last failover: every transaction of the old writer with a lower id is in the new one.
    last_reprotection
        the run that re-protected last.
    """

    writer_region: str
    epoch: int
    automatic_failover: bool
    transition: Transition | None = None
    lease_expires_at: float | None = None
    heartbeat: Beat | None = None
    renewing_since: float | None = None
    word: Word | None = None
    unfenced_region: str | None = None
    last_run: str | None = None
    last_incident: str | None = None
    last_transition_at: float | None = None
    claims_from: float | None = None
    ended_by_person: PersonsNo | None = None
    paused: Pause | None = None
    told: Told | None = None
    protected: bool = True
    reprotection: ReprotectionLock | None = None
    retiring: str | None = None
    replicated_xid: int | None = None
    last_reprotection: str | None = None

    @classmethod
    def read(cls, item: object) -> ControlRecord:
        """Reads a control item; `Misconfigured` names the attribute that is wrong."""
        fields = Fields(item, "the control record", Misconfigured)
        return cls(
            writer_region=fields.text("writer_region"),
            epoch=fields.whole("epoch", at_least=1, at_most=LARGEST_EPOCH),
            automatic_failover=fields.flag("automatic_failover", True),
            transition=Transition.read(fields.section("transition")) if "transition" in fields.data else None,
            lease_expires_at=_optional_moment(fields, "lease_expires_at"),
            heartbeat=Beat.read_optional(fields, "heartbeat"),
            word=Word.read(fields.section("word")) if "word" in fields.data else None,
            unfenced_region=fields.optional_text("unfenced_region"),
            last_run=fields.optional_text("last_run"),
            last_incident=fields.optional_text("last_incident"),
            last_transition_at=_optional_moment(fields, "last_transition_at"),
            renewing_since=_optional_moment(fields, "renewing_since"),
            claims_from=_optional_moment(fields, "claims_from"),
            ended_by_person=(
                PersonsNo.read(fields.section("ended_by_person")) if "ended_by_person" in fields.data else None
            ),
            paused=Pause.read(fields.section("paused")) if "paused" in fields.data else None,
            told=Told.read(fields.section("told")) if "told" in fields.data else None,
            protected=fields.flag("protected", True),
            reprotection=(
                ReprotectionLock.read(fields.section("reprotection")) if "reprotection" in fields.data else None
            ),
            retiring=fields.optional_text("retiring"),
            replicated_xid=fields.optional_whole("replicated_xid", at_most=LARGEST_COUNT),
            last_reprotection=fields.optional_text("last_reprotection"),
        )

    @property
    def only_forward(self) -> bool:
        """Whether RDS may be moving the writer for the run that holds the lock: there is no way back."""
        return self.transition is not None and self.transition.move_requests > 0

    @property
    def moving(self) -> Transition | None:
        """The lock of a run that has committed to move the writer."""
        return self.transition if self.transition and self.transition.phase == "moving" else None

    @property
    def rests_until(self) -> float | None:
        """Until when the writer's guardian may rest by its word, unfenced; None when it may not, or says it has fenced.

        Before that, and a clock's error, a run that has committed to move does not ask RDS.
        """
        sign = self.moving.writer_sign if self.moving else None
        return None if self.word is None or (sign is not None and sign.fenced) else self.word.rests_until

    @property
    def stopping(self) -> Transition | None:
        """The lock of a switchover that stops the writer."""
        return self.transition if self.transition and self.transition.phase == "stopping" else None


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _moment(fields: Fields, field: str) -> float:
    return fields.number(field, at_least=0, at_most=END_OF_TIME_S)


def _reason(words: str, longest: int) -> str:
    """Returns what a person gave as the reason, as the record may hold it; a part of a huge text is looked at."""
    return plain(words[:longest])[:longest] or "no reason given"


def _optional_moment(fields: Fields, field: str) -> float | None:
    return None if fields.data.get(field) is None else _moment(fields, field)


def writer_switch_engaged(record: ControlRecord, region: str) -> bool:
    """Returns whether clients belong in ``region``: it is the writer, or a run is moving the writer there right now."""
    moving = record.transition
    if moving is not None and moving.dns_engaged:
        return moving.target_region == region
    return record.writer_region == region
