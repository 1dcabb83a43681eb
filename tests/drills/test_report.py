from __future__ import annotations

import random
import re
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from drills.ends import End
from drills.show.report import LETTER_WIDTH, TEMPLATES, WIDTH, Label, picture_of, render, ticks
from drills.verdict.events import Event, Kind
from drills.verdict.marks import Marks
from drills.verdict.notes import Notes
from drills.verdict.result import Leg
from drills.verdict.throughput import Throughput
from handlers.report.page import STYLE
from tests.drills.sample_result import INVARIANTS, MARKS, sample_result

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('&')</script>"
# Web Content Accessibility Guidelines 2.2, success criterion 1.4.3: text against its background.
LEAST_CONTRAST = 4.5


def svg_of(html: str) -> ET.Element:
    """Return the picture, which is the one drawing with a role."""
    text = re.search(r'<svg viewBox.*?role="img".*?</svg>', html, re.DOTALL)
    assert text
    return ET.fromstring(text[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def span(label: Label) -> tuple[float, float]:
    width = (len(label.text) + len(label.time) + 1) * LETTER_WIDTH
    return (label.x - width, label.x) if label.leftwards else (label.x, label.x + width)


def test_the_report_needs_nothing_from_outside() -> None:
    html = render(sample_result())
    assert not re.search(r"https?:|//|src=|<link|<script|@import|<iframe|<object", html)
    assert set(re.findall(r"url\([^)]*\)", html)) == {"url(#hatch)"}
    assert "default-src 'none'" in html


def test_the_steps_of_a_circle_are_a_table_and_no_other_drill_has_one() -> None:
    legs = [
        Leg(
            step="failover", run="r", started_s=0, seconds=26.64, writer="us-west-2", epoch=2, lost=207, rto_seconds=25
        ),
        Leg(step="re-protection", run="s", started_s=40, seconds=195.6, writer="us-west-2", epoch=2, salvaged=208),
    ]
    html = render(sample_result(legs=legs, writer_after="us-east-1"))
    assert "DNS answers us-west-2" in html  # the picture's moments are those of the first move
    rows = re.findall(r'<tr><th scope="row">(Failover|Re-protection)</th>(.*?)</tr>', html)
    assert [(name, re.findall(r">([^<>]+)</td>", cells)) for name, cells in rows] == [
        ("Failover", ["+0.0 s", "26.6 s", "25.0 s", "us-west-2", "2", "207", "-", "-"]),
        ("Re-protection", ["+40.0 s", "195.6 s", "-", "us-west-2", "2", "-", "208", "-"]),
    ]
    assert "<h2>Steps</h2>" not in render(sample_result())


def test_whatever_a_text_holds_is_shown_as_text() -> None:
    html = render(
        sample_result(
            outage=HOSTILE,
            mode=HOSTILE,
            arguments=[HOSTILE],
            writer_before=HOSTILE,
            writer_after=HOSTILE,
            execution_name=HOSTILE,
            execution_arn=HOSTILE,
            execution_status=HOSTILE,
            invariants={HOSTILE: False},
            invariant_meanings={HOSTILE: HOSTILE},
            throughput=Throughput(
                started_s=-1, bucket_s=1, commits_per_second={HOSTILE: [1, 2]}, failures_per_second=[0, 3]
            ),
            events=[Event(at=0, kind=Kind.LAB, text=HOSTILE, detail=HOSTILE)],
            settings={HOSTILE: HOSTILE},
            postgresql_version=HOSTILE,
            notes=Notes(measured=[HOSTILE], modelled=[HOSTILE], limits=[HOSTILE]),
            problems=[HOSTILE],
            tolerated_errors=[HOSTILE],
        )
    )
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") > 20
    svg_of(html)  # is well-formed


def test_the_report_tells_everything() -> None:
    result = sample_result()
    text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", render(result))))
    notes = result.notes.measured + result.notes.modelled + result.notes.limits
    texts = [result.headline, result.loss, *INVARIANTS.values(), *notes, *result.tolerated_errors]
    texts += [event.text for event in result.events] + ["of it assumed: 20.0 s", "within the target of 60 s"]
    texts += ["make drill ARGS='--outage kill --mode failover --seed 7 --aurora-promotion 20'"]
    assert [words for words in texts if words not in text] == []


def figures_of(html: str) -> dict[str, str]:
    """The tiles: their names, and what stands on them."""
    tiles = re.findall(r"<dt>(.*?)</dt>\s*<dd><strong>(.*?)</strong><span>(.*?)</span>", html)
    return {name: f"{value}: {unescape(meaning)}" for name, value, meaning in tiles}


def test_p7_every_tile_that_holds_auroras_delay_says_how_much_of_it_is_assumed() -> None:
    tiles = figures_of(render(sample_result(rto_by_name_seconds=37.906, rto_by_hosts_seconds=37.0)))
    assert tiles["RTO"] == "37.9 s: 17.9 s ours + 20.0 s assumed"
    assert tiles["RTO by hosts"] == "37.0 s: 17.0 s ours + 20.0 s assumed"
    assert tiles["Promotion"] == "23.9 s: 3.9 s ours + 20.0 s assumed"
    assert tiles["Written by both"] == "0: neither wrote for 37.9 s: 17.9 s ours + 20.0 s assumed"
    assert {name for name, text in tiles.items() if "assumed" in text} == {
        "RTO",
        "RTO by hosts",
        "Promotion",
        "Written by both",
    }
    measured = figures_of(render(sample_result(aurora_promotion_seconds=0)))
    assert not [text for text in measured.values() if "assumed" in text]
    assert "RTO by hosts" not in measured
    picture = picture_of(sample_result())
    assert picture.gap
    assert picture.gap.text == "37.9 s without writes: 17.9 s ours + 20.0 s assumed"


def test_the_detection_is_told_in_the_order_in_which_it_was_seen() -> None:
    marks = MARKS.model_copy(
        update={"third_miss": 6.2, "last_sign_of_life": -0.7, "word_of_guardian": 1.3, "verdict": 8.5}
    )
    result = sample_result(marks=marks)
    rows = re.findall(r'<tr><td class="right">([+-][\d.]+ s)</td><td>([^<]+)</td></tr>', unescape(render(result)))
    assert rows == [
        ("-0.7 s", "The last sign of life of the writer's guardian in the control record"),
        ("+1.3 s", "The guardian's word: its database is down, or not known"),
        ("+6.2 s", "The third miss in a row of the standby's prober"),
        ("+8.5 s", "The monitor's verdict, and its event: the writer is down"),
        ("+12.4 s", "The alarm"),
        ("+12.9 s", "The first run started"),
    ]
    assert [phase.ended_s for phase in result.phases if phase.name == "Detection"] == [8.5]
    assert result.marks.promotion_seconds == 27.824


def test_the_lease_is_a_lane_of_the_picture() -> None:
    picture = picture_of(sample_result())
    labels = {label.text: label.x for label in picture.labels}
    east, west = picture.lease
    assert (east.number, west.number) == (0, 1)
    assert east.x == picture.left
    assert labels["outage: kill"] < east.x + east.width < labels["alarm"]
    assert labels["first acknowledged write"] < west.x
    assert "us-west-2 held the lease from +39.0 s" in west.title
    assert picture.lease_top + picture.strip_height < picture.bars[0].y
    assert "Lease</text>" in render(sample_result())
    without = picture_of(sample_result(lease=[]))
    assert without.bars[0].y < picture.bars[0].y


def test_data_under_an_event_is_not_printed() -> None:
    events = [
        Event(at=1, kind=Kind.WORKFLOW, text=text, detail=detail) for text, detail in (("a", '{"x": 1}'), ("b", "c"))
    ]
    html = render(sample_result(events=events))
    assert re.findall(r"<small(.*?)>", html[html.index("<h2>Events") :])[:2] == [' class="data"', ""]
    assert re.search(r"@media print \{[^@]*\.data \{ display: none; \}", html.replace("@page", "page"))


def test_a_target_that_was_missed_is_said() -> None:
    html = render(sample_result(marks=MARKS.model_copy(update={"first_acknowledged_write": 75.0})))
    assert html.count("✘ over the target of 60 s") == html.count('class="missed"') == 1


def test_a_failed_drill_says_so_and_names_what_broke() -> None:
    broken = dict.fromkeys(INVARIANTS, True) | {"one_writer": False}
    html = render(sample_result(invariants=broken, reached=End.ABORTED, problems=["two writers for 3 s"]))
    assert '<body class="failed">' in html
    assert re.search(r'<li class="broken">.*?one writer.*?broken', html)
    assert "two writers for 3 s" in html


def test_the_picture_is_described_for_those_who_do_not_see_it() -> None:
    svg = svg_of(render(sample_result()))
    names = (svg.get("aria-labelledby") or "").split()
    described = {
        element.get("id"): element.text for element in svg.iter() if element.tag in (f"{SVG}title", f"{SVG}desc")
    }
    assert all(described[name] for name in names)
    assert "Detection 12.4 s" in (described["picture-description"] or "")


def test_modelled_phases_are_hatched_and_no_others() -> None:
    svg = svg_of(render(sample_result()))
    bars = list(svg.iter(f"{SVG}g"))
    hatched = [group for group in bars if any(r.get("fill") == "url(#hatch)" for r in group.iter(f"{SVG}rect"))]
    assert len(bars) == 8
    assert ["Aurora" in (group.findtext(f"{SVG}title") or "") for group in hatched] == [True]


def test_everything_is_on_one_time_axis() -> None:
    picture = picture_of(sample_result())
    labels = {label.text: label.x for label in picture.labels}
    bars = {bar.name: bar for bar in picture.bars}
    assert bars["Detection"].x + bars["Detection"].width == pytest.approx(labels["alarm"])
    assert bars["Reconnect"].x + bars["Reconnect"].width == pytest.approx(labels["first acknowledged write"])
    assert picture.gap
    assert picture.gap.x + picture.gap.width == pytest.approx(labels["first acknowledged write"])
    zero = next(tick.at for tick in picture.time_ticks if tick.text == "0")
    assert zero == pytest.approx(labels["outage: kill"])


def test_commits_are_stacked_to_scale() -> None:
    throughput = Throughput(
        started_s=0, bucket_s=1, commits_per_second={"b": [0, 300], "us-east-1": [100, 100]}, failures_per_second=[0, 0]
    )
    picture = picture_of(sample_result(throughput=throughput, marks=Marks()))
    first, second = picture.areas
    assert (first.region, second.region) == ("us-east-1", "b")

    def heights(path: str) -> list[float]:
        return [picture.chart_bottom - float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]

    # The corners of the upper line from left to right, then those of the lower line from right to left.
    assert heights(first.path) == pytest.approx([44, 44, 0, 0], abs=0.1)
    assert heights(second.path) == pytest.approx([44, 44, 176, 176, 44, 44], abs=0.1)


@pytest.mark.parametrize("seed", range(40))
def test_labels_never_cover_each_other(seed: int) -> None:
    chance = random.Random(seed)
    latest = chance.choice([3, 20, 45])  # crowded, or up to the right edge
    marks = Marks(**{name: chance.uniform(0, latest) for name in Marks.model_fields})
    picture = picture_of(sample_result(marks=marks))
    assert len(picture.labels) == 11
    for label, other in combinations(picture.labels, 2):
        (left, right), (other_left, other_right) = span(label), span(other)
        assert label.y != other.y or right < other_left or other_right < left
    for upper in picture.labels:
        for lower in picture.labels:
            if upper.y < lower.y and not lower.leftwards:
                left, right = span(lower)
                assert not left < upper.x < right, f"the leader of {upper.text} crosses {lower.text}"
    assert all(left >= 0 and right <= WIDTH + LETTER_WIDTH for left, right in map(span, picture.labels))


def test_the_time_without_writes_lasts_to_the_end_when_no_region_takes_over() -> None:
    stopped = Marks(first_failed_write=0.01, alarm=12.4)
    picture = picture_of(sample_result(marks=stopped, writer_after=None))
    assert picture.gap
    assert picture.gap.text == "no region takes writes"
    assert picture.gap.x + picture.gap.width == pytest.approx(picture.right)


def test_a_rehearsal_has_no_time_without_writes() -> None:
    marks = Marks(execution_started=0.4, execution_ended=4.9)
    result = sample_result(mode="rehearsal", outage=None, marks=marks, writer_after="us-east-1")
    assert picture_of(result).gap is None
    assert "seconds since the start" in render(result)


@pytest.mark.parametrize(
    "changes",
    [
        {"throughput": Throughput(started_s=0, bucket_s=1, commits_per_second={}, failures_per_second=[])},
        {"events": [], "invariants": {}, "settings": {}, "tolerated_errors": []},
        {"execution_name": None, "execution_arn": None, "execution_status": None, "marks": Marks()},
    ],
)
def test_a_drill_that_ended_early_has_a_report(changes: dict[str, Any]) -> None:
    svg_of(render(sample_result(**changes)))


@pytest.mark.parametrize(
    ("start", "end", "marks"),
    [
        (-10, 48, [-10, 0, 10, 20, 30, 40]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 850, [0, 200, 400, 600, 800]),
    ],
)
def test_axes_have_round_numbers(start: float, end: float, marks: list[float]) -> None:
    assert ticks(start, end) == marks


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb`` as the guidelines define it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft", "good", "bad"])
def test_texts_have_enough_contrast(scheme: int, text: str) -> None:
    css = STYLE.read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", css)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    for background in ("paper", "card"):
        lighter, darker = sorted((luminance(colours[text]), luminance(colours[background])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= LEAST_CONTRAST, background


def test_templates_are_beside_the_module() -> None:
    assert {path.name for path in Path(TEMPLATES).iterdir()} == {"report.html", "picture.svg"}
