"""The page in a real browser: what a person sees and does."""

from pathlib import Path

import numpy as np
import pages
import pytest
import service_process
from pages import until
from service_process import KEPT

from inspection_tf import images

PAGE = Path(__file__).parents[2] / "inspection_tf" / "service" / "page"
SEGMENTATION = KEPT / "schema_4_segmentation"
CASCADE = KEPT / "schema_4_cascade"
POSE = KEPT / "schema_5_pose"


@pytest.fixture(scope="module")
def service():
    words = [f"cascade={CASCADE}", f"pose={POSE}", f"segmentation={SEGMENTATION}"]
    with service_process.serving(*words) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with pages.browsing() as found:
        yield found


@pytest.fixture
def page(browser, service):
    address = f"http://127.0.0.1:{service.port}/"
    with pages.opened(browser, address, may_say=["422"]) as found:  # the browser logs refusals
        found.wait_for_selector("#model option", state="attached")
        yield found


def choose(page, root, *, outcome):
    """Give the page the golden image of an outcome; returns the verdict as it is shown."""
    for file in sorted((root / "golden").glob("*.png")):
        page.set_input_files("#file", str(file))
        until(page, "document.getElementById('state').textContent === ''")
        page.wait_for_selector("#verdict:not([hidden])")
        if page.inner_text("#outcome") == outcome:
            return file
    raise AssertionError(f"no image is {outcome}")


def test_an_image_is_chosen_and_its_verdict_read(page):
    page.select_option("#model", "segmentation")
    choose(page, SEGMENTATION, outcome="NG")
    assert page.locator("#outcome svg rect").count() == 1  # a shape, not a colour alone
    assert page.locator("#reasons li").count() >= 1
    assert "threshold" in page.inner_text("#numbers")
    until(page, "document.getElementById('base').naturalWidth === 64")
    until(page, "document.getElementById('top').naturalWidth === 64")
    row = page.locator("#found tbody tr").first
    row.locator("td").first.click()
    assert page.locator("#marks rect").count() == 1
    assert row.locator("button").get_attribute("aria-pressed") == "true"
    row.locator("button").click()
    assert page.locator("#marks rect").count() == 0
    page.select_option("#picture", "mask")
    page.fill("#opacity", "40")
    assert page.evaluate("document.getElementById('top').style.opacity") == "0.4"
    before = page.locator("#stack").bounding_box()["width"]
    page.fill("#zoom", "400")
    assert page.locator("#stack").bounding_box()["width"] == pytest.approx(4 * before)
    page.select_option("#model", "cascade")
    choose(page, CASCADE, outcome="OK")
    assert page.locator("#outcome svg circle").count() == 1


def test_where_a_part_differs_is_marked(page):
    page.select_option("#model", "pose")
    choose(page, POSE, outcome="NG")
    page.locator("#found tbody button").first.press("Enter")
    assert page.locator("#marks circle").count() == 1


def test_what_cannot_be_read_is_no_decision(page, tmp_path):
    spoilt = tmp_path / "spoilt.png"
    spoilt.write_bytes(b"no picture")
    page.set_input_files("#file", str(spoilt))
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("No decision.")
    assert page.locator("#verdict").is_hidden()


GIVE = """async ([data, type]) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
    const event = type === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer })
        : new DragEvent("drop", { dataTransfer: transfer, cancelable: true, bubbles: true });
    (type === "paste" ? document : document.getElementById("drop")).dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_an_image_is_pasted_or_dropped(page, kind):
    import base64

    page.select_option("#model", "cascade")
    file = sorted((CASCADE / "golden").glob("*.png"))[0]
    page.evaluate(GIVE, [base64.b64encode(file.read_bytes()).decode(), kind])
    page.wait_for_selector("#verdict:not([hidden])")
    assert page.inner_text("#outcome") in ("OK", "NG", "REVIEW")


def test_the_camera_takes_a_picture(page):
    page.select_option("#model", "cascade")
    page.click("#camera")
    page.wait_for_selector("#live:not([hidden])")
    until(page, "document.getElementById('video').videoWidth > 0")
    page.click("#shoot")
    # It is larger than the bundle takes, or decided: both are answers.
    page.wait_for_selector("#verdict:not([hidden]), #problem:not([hidden])")
    page.click("#stop")
    assert page.locator("#live").is_hidden()


def test_views_are_reached_by_keyboard_and_history_shows_a_result_again(page):
    page.select_option("#model", "cascade")
    choose(page, CASCADE, outcome="NG")
    page.focus("#tab-inspect")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-history"
    page.wait_for_selector("#results tr")
    assert page.locator("#scores svg").count() == page.locator("#scores line").count() >= 1
    page.locator("#results button.NG").first.click()
    page.wait_for_selector("#verdict:not([hidden])")
    assert page.inner_text("#outcome") == "NG"
    page.focus("#tab-inspect")
    page.keyboard.press("End")
    page.wait_for_selector("#numbers-of-health dd")
    assert "yes" in page.inner_text("#numbers-of-health")
    page.keyboard.press("ArrowLeft")
    until(page, "document.getElementById('card').textContent.length > 100")
    card = (CASCADE / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert page.evaluate("document.getElementById('card').textContent") == card


@pytest.mark.parametrize("view", ["inspect", "history", "about", "health"])
def test_it_is_accessible(page, view):
    sync = pytest.importorskip("axe_core_python.sync_playwright")
    page.select_option("#model", "cascade")
    choose(page, CASCADE, outcome="NG")
    page.click(f"#tab-{view}")
    page.wait_for_selector(f"#{view}:not([hidden])")
    page.wait_for_timeout(300)
    found = sync.Axe().run(page)
    assert [one["id"] for one in found["violations"]] == []


def test_a_token_is_asked_for(browser, tmp_path):
    file = tmp_path / "token"
    file.write_text("abc\n")
    with service_process.serving(f"cascade={CASCADE}", token_file=file) as service:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{service.port}/")
        page.wait_for_selector("#token:not([hidden])")
        page.fill("#word", "abc")
        page.press("#word", "Enter")
        page.wait_for_selector("#model option", state="attached")
        assert page.locator("#token").is_hidden()
        choose(page, CASCADE, outcome="NG")
        until(page, "document.getElementById('base').naturalWidth === 64")
        page.close()


def test_the_page_is_small_and_loads_nothing_from_elsewhere(service):
    files = [*PAGE.iterdir(), *PAGE.parents[1].joinpath("plots").glob("threshold_panel.[mc]*s")]
    assert len(files) == 5
    assert sum(file.stat().st_size for file in files) < 100_000
    for file in files:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
    status, headers, _ = service.ask("GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert service.ask("GET", "/page/inspection.mjs")[1]["content-type"].startswith("text/java")
    assert service.ask("GET", "/page/none")[0] == 404
    assert service.ask("GET", "/page/..%2Fspec.py")[0] == 404


def test_status_and_history_tell_what_was_decided():
    with service_process.serving(f"cascade={CASCADE}", keep_mib=0.2) as service:
        files = [file.read_bytes() for file in sorted((CASCADE / "golden").glob("*.png"))]
        outcomes = [service.json("POST", "/inspect", one)["outcome"] for one in files]
        ok = files[outcomes.index("OK")]
        for _ in range(12):
            service.json("POST", "/inspect", ok)
        service.ask("POST", "/inspect", b"no picture")
        told = service.json("GET", "/status")
        assert sum(told["models"][0]["counts"].values()) == len(files) + 12
        assert told["refused"] == {"image": 1}
        quantiles = told["latency_ms"]
        assert 0 < quantiles["p50"] <= quantiles["p95"] <= quantiles["p99"]
        listed = service.json("GET", "/results")["results"]
        # OK was dropped first: what was NG is still there.
        assert [one["outcome"] for one in listed].count("NG") == outcomes.count("NG") == 1
        assert len(listed) < len(files) + 12
        assert listed[0]["time"] >= listed[-1]["time"]
        again = service.json("GET", f"/results/{listed[0]['id']}")
        assert again["outcome"] == listed[0]["outcome"]
        picture = service.ask("GET", again["links"]["image"])[2]
        np.testing.assert_array_equal(images.read(picture), images.read(ok))
        assert service.json("GET", "/results/none", status=404)["error"]
