"""The live page in a real browser, on a real lab: a person kills a region and sees the other one write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestration.settings import PROJECT_ROOT
from tests.chromium import chromium

WRITER, STANDBY = "us-east-1", "us-west-2"
# As fast as two busy cores keep up with the clock (tests/drills/test_drill.py).
SPEED, PROMOTION_S = 3, 6
# Ends a wait that would otherwise last for ever (real seconds).
PATIENCE_S = 120


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page of a lab of its own, which has to be gone without a trace after Ctrl-C."""
    options = ["--port", "0", "--speed", str(SPEED), "--aurora-promotion", str(PROMOTION_S)]
    lab = subprocess.Popen(
        [sys.executable, "-m", "drills.live", *options],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert lab.stdout is not None
    said = iter(lab.stdout.readline, "")
    found = next((match[0] for line in said if (match := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
    assert found, lab.communicate()[1]
    # What it prints has to go somewhere, or it would wait for it.
    threading.Thread(target=lambda: [None for _ in said], daemon=True).start()
    yield found
    lab.send_signal(signal.SIGINT)
    assert lab.wait(PATIENCE_S) == 0
    assert lab.stderr is not None
    assert lab.stderr.read().strip() == "Stopped. Everything that the lab started is gone."


@pytest.fixture(scope="module")
def browser(optional_tool: Callable[..., Any]) -> Iterator[Any]:
    """A headless Chromium."""
    with chromium(optional_tool, "shows the live page", 1440, 1000) as opened:
        yield opened


class Page:
    """The page as a person reads it, and uses it with the keyboard."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    def read(self, selector: str) -> str:
        return str(self._browser.execute_script("return document.querySelector(arguments[0]).textContent", selector))

    def region(self, name: str) -> str:
        return " ".join(self.read(f"#region-{name}").split())

    def press(self, label: str) -> None:
        """Goes to the button and presses Enter."""
        buttons = self._browser.find_elements("tag name", "button")
        next(button for button in buttons if button.text == label).send_keys("\n")

    def wait(self, holds: Callable[[], object]) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self._browser, PATIENCE_S, 0.2).until(lambda _: holds(), self.read("main"))

    def has_been(self, state: str) -> bool:
        return bool(self._browser.find_elements("css selector", f'.state.visited[data-state="{state}"]'))


def test_who_kills_a_region_sees_the_new_writer_and_the_lab_goes_on(browser: Any, address: str) -> None:
    browser.get(address)
    page = Page(browser)
    page.wait(lambda: page.read("#lacking") == "all is well")
    page.wait(lambda: page.read("#headline").startswith(f"If {WRITER} died now: automatic failover"))
    assert f"{WRITER} writer" in page.region(WRITER)

    page.press("KILL")
    page.wait(lambda: "region dead, database down" in page.region(WRITER))
    page.wait(lambda: f"{STANDBY} writer" in page.region(STANDBY) and page.has_been("Recovered"))
    page.wait(lambda: re.match(r"back after \d+\.\d s$", page.read("#silence")))
    assert re.search(r"[1-9]\d* commits/s", page.region(STANDBY))
    assert "Failover done: us-west-2 is the writer" in page.read("#messages")

    page.press("status")  # the program itself, on the same lab
    page.wait(lambda: "Writer       us-west-2, epoch 2" in page.read("#answer"))
    page.press("MEND")
    page.wait(lambda: "old writer" in page.region(WRITER) and "region up" in page.region(WRITER))
    page.press("start reprotect")
    page.wait(lambda: "Started run reprotect-" in page.read("#answer"))
    page.wait(lambda: page.has_been("WaitForOldRegion"))

    assert [entry["message"] for entry in browser.get_log("browser")] == []
    assert not browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
