"""Reading of what came from outside."""

from __future__ import annotations

import string
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.core.errors import FailoverError, InvalidRequest, Misconfigured
from handlers.core.reading import Fields


def fields(**data: Any) -> Fields:
    return Fields(data, "the thing", InvalidRequest)


@pytest.mark.parametrize("error", [InvalidRequest, Misconfigured])
def test_the_caller_names_the_thing_and_the_error(error: type[FailoverError]) -> None:
    with pytest.raises(error, match="the thing is 5; it must be a JSON object"):
        Fields(5, "the thing", error)


@pytest.mark.parametrize("value", [1, 1.0, Decimal(1), 0, 10])
def test_numbers_inside_the_bounds(value: Any) -> None:
    assert fields(n=value).number("n", at_least=0, at_most=10) == float(value)


@pytest.mark.parametrize("value", [-0.1, 10.1, 10**400, float("nan"), float("inf"), "1", True, None, [1]])
def test_everything_else_is_refused_as_a_number(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"the thing: field 'n' is .*; give a number"):
        fields(n=value).number("n", at_least=0, at_most=10)


def test_defaults_stand_for_absent_fields() -> None:
    assert fields().number("n", at_least=0, at_most=10, default=3) == 3
    assert fields().text("t", default="x") == "x"
    assert fields().flag("f", True) is True
    assert fields().optional_text("t") is None
    assert fields(t=None).optional_text("t") is None
    assert fields().optional_flag("f") is None
    assert fields(f=None).optional_flag("f") is None


@pytest.mark.parametrize("value", [True, False])
def test_an_optional_flag_that_is_there_is_what_it_says(value: bool) -> None:
    assert fields(f=value).optional_flag("f") is value


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_nothing_else_passes_for_a_flag(value: Any) -> None:
    readers: tuple[Callable[[], bool | None], ...] = (
        lambda: fields(f=value).optional_flag("f"),
        lambda: fields(f=value).flag("f", False),
    )
    for read in readers:
        with pytest.raises(InvalidRequest, match=r"field 'f' is .*; give true or false"):
            read()


def test_a_choice_is_one_of_its_words() -> None:
    assert fields(c="a").choice("c", ("a", "b")) == "a"
    for value in ("c", "", None, 1, ["a"]):
        with pytest.raises(InvalidRequest, match="give one of a, b"):
            fields(c=value).choice("c", ("a", "b"))


@given(st.text(alphabet=string.printable))
def test_a_text_is_given_back_as_it_is_or_refused(value: str) -> None:
    try:
        assert fields(t=value).text("t", pattern="[a-z]{1,5}") == value
    except InvalidRequest:
        assert not (value and len(value) <= 5 and all(letter in string.ascii_lowercase for letter in value))


def test_a_pattern_has_to_match_whole() -> None:
    with pytest.raises(InvalidRequest):
        fields(t="abc\n").text("t", pattern="[a-z]+")


def test_a_section_is_named_after_its_place() -> None:
    with pytest.raises(InvalidRequest, match="the thing, inner: field 'a' is missing; give a text"):
        fields(inner={}).section("inner").text("a")
    with pytest.raises(InvalidRequest, match="the thing: field 'inner' is missing; give a JSON object"):
        fields().section("inner")


def test_unknown_fields_are_refused_by_name() -> None:
    fields(a=1).only(("a", "b"))
    with pytest.raises(InvalidRequest, match="the thing: unknown field 'c'; remove it, known are a, b"):
        fields(a=1, c=2).only(("b", "a"))
