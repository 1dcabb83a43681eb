"""The verbs that the page offers are the program's own, and no value becomes anything but a value."""

from __future__ import annotations

import pytest

from drills.live.verbs import UnknownWordError, verbs
from failoverctl.__main__ import VERBS


def test_every_verb_is_offered_but_the_one_that_the_page_is() -> None:
    assert set(VERBS) - set(verbs()) == {"watch"}
    assert {"salvage list", "salvage show"} <= set(verbs())


def test_an_option_is_written_as_the_program_writes_it() -> None:
    known = verbs()
    assert known["pause"].words({"lasts": "45m", "reason": "a test"}) == [
        "pause",
        "--for=45m",
        "--reason=a test",
        "--yes",
    ]
    assert known["start"].words({"mode": "failover", "accept_data_loss": True}) == [
        "start",
        "--mode=failover",
        "--accept-data-loss",
        "--yes",
    ]
    assert known["salvage show"].words({"epoch": "2"}) == ["salvage", "show", "--", "2"]
    assert known["status"].words({}) == ["status"]


def test_no_value_becomes_an_option() -> None:
    known = verbs()
    assert known["approve"].words({"run": "--lab=no"}) == ["approve", "--yes", "--", "--lab=no"]
    assert known["reject"].words({"reason": "--help"}) == ["reject", "--reason=--help", "--yes"]


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("start", {}),
        ("start", {"mode": "something"}),
        ("start", {"mode": True}),
        ("status", {"settings": "/etc/passwd"}),
        ("status", {"suffix": "prod"}),
        ("reject", {"reason": ["no"]}),
        ("pause", {"lasts": "45m"}),
    ],
)
def test_what_the_verb_does_not_take_is_refused(verb: str, given: dict[str, object]) -> None:
    with pytest.raises(UnknownWordError):
        verbs()[verb].words(given)
