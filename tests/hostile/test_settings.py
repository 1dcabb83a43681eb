"""Settings that nobody should give: one error that says which, shows little of the value and nothing of a secret."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handlers.core.reading import LONGEST_VALUE_SHOWN
from orchestration.settings import Settings, SettingsError, load
from tests.hostile.strange import JSON, STRANGE, TEXTS

RIGHT = {"environment_suffix": "test", "environment": "development"}
SECTIONS = ("database", "thresholds", "salvage", "state", "existing")
LONGEST_LINE = 700  # characters; a setting's description is part of it


def error_of(read: Callable[[], object]) -> str | None:
    try:
        read()
    except SettingsError as error:
        return str(error)
    return None


def refused(**given_: Any) -> str | None:
    """The error that these settings give, or None."""
    said = error_of(lambda: load(**RIGHT | given_))
    for line in (said or "").splitlines():
        assert line.isprintable()
        assert len(line) < LONGEST_LINE
    return said


@given(st.sampled_from(sorted(set(Settings.model_fields) - set(SECTIONS))), JSON)
@example("alert_emails", ["${file('x')}@example.org"])
@example("writer_region", "us-east-\u0661")
def test_a_setting_of_any_kind_is_legal_or_named(name: str, value: Any) -> None:
    said = refused(**{name: value})
    if said is None:
        assert "${" not in str(load(**RIGHT | {name: value}))
    else:
        assert name in said or name.endswith("_region") or name in ("writer_cidr", "standby_cidr")


@given(
    st.sampled_from(SECTIONS), st.dictionaries(TEXTS | st.sampled_from(["name", "port", "replay"]), JSON, max_size=3)
)
@example("database", {"engine_version": "17.\u0665"})
@example("salvage", {"replay": {"transfers; DROP TABLE fence": "f(x)"}})
def test_a_section_of_any_kind_is_legal_or_named(section: str, values: dict[str, Any]) -> None:
    said = refused(**{section: values})
    assert said is None or section in said
    if said is None:
        assert str(load(**RIGHT | {section: values})).isascii()


SQL_FACING = [
    ({"database": {"name": name}} for name in STRANGE),
    ({"database": {"master_username": name}} for name in STRANGE),
    ({"salvage": {"replay": {name: "transfer(id)"}}} for name in STRANGE),
    ({"salvage": {"replay": {"transfers": name}}} for name in STRANGE),
]


@pytest.mark.parametrize("given_", [each for some in SQL_FACING for each in some], ids=lambda each: ascii(each)[:60])
def test_no_name_for_sql_holds_more_than_a_name(given_: dict[str, Any]) -> None:
    assert refused(**given_)


@settings(max_examples=30)
@given(st.binary(max_size=60) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")))
@example(b'environment_suffix = "a"\n[database\n')
@example(b"\xff\xfe")
@example(b'environment_suffix = "' + b"x" * 100_000 + b'"')
def test_any_file_of_settings_is_settings_or_one_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        file.write_bytes(content)
        with mock.patch.dict(os.environ, {"FAILOVER_SETTINGS": str(file)}):
            said = error_of(load)
            assert said is None or (str(file) in said and len(said) < 2000)


def test_a_secret_in_a_variable_that_is_no_setting_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_DATABASE_PASSWORD", "planted-0f6d1c")
    said = refused()
    assert said is not None
    assert "FAILOVER_DATABASE_PASSWORD" in said
    assert "planted-0f6d1c" not in said


def test_a_huge_value_is_shown_by_its_beginning() -> None:
    said = refused(environment_suffix="x" * 100_000)
    assert said is not None
    assert "'xxx" in said
    assert "x" * (LONGEST_VALUE_SHOWN + 1) not in said
