"""A real Chromium without a window, and what it saw: console, requests, the tree of a page."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
)


def skip_without_browser() -> tuple[str, str]:
    """The paths of Chromium and of its driver; skips the test where one is missing."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with chromedriver here: apt-get install chromium chromium-driver")
    pytest.importorskip("selenium", reason="the extra `pages` is not installed")
    return browser, driver


class Browser:
    """A browser with one page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, address: str = "") -> None:
        """Open a file, from the disk, with what follows `#` in its address."""
        # The same file with another fragment would not be loaded again.
        self.driver.get("about:blank")
        self.driver.get(f"{path.resolve().as_uri()}{f'#{address}' if address else ''}")

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> None:
        """Wait until the body of a function gives what is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10).until(lambda _: self.run(script))

    def send(self, command: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol."""
        return dict(self.driver.execute_cdp_cmd(command, parameters) or {})

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the page in pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str = "light", media: str = "") -> None:
        """Set what the system prefers: `light` or `dark`; and the medium, as `print`."""
        self.send(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def fragment(self) -> dict[str, str]:
        """What the address says behind `#`."""
        return dict(self.run("return Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"))

    def list_problems(self) -> list[str]:
        """What the console has since the last call: errors of scripts and of the policy, and warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def list_requests(self) -> list[str]:
        """The addresses that were requested since the last call, without those that the page's policy kept back."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        failed = [event["params"] for event in events if event["method"] == "Network.loadingFailed"]
        kept_back = {each["requestId"] for each in failed if each.get("blockedReason") == "csp"}
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent if each["requestId"] not in kept_back]

    def print_to_pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    def take_picture(self, path: Path) -> None:
        """Write a picture of the whole page, for a person."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        made = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(made["data"]))


@contextmanager
def start_browser(downloads: Path, scripts: bool = True) -> Iterator[Browser]:
    """Start a browser that stores downloads in a folder."""
    browser, driver_path = skip_without_browser()
    # Without these, the library may look for drivers, and count its users, on the network.
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={downloads / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        made = Browser(driver)
        made.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        made.send("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        made.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        yield made
    finally:
        driver.quit()
