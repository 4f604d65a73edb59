"""A person corrects a result on the page, in a real browser."""

import json
from pathlib import Path

import pages
import pytest
import service_process
from pages import until
from service_process import KEPT, eventually

from inspection_tf import images

CASCADE = KEPT / "schema_4_cascade"
SEGMENTATION = KEPT / "schema_4_segmentation"


@pytest.fixture(scope="module")
def browser():
    with pages.browsing() as found:
        yield found


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def service(labels):
    with service_process.serving(f"segmentation={SEGMENTATION}", labels=labels) as found:
        yield found


def opened(browser, service):
    """Open the page on a phone; returns it and what goes wrong on it."""
    page, wrong = browser.new_page(viewport={"width": 360, "height": 740}), []
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: wrong.append(str(one)))
    page.goto(f"http://127.0.0.1:{service.port}/")
    page.wait_for_selector("#model option", state="attached")
    return page, wrong


@pytest.fixture
def page(browser, service):
    found, wrong = opened(browser, service)
    yield found
    width = found.evaluate("document.documentElement.scrollWidth")
    found.close()
    assert [one for one in wrong if "409" not in one and "404" not in one] == []
    assert width <= 360


def inspect(page, file):
    page.set_input_files("#file", str(file))
    until(page, "document.getElementById('state').textContent === ''")
    page.wait_for_selector("#verdict:not([hidden])")


def picture(number=0):
    return sorted((SEGMENTATION / "golden").glob("*.png"))[number]


def told(page):
    return page.inner_text("#corrected")


def lines(folder):
    path = Path(folder) / "labels.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_result_is_corrected_by_keyboard(page, labels):
    inspect(page, picture())
    page.wait_for_selector("#labels:not([hidden])")
    page.focus("#correction input[value=OK]")
    page.keyboard.press("ArrowDown")  # NG
    page.keyboard.press("ArrowDown")  # region
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "note"
    page.keyboard.type("the scratch is higher ü")
    before = len(lines(labels))
    page.keyboard.press("Enter")
    until(page, "document.getElementById('corrected').textContent.startsWith('Kept')")
    assert told(page) == "Kept as the region is wrong."
    assert page.get_attribute("#corrected", "role") == "status"
    *_, last = found = lines(labels)
    assert len(found) == before + 1
    assert (last["label"], last["note"]) == ("region", "the scratch is higher ü")
    assert last["image_sha256"] == images.digest(images.read(picture()))
    assert (labels / last["image"]).is_file()


def test_nothing_is_sent_without_an_answer_and_another_image_asks_again(page, labels):
    inspect(page, picture())
    page.wait_for_selector("#labels:not([hidden])")
    before = len(lines(labels))
    page.click("#correction button")  # the browser asks for one of the three
    assert told(page) == ""
    assert len(lines(labels)) == before
    page.check("#correction input[value=OK]")
    page.click("#correction button")
    until(page, "document.getElementById('corrected').textContent.startsWith('Kept')")
    inspect(page, picture(1))
    page.wait_for_selector("#labels:not([hidden])")
    assert told(page) == ""
    assert page.locator("#correction input:checked").count() == 0
    page.check("#correction input[value=NG]")
    page.click("#correction button")
    until(page, "document.getElementById('corrected').textContent.startsWith('Kept')")
    assert [one["label"] for one in lines(labels)[-2:]] == ["OK", "NG"]


def test_nothing_is_told_as_kept_that_is_not(page, labels):
    inspect(page, picture())
    page.wait_for_selector("#labels:not([hidden])")
    refusal = {"status": 409, "content_type": "application/json", "body": '{"error": "No room."}'}
    page.route("**/label", lambda route: route.fulfill(**refusal))
    before = len(lines(labels))
    page.check("#correction input[value=OK]")
    page.click("#correction button")
    eventually(lambda: told(page).startswith("Not kept"))
    assert told(page) == "Not kept. No room."
    assert len(lines(labels)) == before


@pytest.mark.parametrize("is_shown", [False, True])
def test_a_correction_that_is_refused_late_is_told_under_the_next_verdict(page, is_shown):
    inspect(page, picture())
    page.wait_for_selector("#labels:not([hidden])")
    corrections, inspections = [], []
    page.route("**/label", lambda route: corrections.append(route))
    page.check("#correction input[value=OK]")
    page.click("#correction button")
    eventually(lambda: page.evaluate("1") and corrections)
    assert told(page) == "Sending …"
    page.route("**/inspect?*", lambda route: inspections.append(route))
    page.set_input_files("#file", str(picture(1)))
    eventually(lambda: page.evaluate("1") and inspections)
    refusal = {"status": 409, "content_type": "application/json", "body": '{"error": "No room."}'}
    if is_shown:
        inspections[0].continue_()
        page.wait_for_selector("#labels:not([hidden])")
    corrections[0].fulfill(**refusal)
    if not is_shown:
        page.wait_for_timeout(200)
        inspections[0].continue_()
    until(page, "document.getElementById('corrected').textContent.startsWith('The correction of')")
    assert told(page) == "The correction of an earlier result was not kept. No room."


def test_a_service_that_keeps_none_says_so(browser):
    with service_process.serving(f"cascade={CASCADE}") as service:
        page, wrong = opened(browser, service)
        inspect(page, sorted((CASCADE / "golden").glob("*.png"))[0])
        page.wait_for_selector("#uncorrectable:not([hidden])")
        assert page.inner_text("#uncorrectable").startswith("Corrections are not kept here.")
        assert page.locator("#labels").is_hidden()
        page.close()
        assert wrong == []


def test_the_form_is_accessible(page):
    sync = pytest.importorskip("axe_core_python.sync_playwright")
    inspect(page, picture())
    page.wait_for_selector("#labels:not([hidden])")
    found = sync.Axe().run(page)
    assert [one["id"] for one in found["violations"]] == []
