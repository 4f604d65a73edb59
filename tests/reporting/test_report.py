"""A run or a bundle as one file: what stands in it, and that a browser shows it offline."""

import json
import re
import shutil

import pages
import pytest
from pages import until

from inspection_tf import bundle, cli, errors, evaluation, plots, reporting, tasks
from inspection_tf.reporting import rows

COUNTS = """() => [...document.querySelectorAll(".threshold-panel td button")]
    .map((one) => Number(one.textContent))"""
HISTORY = "epoch,loss,val_loss\n1,0.9,0.95\n2,0.5,0.6\n"


@pytest.fixture(scope="module")
def run(toy_shipped, toy_bundle, tmp_path_factory):
    """A run folder as a recipe leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "a run <b>"
    shutil.copytree(toy_bundle, folder / "bundle")
    shipped, path = toy_shipped.shipped, folder / "evaluation"
    evaluation.write(path, shipped.rows, shipped.report)
    plots.write_evaluation(
        path,
        shipped.rows,
        task=tasks.get(shipped.manifest.task),
        threshold=shipped.operating_point.threshold,
        show=shipped.show,
        report=shipped.report,
    )
    (folder / "segmenter").mkdir()
    (folder / "segmenter" / "history.csv").write_text(HISTORY)
    return folder


@pytest.fixture(scope="module")
def report(run):
    assert cli.main(["report", str(run)]) == 0
    return run / "report.html"


@pytest.fixture(scope="module")
def browser():
    with pages.browsing() as found:
        yield found


@pytest.fixture
def page(browser, report):
    with pages.opened(browser, report.as_uri()) as found:
        until(found, "document.querySelectorAll('.threshold-panel td button').length === 6")
        yield found


def test_it_says_what_the_bundle_is_and_how_it_did(report, toy_shipped):
    text, manifest = report.read_text(encoding="utf-8"), toy_shipped.shipped.manifest
    assert manifest.model_id in text
    for name, one in toy_shipped.shipped.report["metrics"].items():
        assert name in text
        if one["low"] is not None:
            assert f"{one['low']:.4g} to {one['high']:.4g}" in text
    assert "None of them chose the threshold." in text
    assert "Learning curves: segmenter" in text
    assert "None among" in text or "Escapes" in text
    for section in ("what", "metrics", "threshold", "errors", "curves", "data", "origin"):
        assert f'id="{section}"' in text
        assert f'href="#{section}"' in text
    assert "a run <b>" not in text  # names are text, not HTML
    assert report.stat().st_size < 6_000_000


def test_nothing_in_it_is_from_elsewhere(report):
    text = report.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    known = ("http://www.w3.org/2000/svg", "data:")
    linked = re.findall(r'(?:src|href)="([^"#]+)"', text) + re.findall(r"https?://[^\s\"'<]+", text)
    assert [one for one in linked if not one.startswith(known)] == []


def test_a_browser_shows_it_and_the_threshold_can_be_moved(page, run):
    tuned = bundle.chosen_threshold(run / "bundle")

    def counted(threshold):
        found = tuned.scores.tradeoff(threshold)
        return [*found.defective.values(), *found.good.values()]

    assert page.evaluate(COUNTS) == counted(tuned.operating_point.threshold)
    page.get_by_label("NG from").first.fill("0.00001")
    page.get_by_label("NG from").first.press("Enter")
    assert page.evaluate(COUNTS) == counted(0.00001) != counted(tuned.operating_point.threshold)
    page.locator(".threshold-panel tbody button").nth(5).click()
    until(page, "document.querySelectorAll('.tp-images img').length > 0")
    until(page, "document.querySelector('.tp-images img').naturalWidth > 0")
    broken = "[...document.images].filter((one) => !one.naturalWidth).length"
    assert page.evaluate(broken) == 0
    sync = pytest.importorskip("axe_core_python.sync_playwright")
    assert [one["id"] for one in sync.Axe().run(page)["violations"]] == []


def test_it_prints_all_that_is_folded(page):
    assert page.locator("details[open]").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details[open]").count() == 2
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 2


def test_of_a_bundle_alone_there_is_what_it_carries(toy_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", str(toy_bundle)]) == 0
    assert capsys.readouterr().out == "report.html\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="panel"' in text
    assert 'id="errors"' not in text
    assert 'id="curves"' not in text


def test_a_bundle_without_scores_has_a_report_all_the_same(tmp_path):
    from service_process import KEPT

    out = tmp_path / "new folder" / "r.html"
    assert cli.main(["report", str(KEPT / "schema_4_fields"), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "kept no scores" in text
    assert 'id="panel"' not in text


def test_an_earlier_report_is_replaced_and_nothing_else(toy_bundle, tmp_path, capsys):
    out = tmp_path / "report.html"
    out.write_text("mine")
    assert cli.main(["report", str(toy_bundle), "--out", str(out)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert cli.main(["report", str(toy_bundle), "--out", str(tmp_path)]) == 2
    out.unlink()
    for _ in range(2):
        assert cli.main(["report", str(toy_bundle), "--out", str(out)]) == 0


def test_where_there_is_neither_a_bundle_nor_a_run_nothing_is_written(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "needs a bundle, or a run that has written one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_gone_are_said_to_be_gone(toy_cascade, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(toy_cascade.path, folder / "bundle")
    shipped = toy_cascade.shipped
    evaluation.write(folder / "evaluation", shipped.rows, shipped.report)
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
    manifest["provenance"]["data"]["source"]["root"] = "gone"
    manifest["provenance"]["data"]["root"] = "gone"
    (folder / "bundle" / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(["report", str(folder)]) == 0
    assert "The images themselves are not shown" in (folder / "report.html").read_text()
    assert cli.main(["report", str(folder), "--data", str(tmp_path / "gone")]) == 3
    assert cli.main(["report", str(folder), "--data", str(toy_cascade.root)]) == 0
    assert "The images themselves are not shown" not in (folder / "report.html").read_text()


def made(*told):
    return [rows.Row(name, label, outcome, score, "") for name, label, outcome, score in told]


def test_the_worst_come_first_and_close_calls_where_there_are_none():
    found = made(
        ("a", True, "OK", 0.3),
        ("b", True, "OK", 0.1),
        ("c", True, "NG", 0.9),
        ("d", True, "REVIEW", 0.4),
        ("e", False, "NG", 0.6),
        ("f", False, "NG", 0.8),
        ("g", False, "OK", 0.2),
        ("h", False, "REVIEW", float("nan")),
    )
    assert [row.id for row in rows.escapes(found)] == ["b", "a"]
    assert [row.id for row in rows.overkills(found)] == ["f", "e"]
    assert [row.id for row in rows.close_calls(found)] == ["b", "a", "d", "f", "e", "g"]
    assert rows.confusion(found) == {
        "defective": {"OK": 2, "REVIEW": 1, "NG": 1},
        "good": {"OK": 1, "REVIEW": 1, "NG": 2},
    }


@pytest.mark.parametrize(
    "text",
    [
        "id,score\na,0.5\n",
        "id,is_defect,outcome,score,reasons\na,x,OK,1,\n",
        "id,is_defect,outcome,score,reasons\nabc\n",
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "per_image.csv").write_text(text)
    with pytest.raises(errors.DataError, match=r"per_image\.csv: a run's table must have"):
        rows.read(tmp_path)


def test_without_jinja2_the_extra_is_named(toy_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("inspection_tf.engines.installed.versions", lambda *names: {})
    with pytest.raises(errors.BundleError, match=r"needs jinja2.*inspection-tf\[report\]"):
        reporting.require_library()


def test_a_bundle_is_never_written_into(toy_bundle_copy, monkeypatch, capsys):
    before = sorted(path.name for path in toy_bundle_copy.rglob("*"))
    monkeypatch.chdir(toy_bundle_copy)
    for words in (
        [],
        ["--out", "golden/r.html"],
        ["--out", str(toy_bundle_copy / "new" / "r.html")],
    ):
        assert cli.main(["report", ".", *words]) == 2
        assert "must lie outside of bundles" in capsys.readouterr().err
    assert sorted(path.name for path in toy_bundle_copy.rglob("*")) == before


def test_an_impossible_name_is_refused_in_a_sentence(toy_bundle, tmp_path, capsys):
    assert cli.main(["report", str(toy_bundle), "--out", str(tmp_path / ("a" * 300))]) == 2
    assert "A report must go to a file" in capsys.readouterr().err


def test_what_is_damaged_is_left_out_and_logged(run, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "segmenter" / "history.csv").write_bytes(b"epoch,loss\n\xff\xfe")
    (folder / "history.csv").write_text("epoch,loss\n1,2,3,4\n")
    (folder / "evaluation" / "worst.png").write_bytes(b"x" * 300_000)
    (folder / "evaluation" / "gone.png").symlink_to(tmp_path / "nowhere")
    assert cli.main(["report", str(folder)]) == 0
    for name in ("segmenter/history.csv", "worst.png", "gone.png"):
        assert f"{name} is left out" in caplog.text
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Evaluation: Worst" not in text
    assert "Evaluation: ROC" in text


def test_of_drawn_images_no_folder_is_read(toy_bundle, tmp_path, capsys):
    out = tmp_path / "r.html"
    assert cli.main(["report", str(toy_bundle), "--data", str(tmp_path), "--out", str(out)]) == 2
    assert "whose images are drawn" in capsys.readouterr().err
    assert not out.exists()


def test_of_many_failures_the_worst_are_shown_and_all_are_counted():
    found = made(*((f"{place}", True, "OK", place / 100) for place in range(9)))
    assert len(rows.escapes(found)) == 9 > rows.MOST
