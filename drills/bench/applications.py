"""Applications: how soon the example programs write again after a failover, each driver by name and by hosts.

All run in the surviving region, beside the drill's own clients, through one drill: the writer's region hangs, which is
what hurts clients most. In a second drill the same programs run with one recommended setting changed each.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from drills.bench.findings import Findings
from drills.bench.rto import HANGING, Spread
from drills.outages import OUTAGES
from drills.script.drill import Drill, run
from drills.script.options import Options
from drills.world.applications import PROGRAMS, Chosen, LackingError, Without, can_be_named, command_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from drills.ends import End
    from drills.lab import Lab
    from drills.verdict.result import DrillResult
    from drills.world.applications import Application, Attempt

FINDS = ("name", "hosts")
# How long programs are watched once the new writer takes writes (seconds); one that has not written by then hangs.
WATCHED_SECONDS = 40.0
# The drill asks the new writer whether it takes writes, and may see it a moment after a program did.
SEEN_LATE_SECONDS = 1.0

# What breaks without a setting: the program, how it finds the writer, and the change in its source.
WITHOUT = (
    ("psycopg", "name", Without("no deadline", "with_psycopg.py", "with deadline(connection):", "if True:")),
    ("psycopg", "hosts", Without("no connect_timeout", "connection.py", '        "connect_timeout": 2,\n')),
    ("psycopg_pool", "name", Without("no reconnect_timeout", "with_psycopg_pool.py", "    reconnect_timeout=1,\n")),
    ("SQLAlchemy", "name", Without("pool_pre_ping", "with_sqlalchemy.py", "pool_pre_ping=False", "pool_pre_ping=True")),
    ("node-postgres", "name", Without("no query_timeout", "payments.mjs", "  query_timeout: 3000,\n")),
    (
        "node-postgres",
        "hosts",
        Without("no connectionTimeoutMillis", "payments.mjs", "  connectionTimeoutMillis: 2000,\n"),
    ),
    (
        "JDBC, HikariCP",
        "name",
        Without(
            "no networkaddress.cache.ttl",
            "Payments.java",
            '        Security.setProperty("networkaddress.cache.ttl", "5");\n',
        ),
    ),
    (
        "JDBC, HikariCP",
        "name",
        Without("no socketTimeout", "Payments.java", '        config.addDataSourceProperty("socketTimeout", "3");\n'),
    ),
    (
        "JDBC, HikariCP",
        "hosts",
        Without(
            "no hostRecheckSeconds",
            "Payments.java",
            '        config.addDataSourceProperty("hostRecheckSeconds", "2");\n',
        ),
    ),
)


@dataclass(frozen=True)
class Measured:
    """What one program did. Times are seconds; None for what never came.

    Attributes
    ----------
    began
        whether it was answered before the outage: one that was not says nothing of the way back.
    reconnect_s
        from the moment at which the new writer took writes to the last of the payers' first answers.
    silence_s
        the longest time without an answer that a payer had.
    answered, failed
        attempts that were answered, and those that were not.
    missing
        payments that were answered after the failover and are not in the new writer's database.
    last_error, said
        what its last failed attempt said, and the program on stderr.
    """

    label: str
    began: bool
    reconnect_s: float | None
    silence_s: float | None
    answered: int
    failed: int
    missing: int
    last_error: str
    said: str

    @property
    def recovered(self) -> bool:
        """Whether it wrote before, all its payers wrote again, and nothing that was answered then is missing."""
        return self.began and self.reconnect_s is not None and not self.missing


@dataclass(frozen=True)
class Played:
    """A drill with applications: its result, and what each program did."""

    result: DrillResult
    measured: list[Measured]


class ApplicationsDrill(Drill):
    """A drill in whose surviving region the example applications run as well."""

    chosen: Sequence[Chosen] = ()
    played: list[Played]

    def _build(self, lab: Lab) -> None:
        super()._build(lab)
        self._applications: list[Application] = lab.start_applications(lab.standby, self.chosen)

    def _let_run_on(self) -> None:
        with self._timeline.waiting("the applications to write again", at_most=WATCHED_SECONDS):
            self._clock.sleep(WATCHED_SECONDS)

    def _judge(self, lab: Lab, reached: End) -> DrillResult:
        stopped = [(each, each.stop()) for each in self._applications]
        result = super()._judge(lab, reached)
        open_at = result.marks.writes_possible
        after = {str(key) for (key,) in lab.servers[lab.standby].query("SELECT key FROM payments")}
        self.played.append(
            Played(
                result,
                [
                    measured(each.chosen.label, each.attempts(), self._since_zero, open_at, after, said)
                    for each, said in stopped
                ],
            )
        )
        return result


def measured(
    label: str,
    attempts: Sequence[Attempt],
    since_zero: Callable[[float], float],
    open_at: float | None,
    after: set[str],
    said: str = "",
) -> Measured:
    """Returns what a program did; ``open_at`` is when the new writer took writes, ``after`` the keys that are there."""
    answers = [each for each in attempts if each.answer is not None]
    since = None if open_at is None else open_at - SEEN_LATE_SECONDS
    first: list[float | None] = []
    silences = []
    for payer in sorted({each.payer for each in attempts}):
        moments = [since_zero(each.t) for each in answers if each.payer == payer]
        first.append(next((moment for moment in moments if since is not None and moment >= since), None))
        silences += [nxt - last for last, nxt in pairwise(moments)]
    back = [moment for moment in first if moment is not None]
    recovered = open_at is not None and len(back) == len(first) > 0
    late = {each.key for each in answers if since is not None and since_zero(each.t) >= since}
    return Measured(
        label,
        any(since_zero(each.t) < 0 for each in answers),
        round(max(0.0, max(back) - open_at), 1) if recovered and open_at is not None else None,
        round(max(silences), 1) if recovered and silences else None,
        len(answers),
        len(attempts) - len(answers),
        len(late - after),
        next((each.error for each in reversed(attempts) if each.error), ""),
        " ".join(said.split())[:300],
    )


def every() -> list[Chosen]:
    """Returns every program, by name and by hosts."""
    return [Chosen(program, find) for program in PROGRAMS.values() for find in FINDS]


def changed() -> list[Chosen]:
    """Returns the programs with one setting changed each."""
    return [Chosen(PROGRAMS[name], find, without) for name, find, without in WITHOUT]


def lacking() -> dict[str, str]:
    """Returns what this machine lacks, by the name of each program that cannot be run on it."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, program in enumerate(PROGRAMS.values()):
            lacks = can_be_named()
            try:
                folder = Path(scratch) / str(number)
                folder.mkdir()
                command_of(Chosen(program, FINDS[0]), folder)
            except LackingError as error:
                lacks = lacks or str(error)
            if lacks:
                found[program.name] = lacks
    return found


def play(chosen: Sequence[Chosen], seed: int, aurora_promotion_s: float, output: Path) -> Played:
    """Plays one drill, in which the writer's region hangs, with these applications; the drill is to pass itself."""

    class Playing(ApplicationsDrill):
        pass

    Playing.chosen, Playing.played = chosen, []
    options = Options(
        mode="failover",
        outage=OUTAGES[HANGING],
        approve="yes",
        comes_back=False,
        guardian_dead=False,
        storm=False,
        rounds=1,
        speed=1.0,
        seed=seed,
        aurora_promotion_seconds=aurora_promotion_s,
        postgres=None,
        output=output,
    )
    run(options, Playing)
    (played,) = Playing.played
    return played


def measure(runs: int, aurora_promotion_s: float, output: Path, say: Callable[[str], None]) -> Findings:
    """Runs the drills, first with the programs as they are and then with the changed ones."""
    lacks = lacking()
    for name, what in lacks.items():
        say(f"{name} is not run: {what}")
    played = []
    for seed in range(1, runs + 1):
        for kind, chosen in (("as-recommended", every()), ("changed", changed())):
            present = [each for each in chosen if each.program.name not in lacks]
            played.append(play(present, seed, aurora_promotion_s, output / f"applications-{kind}-{seed}"))
    return findings(played, lacks, aurora_promotion_s)


def findings(played: Sequence[Played], lacks: dict[str, str], aurora_promotion_s: float) -> Findings:
    """Returns the table of how soon each program wrote again."""
    labels = dict.fromkeys(each.label for drill in played for each in drill.measured)
    by_label = {label: [each for drill in played for each in drill.measured if each.label == label] for label in labels}
    recommended = {each.label for each in every()}
    return Findings(
        "Applications: from the new writer's first write to their own, s: minimum / median / maximum",
        ("", "writes again after", "longest silence"),
        tuple(
            (
                label,
                _spread(each.reconnect_s for each in found if each.began),
                _spread(each.silence_s for each in found if each.began),
            )
            for label, found in by_label.items()
        ),
        {
            "aurora_promotion_s": aurora_promotion_s,
            "watched_s": WATCHED_SECONDS,
            "not_run": lacks,
            "drills_passed": [drill.result.status == "passed" for drill in played],
            "applications": {label: [asdict(each) for each in found] for label, found in by_label.items()},
        },
        notes=(
            f"Outage {HANGING}; Aurora's own promotion is a stated delay of {aurora_promotion_s:g} s. Programs in the "
            f"surviving region, two payers each, watched for {WATCHED_SECONDS:g} s or more: “never” is longer.",
            *(f"Not run: {name}: {what}." for name, what in lacks.items()),
        ),
        passed=all(drill.result.status == "passed" for drill in played)
        and all(each.recovered for label in recommended & labels.keys() for each in by_label[label]),
    )


def _spread(values: Iterable[float | None]) -> str:
    """Returns the spread of a figure; "never" where it never came, and no figure where no program began."""
    values = list(values)
    if not values:
        return "never began"
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "never" if not known else f"never in {len(values) - len(known)} of {len(values)}"
    return str(Spread.of(known)) if len(known) > 1 else f"{known[0]:.1f}"
