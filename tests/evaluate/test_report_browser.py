"""Reports and studies in a real browser: charts drawn, nothing fetched, fit for phones, dark mode, print."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_pages import ablation_row, invented, predictions_of_two, study_of_tokens
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from evaluate.protocols.pages import ablation_page
from evaluate.report.compared import comparison_page
from evaluate.report.page import write_report
from evaluate.report.study import write_study
from evaluate.results.agreement import LabelSource
from evaluate.results.comparison import compare

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
def pages(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, Path]:
    """A run's report, a comparison of two models, an ablation."""
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / f"{name}.html" for name in ("report", "comparison", "ablation")}
    write_report(files["report"], invented())
    two = predictions_of_two(folder)
    write_study(
        files["comparison"],
        comparison_page(compare([*two.values()], LabelSource(), names=[*two]), "good · bad"),
    )
    rows = [ablation_row(f"{n} tokens", n, 0.75 + n / 1000) for n in (4, 16, 64)]
    write_study(files["ablation"], ablation_page(study_of_tokens(root), rows))
    return files


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with an empty page."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.add_experimental_option("browserStartupTimeout", _SECONDS * 1000)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, Service(driver))
    try:
        chrome.get("about:blank")
        yield chrome
    finally:
        chrome.quit()


def show(browser: webdriver.Chrome, page: Path, width: int = 1200, scheme: str = "light") -> None:
    """Open it anew, and wait for its charts; logs begin here."""
    emulate(browser, width, scheme)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page.as_uri())
    WebDriverWait(browser, _SECONDS).until(
        lambda d: d.execute_script("return document.documentElement.dataset.charts")
    )


def emulate(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize(("name", "charts"), [("report", 5), ("comparison", 3), ("ablation", 1)])
def test_every_chart_is_drawn_and_described_without_a_complaint_or_a_request(
    browser: webdriver.Chrome, pages: dict[str, Path], name: str, charts: int
) -> None:
    show(browser, pages[name])
    assert browser.execute_script("return document.documentElement.dataset.charts") == "drawn"
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('[data-chart]')].map("
        "e => [e.dataset.chart, e.getAttribute('aria-label'), e.getAttribute('role')])"
    )
    assert len(drawn) == charts
    assert all(label and role == "graphics-document" for _, label, role in drawn)
    assert browser.get_log("browser") == []
    events: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [Path(url).name for url in asked if not url.startswith(_INSIDE)] == [pages[name].name]


def test_histogram_has_bars(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["report"])
    bars = browser.execute_script(
        "return [...document.querySelectorAll('#errors .mark-rect path')].map(e => e.getBBox().height)"
    )
    assert max(bars) > 50


@pytest.mark.parametrize(
    ("name", "chart", "video"), [("report", "scatter", "clip-"), ("comparison", "scores-m0", "v&")]
)
def test_pointing_at_a_mark_shows_its_video(
    browser: webdriver.Chrome, pages: dict[str, Path], name: str, chart: str, video: str
) -> None:
    show(browser, pages[name])
    place = browser.execute_script(
        f"const mark = [...document.querySelectorAll('#{chart} .mark-symbol.role-mark path')].at(-1);"
        "mark.scrollIntoView({block: 'center'}); const box = mark.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    WebDriverWait(browser, 30).until(
        lambda d: video in d.execute_script(f"return document.querySelector('#{chart} .chosen').textContent")
    )
    assert video in browser.execute_script(
        "return document.querySelector('#vg-tooltip-element.visible').textContent"
    )


@pytest.mark.parametrize(
    ("name", "scheme", "texts"),
    [
        ("report", "light", 100),
        ("report", "dark", 100),
        ("comparison", "light", 60),
        pytest.param("comparison", "dark", 60, marks=pytest.mark.slow),
        pytest.param("ablation", "light", 20, marks=pytest.mark.slow),
        pytest.param("ablation", "dark", 20, marks=pytest.mark.slow),
    ],
)
def test_text_stands_out_and_a_phone_needs_no_scrolling_sideways(
    browser: webdriver.Chrome, pages: dict[str, Path], name: str, scheme: str, texts: int
) -> None:
    show(browser, pages[name], 390, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    contrasts = browser.execute_script(_CONTRASTS)
    assert len(contrasts) > texts
    assert [entry for entry in contrasts if entry[0] < 4.5] == []


def test_a_report_is_printed_on_light_paper(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["report"], scheme="dark")
    settings = {"preferCSSPageSize": True, "printBackground": True}
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", settings)["data"])
    assert printed.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colour in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
