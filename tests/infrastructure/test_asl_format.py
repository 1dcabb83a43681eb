"""The form of the state machines' files: it changes nothing that they mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.asl_format import FOLDER, LINE_LENGTH, formatted, main

FILES = sorted(FOLDER.glob("*.asl.json"))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=30), inner, max_size=8)
)
MACHINE: dict[str, Any] = {
    "Comment": "A task.",
    "Parameters": {"Name": "claim", "Payload": {"run.$": "$$.Execution.Name", "kept": [1, 2.5, None]}},
    "Retry": [{"ErrorEquals": [f"AnErrorWithALongName{number}" for number in range(8)], "MaxAttempts": 4}],
    "Catch": [],
}
FORM = """\
{
  "Comment": "A task.",
  "Parameters": {
    "Name": "claim",
    "Payload": {"run.$": "$$.Execution.Name", "kept": [1, 2.5, null]}
  },
  "Retry": [
    {
      "ErrorEquals": [
        "AnErrorWithALongName0", "AnErrorWithALongName1", "AnErrorWithALongName2", "AnErrorWithALongName3",
        "AnErrorWithALongName4", "AnErrorWithALongName5", "AnErrorWithALongName6", "AnErrorWithALongName7"
      ],
      "MaxAttempts": 4
    }
  ],
  "Catch": []
}
"""


def ordered(text: str) -> Any:
    """What a text means, the order of its keys included."""
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs))


@given(ANYTHING, st.sampled_from([None, 1, 4]))
def test_any_json_means_the_same_in_the_same_order_and_has_one_form(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    once = formatted(text)
    assert ordered(once) == ordered(text)
    assert formatted(once) == once


@given(st.dictionaries(st.text(max_size=30), PLAIN | st.lists(PLAIN), min_size=1, max_size=8))
def test_an_object_without_others_stands_on_one_line_exactly_when_it_fits(leaf: dict[str, Any]) -> None:
    line = json.dumps(leaf, ensure_ascii=False)
    assert (formatted(json.dumps(leaf)) == f"{line}\n") == (len(line) <= LINE_LENGTH)


def test_the_form() -> None:
    assert formatted(json.dumps(MACHINE)) == FORM


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_are_in_that_form_and_within_the_line_but_for_sentences(path: Path) -> None:
    text = path.read_text()
    assert formatted(text) == text
    long = [line.strip() for line in text.splitlines() if len(line) > LINE_LENGTH]
    assert [line for line in long if not line.startswith(('"Comment": ', '"Cause": '))] == []


@pytest.mark.parametrize("text", ['{"Next": "A", "Next": "B"}', '{"Seconds": NaN}', "{", ""])
def test_a_text_that_no_reader_understands_alike_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"twice|not JSON|Expecting"):
        formatted(text)


def test_a_file_in_another_form_fails_the_check_and_is_rewritten_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "machine.asl.json"
    path.write_text(json.dumps(MACHINE))
    assert main(["--check", str(path)]) == 1
    assert "machine.asl.json is not formatted; run python -m orchestration.asl_format" in capsys.readouterr().out
    assert path.read_text() == json.dumps(MACHINE)
    assert main([str(path)]) == 0
    assert path.read_text() == FORM
    assert main(["--check", str(path)]) == 0


def test_without_names_it_is_every_state_machine_of_the_project() -> None:
    assert [path.name for path in FILES] == ["failover.asl.json", "reprotect.asl.json"]
    assert main(["--check"]) == 0
