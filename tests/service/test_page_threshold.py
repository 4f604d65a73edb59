"""The threshold on the page: dragged, typed, and counted as the package counts."""

import json
import shlex
import shutil

import numpy as np
import pages
import pytest
import service_process
from pages import until
from service_process import KEPT

from inspection_tf import bundle, cli, decision, errors, plots, thresholds
from inspection_tf.editing import rethreshold
from inspection_tf.service import Models, ServiceSpec

CASCADE = KEPT / "schema_4_cascade"
COUNTS = """() => [...document.querySelectorAll(".threshold-panel td button")]
    .map((one) => Number(one.textContent))"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A bundle that carries the scores of its tune images."""
    root = tmp_path_factory.mktemp("tuned") / "bundle of a line"
    shutil.copytree(KEPT / "schema_4_segmentation", root)
    rethreshold.choose(root, thresholds.ThresholdSpec(method="f_beta"))
    return root


@pytest.fixture(scope="module")
def service(tuned):
    with service_process.serving(f"segmentation={tuned}", f"cascade={CASCADE}") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with pages.browsing() as found:
        yield found


@pytest.fixture
def page(browser, service):
    address = f"http://127.0.0.1:{service.port}/"
    with pages.opened(browser, address, may_say=["404"]) as found:
        found.wait_for_selector("#model option", state="attached")
        found.select_option("#model", "segmentation")
        found.click("#tab-threshold")
        yield found


def shown(page):
    """The counts of the table: defective and good, each OK, REVIEW and NG."""
    until(page, "document.querySelectorAll('.threshold-panel td button').length === 6")
    return page.evaluate(COUNTS)


def counted(root, threshold, review_from=None):
    found = bundle.chosen_threshold(root).scores.tradeoff(threshold, review_from)
    return [*found.defective.values(), *found.good.values()]


def test_it_begins_as_shipped_and_follows_what_is_typed(page, tuned):
    point, scores = (
        bundle.chosen_threshold(tuned).operating_point,
        bundle.chosen_threshold(tuned).scores,
    )
    assert shown(page) == counted(tuned, point.threshold)
    middle = float(np.mean(sorted(scores.scores)[3:5]))
    threshold = float(f"{middle:.6g}")
    page.get_by_label("NG from").first.fill(str(threshold))
    page.get_by_label("NG from").first.press("Enter")
    assert shown(page) == counted(tuned, threshold) != counted(tuned, point.threshold)
    page.get_by_label("REVIEW this far under it").fill("0.03")
    page.get_by_label("REVIEW this far under it").press("Enter")
    assert shown(page) == counted(tuned, threshold, threshold - 0.03)
    assert sum(shown(page)) == len(scores.ids)
    command = page.inner_text(".threshold-panel code").split("\n")[0]
    assert command == (f"inspection threshold '{tuned}' --set {threshold} --review-band 0.03")
    page.get_by_role("button", name="As shipped").click()
    assert shown(page) == counted(tuned, point.threshold)


def test_the_command_does_what_the_page_says(page, tuned, tmp_path):
    page.get_by_label("NG from").first.fill("0.12")
    page.get_by_label("NG from").first.press("Enter")
    said = shown(page)
    words = shlex.split(page.inner_text(".threshold-panel code"))
    copy = tmp_path / "bundle"
    shutil.copytree(tuned, copy)
    assert words[:3] == ["inspection", "threshold", str(tuned)]
    assert cli.main(["threshold", str(copy), *words[3:]]) == 0
    point = bundle.chosen_threshold(copy).operating_point
    assert (point.threshold, point.review_from) == (0.12, None)
    assert counted(tuned, point.threshold, point.review_from) == said


def test_it_is_dragged_and_moved_by_keyboard(page):
    page.get_by_label("REVIEW this far under it").fill("0.02")
    page.get_by_label("REVIEW this far under it").press("Enter")
    value = "document.querySelector('.tp-line.NG').getAttribute('aria-valuenow')"
    before = float(page.evaluate(value))
    box = page.locator(".tp-line.NG .tp-hold").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    dragged = float(page.evaluate(value))
    page.mouse.up()
    page.mouse.move(x + 90, y)
    assert float(page.evaluate(value)) == dragged > before
    page.locator(".tp-line.NG").focus()
    page.keyboard.press("ArrowRight")
    further = float(page.evaluate(value))
    assert further > dragged
    page.keyboard.press("PageDown")  # the line is drawn anew, and keeps the focus
    assert float(page.evaluate(value)) < further
    review = "document.querySelector('.tp-line.REVIEW').getAttribute('aria-valuenow')"
    page.locator(".tp-line.REVIEW").focus()
    page.keyboard.press("Home")
    assert float(page.evaluate(review)) < 1e-5
    page.keyboard.press("End")  # over the threshold there is no REVIEW
    assert page.locator(".tp-line.REVIEW").count() == 0


def test_a_cell_shows_its_images(page, tuned):
    scores = bundle.chosen_threshold(tuned).scores
    good = scores.is_defect.count(False)
    page.get_by_label("NG from").first.fill("0.9")
    page.get_by_label("NG from").first.press("Enter")
    button = page.locator(".threshold-panel tbody tr").nth(1).locator("button").first
    button.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert page.locator(".tp-images figure").count() == good
    # They are drawn: the bundle can draw them again.
    until(page, f"[...document.querySelectorAll('.tp-images img')].length === {good}")
    until(page, "document.querySelector('.tp-images img').naturalWidth === 64")
    names = [text.split(":")[0] for text in page.locator(".tp-images figcaption").all_inner_texts()]
    labels = dict(zip(scores.ids, scores.is_defect, strict=True))
    assert [labels[name] for name in names] == [False] * good
    button.press("Enter")
    assert page.locator(".tp-images figure").count() == 0


def test_a_bundle_without_scores_says_so(page):
    page.select_option("#model", "cascade")
    page.wait_for_selector("#no-panel:not([hidden])")
    assert "earlier version" in page.inner_text("#no-panel")
    assert page.locator("#panel").is_hidden()


def test_it_is_accessible(page):
    sync = pytest.importorskip("axe_core_python.sync_playwright")
    shown(page)
    page.get_by_label("REVIEW this far under it").fill("0.02")
    page.get_by_label("REVIEW this far under it").press("Enter")
    assert [one["id"] for one in sync.Axe().run(page)["violations"]] == []


RENDER = """async ([tuned, pictures]) => {
    const widget = (await import("./page/threshold_panel.mjs")).default;
    const el = document.getElementById("panel");
    widget.render({ model: { get: (name) => ({ tuned, pictures })[name] }, el });
}"""


def test_jupyter_shows_the_same(page, tuned):
    contents = plots.panel_contents(bundle.chosen_threshold(tuned))
    contents["threshold"] = 0.9
    page.evaluate(RENDER, [contents, {"0": "data:image/png;base64,"}])
    assert page.locator(".threshold-panel").count() == 1
    assert shown(page) == counted(tuned, 0.9)
    page.locator(".threshold-panel tbody tr").nth(1).locator("button").first.click()
    until(page, "document.querySelectorAll('.tp-images img').length === 1")


def test_golden_samples_are_checked_on_request(page):
    page.click("#tab-about")
    page.click("#check")
    until(page, "document.getElementById('checked').textContent.startsWith('Passed: 4 golden')")


def drawn(seed, *, images, parts, escapes="any"):
    """Scores as they come: ties, scores that are not finite, outcomes that are not the score's."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(0.4, 0.4, images), 2)
    ids = tuple(f"{number}" for number in range(images))
    bounds = [("OK", "OK"), ("NG", "NG"), ("REVIEW", "NG"), ("REVIEW", "REVIEW")]
    return decision.TuneScores(
        ids=ids,
        is_defect=tuple(bool(one) for one in rng.random(images) < score),
        scores=tuple(None if rng.random() < 0.02 else float(one) for one in score),
        parts=None
        if parts is None
        else tuple(str(one) for one in rng.integers(parts, size=images)),
        part_escapes=escapes,
        further_thresholds=seed % 3,
        bounds={ids[place]: bounds[place % 4] for place in rng.integers(images, size=images // 8)},
    )


class Toy:
    root = "bundle"
    operating_point = thresholds.OperatingPoint(threshold=0.5)

    def __init__(self, scores):
        self.scores = scores


BOTH = """async ([tuned, asked]) => {
    const panel = await import("./page/threshold_panel.mjs");
    return asked.map(([threshold, review, confidence]) =>
        panel.tradeoff(tuned, threshold, review, confidence));
}"""


def test_the_page_counts_and_bounds_as_the_package_does(page):
    kinds = [
        drawn(1, images=40, parts=None),
        drawn(2, images=300, parts=90),
        drawn(3, images=300, parts=90, escapes="each"),
        drawn(4, images=3000, parts=None),
        drawn(5, images=1, parts=None),
    ]
    rng = np.random.default_rng(0)
    for scores in kinds:
        lines = np.sort(np.round(rng.random((40, 2)), 2), axis=1)  # at scores, which are rounded
        asked = [
            (float(high), None if place % 3 == 0 else float(low), (0.8, 0.95, 0.99)[place % 3])
            for place, (low, high) in enumerate(lines)
        ]
        found = page.evaluate(BOTH, [plots.panel_contents(Toy(scores)), asked])
        for (threshold, review, confidence), one in zip(asked, found, strict=True):
            expected = scores.tradeoff(threshold, review, confidence=confidence).to_dict()
            bounds = [name for name in expected if "at_most" in expected[name]]
            for name in bounds:
                at_most = expected[name].pop("at_most")
                assert one[name].pop("at_most") == pytest.approx(at_most, abs=1e-9, rel=1e-9)
            assert len(bounds) == 3
            assert json.dumps(one) == json.dumps(expected)


def test_a_band_that_moves_leaves_the_threshold_as_it_is(page, tuned):
    point = bundle.chosen_threshold(tuned).operating_point
    said = "document.querySelector('.tp-line.NG').getAttribute('aria-valuenow')"
    page.get_by_label("REVIEW this far under it").fill("0.01")
    page.get_by_label("REVIEW this far under it").press("Enter")
    assert float(page.evaluate(said)) == point.threshold
    page.get_by_label("REVIEW this far under it").fill("1e-20")
    page.get_by_label("REVIEW this far under it").press("Enter")
    assert page.locator(".tp-line.REVIEW").count() == 0
    assert page.inner_text(".threshold-panel code").endswith("--review-band 0")
    page.get_by_label("NG from").first.fill("7")
    page.get_by_label("NG from").first.press("Enter")
    assert float(page.evaluate(said)) == point.threshold


def test_another_pixel_threshold_than_that_of_the_scores_is_told(page, tuned):
    scores = bundle.chosen_threshold(tuned).scores
    assert scores.mask_range[1] < 0.5  # of the export
    for threshold, is_told in (
        ("0.9", scores.mask_threshold != scores.mask_range[1]),
        ("0.02", True),
    ):
        page.get_by_label("NG from").first.fill(threshold)
        page.get_by_label("NG from").first.press("Enter")
        assert ("The command makes" in page.inner_text(".threshold-panel")) == is_told


def test_names_of_models_that_no_address_can_hold_are_refused(tuned):
    with pytest.raises(errors.ConfigError, match="must have none of"):
        Models([f"a/b={tuned}"], ServiceSpec(engine="onnx"))
