"""A headless Chromium that looks at pages as people do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def chromium(optional_tool: Callable[..., Any], shows: str, width: int, height: int) -> Iterator[Any]:
    """Opens one whose window has that many CSS pixels; ``shows`` says what for, where it is missing."""
    browser = optional_tool("chromium", shutil.which("chromium"), shows)
    driver = optional_tool("chromedriver", shutil.which("chromedriver"), "drives Chromium (Debian: chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)  # a window is never as narrow as a phone
        yield opened
    finally:
        opened.quit()


def sticks_out(browser: Any) -> str:
    """Returns what is wider than the window, or cut off at the side; empty where nothing is."""
    return str(
        browser.execute_script(
            "const wide = [...document.querySelectorAll('body *')].filter(each => !each.closest('.picture')"
            " && each.getBoundingClientRect().right > innerWidth + 1);"
            "return wide.map(each => each.tagName + ' ' + each.textContent.trim().slice(0, 40)).join('; ')"
        )
    )
