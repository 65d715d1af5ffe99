"""The report in a real browser: its charts are drawn, nothing is fetched, phones and dark mode are served."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_pages import invented
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from evaluate.report.page import write_report

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SECONDS = 240
_INSIDE = ("data:", "chrome:", "about:")
"""Addresses of the page itself and of the browser's own first page: no network, no files."""
_CONTRASTS = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = channels(getComputedStyle(element).backgroundColor);
    if (getComputedStyle(element).backgroundColor.startsWith("rgb") && (colour[3] ?? 1) === 1) return colour;
  }
  return [255, 255, 255];
};
const own = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
return [...document.querySelectorAll("header *, main *")]
  .filter((e) => own(e) && e.checkVisibility() && (!e.closest("svg") || e.tagName === "text"))
  .map((e) => {
    const style = getComputedStyle(e);
    const pair = [channels(e.tagName === "text" ? style.fill : style.color), behind(e)].map(light);
    return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), e.textContent.slice(0, 40)];
  });
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with the report open."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium chromium-driver")
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", invented())
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("browserStartupTimeout", _SECONDS * 1000)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, Service(driver))
    try:
        chrome.get("about:blank")
        chrome.get_log("performance")  # the browser's own first page
        chrome.get((folder / "report.html").as_uri())
        WebDriverWait(chrome, _SECONDS).until(
            lambda d: d.execute_script("return document.documentElement.dataset.charts")
        )
        yield chrome
    finally:
        chrome.quit()


def emulate(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_every_chart_is_drawn_and_described_without_a_complaint_or_a_request(
    browser: webdriver.Chrome,
) -> None:
    assert browser.execute_script("return document.documentElement.dataset.charts") == "drawn"
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('[data-chart]')].map("
        "e => [e.dataset.chart, e.getAttribute('aria-label'), e.getAttribute('role')])"
    )
    assert len(drawn) == 5
    assert all(label and role == "graphics-document" for _, label, role in drawn)
    assert browser.get_log("browser") == []
    events: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [Path(url).name for url in asked if not url.startswith(_INSIDE)] == ["report.html"]


def test_histogram_has_bars(browser: webdriver.Chrome) -> None:
    bars = browser.execute_script(
        "return [...document.querySelectorAll('#errors .mark-rect path')].map(e => e.getBBox().height)"
    )
    assert max(bars) > 50


def test_pointing_at_a_mark_shows_its_video(browser: webdriver.Chrome) -> None:
    emulate(browser, 1200, "light")
    place = browser.execute_script(
        "const mark = [...document.querySelectorAll('#scatter .mark-symbol.role-mark path')].at(-1);"
        "mark.scrollIntoView({block: 'center'}); const box = mark.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    WebDriverWait(browser, 30).until(
        lambda d: "clip-" in d.execute_script("return document.querySelector('#scatter .chosen').textContent")
    )
    assert "clip-" in browser.execute_script(
        "return document.querySelector('#vg-tooltip-element.visible').textContent"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_a_phone_needs_no_scrolling_sideways(
    browser: webdriver.Chrome, scheme: str
) -> None:
    emulate(browser, 390, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    contrasts = browser.execute_script(_CONTRASTS)
    assert len(contrasts) > 100
    assert [entry for entry in contrasts if entry[0] < 4.5] == []
