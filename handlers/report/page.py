"""The page of a report: one HTML file without any external link, written with plain strings. Pure.

No template library: the same code runs in a function, whose package has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from handlers.core.history import Entered
from handlers.report.facts import Report
from handlers.report.words import moment, seconds, since

STYLE = Path(__file__).with_name("report.css")
GOOD = frozenset({"recovered", "rehearsed", "reprotected"})
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

# The picture's measures, in the units of its view box; it is scaled to the width of the page.
WIDTH, LEFT, RIGHT, ROW, BAR = 1080, 230, 90, 23, 15
# A state without a function that lasts for less only chose the next one.
SHORTEST_SHOWN_S = 1.0

HEADLINES = {
    "recovered, application unhealthy": "{new} is the writer, and alarms of the application ring",
    "recovered, application not known": "{new} is the writer, and whether the application is well is not known",
    "recovered": "{new} is the writer",
    "rehearsed": "Rehearsed: nothing was changed",
    "reprotected": "{old_region} is the standby of {writer_region} again",
    "refused": "Refused: the writer was not moved",
    "held": "Held: the old cluster stays as it is",
    "aborted": "Aborted: the writer was not moved",
    "needs_person": "Stopped: a person is needed",
}


@dataclass(frozen=True)
class Row:
    """The times in which a run was in one state."""

    name: str
    times: list[Entered]

    @property
    def longest_s(self) -> float | None:
        """How long it was in it at most; None while it is."""
        spans = [each.left_at - each.entered_at for each in self.times if each.left_at is not None]
        return max(spans) if len(spans) == len(self.times) else None

    @property
    def budget_s(self) -> int | None:
        """What one attempt may take; None where there is no limit."""
        return next((each.limit_s for each in self.times if each.limit_s), None)

    @property
    def is_work(self) -> bool:
        """Whether it took time: most states only choose the next one."""
        return self.budget_s is not None or (self.longest_s or 0) >= SHORTEST_SHOWN_S or bool(self.errors)

    @property
    def attempts(self) -> int:
        """How often its function was invoked."""
        return sum(each.attempts for each in self.times)

    @property
    def errors(self) -> str:
        """What its attempts failed with."""
        return ", ".join(sorted({each.error for each in self.times if each.error}))


def rows(states: Sequence[Entered]) -> list[Row]:
    """Returns the states in the order of their first entrance, each once however often it was entered."""
    found: dict[str, list[Entered]] = {}
    for state in states:
        found.setdefault(state.name, []).append(state)
    return [Row(name, times) for name, times in found.items()]


def as_json(report: Report) -> str:
    """Returns the report for programs."""
    return json.dumps(_plain(asdict(report)), indent=2, ensure_ascii=False) + "\n"


def page(report: Report) -> str:
    """Returns the report for people."""
    good = report.outcome in GOOD
    title = f"Run {report.run}: {report.outcome.replace('_', ' ')}"
    body = [
        _header(report, good),
        _figures(report),
        _section("Why", _facts(_why(report))),
        _section("What both observers saw", table(("Observer", "Of", "Said"), _evidence(report), "No step looked.")),
        _section("Who decided what", table(("When (UTC)", "Who", "What"), _decisions(report), "")),
        _section("Time against budgets", _picture(report) + _states(report)),
        _section("What was lost", _facts(_loss(report))),
        _section("Attempts before it", _attempts(report)),
        _section("Messages as they were sent", _messages(report)),
        _section("The run's own record", _record(report)),
        _section("Noted beside it", _noted(report)),
        _section("The run", _facts(_about(report))),
    ]
    return document(title, "".join(body), good=good)


def document(title: str, body: str, *, good: bool) -> str:
    """Returns a page with this title around ``body``, which is HTML; its badge is green where all is ``good``."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n"
        f'<body class="{"passed" if good else "failed"}">\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


@cache
def _style() -> str:
    return STYLE.read_text(encoding="utf-8")


def _header(report: Report, good: bool) -> str:
    record = report.record or {}
    names = {"new": record.get("target_region"), "old_region": record.get("old_region")}
    headline = HEADLINES.get(report.outcome, f"The run {report.outcome}").format(
        **names, writer_region=record.get("writer_region")
    )
    mode = str(record.get("mode") or report.asked.get("mode") or "re-protection")
    ended = f", {seconds(report.ended_at - report.started_at)}" if report.ended_at else ", still at work"
    return (
        f'<header>\n<p class="badge"><span aria-hidden="true">{"✔" if good else "✘"}</span> '
        f"{escape(report.outcome.replace('_', ' ').capitalize())}</p>\n<h1>{escape(headline)}</h1>\n"
        f'<p class="loss">{escape(str(record.get("cause") or record.get("claim") or report.error or ""))}</p>\n'
        f'<p class="subtitle">{escape(mode.capitalize())} in {escape(report.region)}, '
        f"{moment(report.started_at)}{ended}; run <b>{escape(report.run)}</b></p>\n</header>\n"
    )


def _figures(report: Report) -> str:
    record = report.record or {}
    rto, rpo_ms = _number(record.get("rto_s")), _number(record.get("rpo_ms"))
    rpo = None if rpo_ms is None else rpo_ms / 1000
    resolution = _number(record.get("rpo_resolution_ms"))
    true_to = f"by heartbeats, true to {seconds(resolution / 1000)}" if resolution else "by heartbeats"
    figures = []
    if report.workflow == "failover":
        figures += [
            _figure(
                "RTO", seconds(rto), "last sign of the old writer to the first proved write", rto, report.rto_target_s
            ),
            _figure("RPO", seconds(rpo, 3), true_to, rpo, report.rpo_target_s),
            _figure(
                "Writer",
                str(record.get("target_region") if record.get("epoch_after") else "not moved"),
                f"before: {record.get('old_writer_region') or 'not known'}",
            ),
            _figure(
                "Epoch",
                str(record.get("epoch_after") or record.get("epoch_before") or "-"),
                f"before: {record.get('epoch_before') or '-'}",
            ),
        ]
    else:
        figures.append(_figure("Epoch", str(record.get("epoch") or "-"), "of the writer"))
    asked_by = str(report.asked.get("started_by", "nobody who is named")).rpartition("/")[2]
    figures += [
        _figure("Asked for by", asked_by, "in full below"),
        _figure("Attempts before it", str(len(report.attempts)), "for the same cause"),
    ]
    return f'<dl class="figures">\n{"".join(figures)}</dl>\n'


def _figure(name: str, value: str, meaning: str, measured: float | None = None, target: float | None = None) -> str:
    kind, told = "", ""
    if measured is not None and target is not None:
        met = measured < target
        kind = f' class="{"met" if met else "missed"}"'
        told = f'<span class="target">{"✔ within" if met else "✘ over"} the target of {target:g} s</span>'
    return (
        f"<div{kind}><dt>{escape(name)}</dt><dd><strong>{escape(value)}</strong>"
        f"<span>{escape(meaning)}</span>{told}</dd></div>\n"
    )


def _why(report: Report) -> list[tuple[str, object]]:
    record = report.record or {}
    return [
        ("Cause", record.get("cause")),
        ("Claim", record.get("claim")),
        ("Lag gate", record.get("gate")),
        ("Loss approved by", record.get("approved_by")),
        ("Took over from", record.get("resumes")),
        ("Incident", record.get("incident")),
        ("Ended with", report.error),
        *(("Error", each) for each in record.get("errors") or ()),
        ("Error", record.get("error")),
        *(("Tolerated", each) for each in record.get("tolerated") or ()),
    ]


def _evidence(report: Report) -> Iterable[Sequence[str]]:
    return [(escape(each.observer), escape(each.about), escape(each.said)) for each in report.evidence]


def _decisions(report: Report) -> Iterable[Sequence[str]]:
    began = report.started_at
    return [
        (f"{moment(each.at)[11:19]}<small>{since(each.at - began)}</small>", escape(each.who), escape(each.what))
        for each in report.decisions
    ]


def _loss(report: Report) -> list[tuple[str, object]]:
    record = report.record or {}
    lag = record.get("lag") or {}
    salvage = record.get("salvage") or {}
    resolution = _number(record.get("rpo_resolution_ms"))
    true_to = f", true to {seconds(resolution / 1000)} more or less" if resolution else ""

    def in_seconds(name: str) -> str | None:
        value = _number(record.get(name))
        return None if value is None else seconds(value / 1000, 3)

    by_heartbeats = in_seconds("rpo_ms")
    bound = in_seconds("rpo_at_most_ms")
    moved = record.get("epoch_after") is not None
    return [
        ("By heartbeats", f"{by_heartbeats}{true_to}" if by_heartbeats else None),
        ("Heartbeats lost", record.get("heartbeats_lost")),
        ("At most", bound or ("nothing bounds it: nobody saw the old writer closed" if moved else None)),
        ("If the guardian fenced in time", in_seconds("rpo_if_guarded_ms")),
        (
            "Lag at the decision",
            f"{lag['lag_ms']} ms by {lag.get('source')}" if lag.get("lag_ms") is not None else None,
        ),
        ("Missing on the new writer", salvage.get("missing")),
        ("Different there", salvage.get("different")),
        ("Not compared", salvage.get("uncompared")),
        ("Salvage kept at", salvage.get("kept_at")),
        ("Snapshot of the old cluster", record.get("snapshot")),
    ]


def _about(report: Report) -> list[tuple[str, object]]:
    return [
        ("Run", report.run),
        ("Execution", report.arn),
        ("Status", report.status),
        ("Started", moment(report.started_at)),
        ("Ended", moment(report.ended_at)),
        ("Asked", json.dumps(_plain(report.asked), ensure_ascii=False)),
        ("This report was made", moment(report.made_at)),
    ]


def _picture(report: Report) -> str:
    """Draws when the run was in each state that has a budget, and how much of it was left."""
    shown = [row for row in rows(report.states) if row.budget_s]
    if not shown:
        return ""
    end = max(each.left_at or each.entered_at for each in report.states)
    scale = (WIDTH - LEFT - RIGHT) / max(end - report.started_at, 1.0)
    height = len(shown) * ROW + 6
    drawn = []
    for number, row in enumerate(shown):
        y = number * ROW + 4
        drawn.append(f'<text class="name" x="{LEFT - 10}" y="{y + 12}" text-anchor="end">{escape(row.name)}</text>')
        drawn.append(f'<rect class="strip" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{BAR}" rx="2"/>')
        right = float(LEFT)
        for each in row.times:
            until = each.left_at if each.left_at is not None else end
            x = LEFT + (each.entered_at - report.started_at) * scale
            width = max((until - each.entered_at) * scale, 1.5)
            right = max(right, x + width)
            kind = "outage" if each.error else "workflow"
            drawn.append(f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
        drawn.append(f'<text class="value" x="{right + 6:.1f}" y="{y + 12}">{seconds(row.longest_s)}</text>')
    return (
        f'<div class="picture"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="When the run was in each state; the table below has the same in numbers">{"".join(drawn)}</svg>'
        "</div>\n"
    )


def _states(report: Report) -> str:
    def cells(row: Row) -> Sequence[str]:
        budget, longest = row.budget_s, row.longest_s
        repeated = f"entered {len(row.times)} times" if len(row.times) > 1 else ""
        tried = f"{row.attempts} attempts" if row.attempts > len(row.times) else ""
        note = "; ".join(filter(None, (repeated, tried, row.errors)))
        began = since(row.times[0].entered_at - report.started_at)
        return (escape(row.name), began, seconds(longest, 3), f"{budget} s" if budget else "-", escape(note))

    return table(
        ("State", "From", "Longest", "An attempt may take", ""),
        [cells(row) for row in rows(report.states) if row.is_work],
        "The run entered no state.",
        right=(1, 2, 3),
        kind="numbers",
    )


def _attempts(report: Report) -> str:
    shown = [
        (escape(each.run), moment(each.started_at), escape(each.status), escape(each.why)) for each in report.attempts
    ]
    return table(("Run", "Started", "Ended", "Why"), shown, "There was none.")


def _messages(report: Report) -> str:
    if not report.messages:
        return "<p>The run's history holds none.</p>\n"
    found = []
    for each in report.messages:
        topics = ", ".join(each.topics) or "no topic"
        failed = "".join(f"; not to {topic}: {why}" for topic, why in each.failed.items())
        found.append(
            f"<h3>{moment(each.at)} ({since(each.at - report.started_at)}), {escape(each.state)}: "
            f'{escape(each.subject)}</h3>\n<p class="subtitle">to {escape(topics + failed)}</p>\n'
            f'<pre class="letter"><code>{escape(each.text)}</code></pre>\n'
        )
    return "".join(found)


def _record(report: Report) -> str:
    if report.record is None:
        return "<p>The run has left none.</p>\n"
    text = json.dumps(_plain(report.record), indent=2, ensure_ascii=False)
    return f'<pre class="letter"><code>{escape(text)}</code></pre>\n'


def _noted(report: Report) -> str:
    """Says what was noted by what runs beside the workflow."""
    if report.noted is None:
        return "<p>Not known: the table of records could not be read.</p>\n"
    return _facts(report.noted.words) if report.noted.words else "<p>Nothing was.</p>\n"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}</section>\n"


def _facts(facts: Iterable[tuple[str, object]]) -> str:
    """Returns a table of what is known of these; what is not known has no line."""
    lines = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(_plain(value)))}</td></tr>\n'
        for name, value in facts
        if value not in (None, "")
    ]
    if not lines:
        return "<p>The run has not got that far.</p>\n"
    return f'<table class="facts"><tbody>\n{"".join(lines)}</tbody></table>\n'


def table(
    titles: Sequence[str], lines: Iterable[Sequence[str]], nothing: str, right: Sequence[int] = (), kind: str = "told"
) -> str:
    """Returns a table whose cells are HTML already, or what is said where it would be empty."""
    body = "".join(
        "<tr>" + "".join(f"<td{_aligned(at, right)}>{cell}</td>" for at, cell in enumerate(line)) + "</tr>\n"
        for line in lines
    )
    if not body:
        return f"<p>{escape(nothing)}</p>\n"
    head = "".join(f"<th{_aligned(at, right)}>{escape(title)}</th>" for at, title in enumerate(titles))
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n'


def _aligned(column: int, right: Sequence[int]) -> str:
    return ' class="right"' if column in right else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float, Decimal)) else None


def _plain(data: object) -> Any:
    """Returns data as JSON takes it; DynamoDB's numbers are decimals."""
    if isinstance(data, Mapping):
        return {str(name): _plain(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, Decimal):
        return int(data) if data == int(data) else float(data)
    return data
