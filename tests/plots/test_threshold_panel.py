"""The panel in Jupyter; what it draws is tested in a browser: tests/service/test_page_threshold."""

import base64
import sys

import numpy as np
import pytest

from inspection_tf import bundle, errors, images, plots


def test_it_shows_what_was_shipped(toy_shipped, toy_bundle):
    pytest.importorskip("anywidget")
    picture = np.zeros((4, 4), np.uint8)
    shipped = toy_shipped.shipped
    widget = plots.threshold_panel(shipped, pictures={shipped.scores.ids[1]: picture, "x": picture})
    assert widget.tuned == plots.panel_contents(bundle.chosen_threshold(toy_bundle))
    assert widget.tuned["threshold"] == shipped.manifest.operating_point.threshold
    (place,) = widget.pictures
    assert place == "1"
    data = widget.pictures["1"].removeprefix("data:image/png;base64,")
    np.testing.assert_array_equal(images.read(base64.b64decode(data)), picture)
    assert "export default" in str(widget._esm)
    assert ".threshold-panel" in str(widget._css)


def test_a_bundle_of_an_earlier_version_is_refused(toy_bundle):
    tuned = bundle.chosen_threshold(toy_bundle)
    old = bundle.ChosenThreshold(tuned.root, tuned.operating_point, None)
    assert plots.panel_contents(old) is None
    with pytest.raises(errors.DataError, match="must carry the scores of its tune images"):
        plots.threshold_panel(old)


def test_without_anywidget_the_extra_is_named(toy_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(errors.BundleError, match=r"needs anywidget.*inspection-tf\[notebooks\]"):
        plots.threshold_panel(bundle.chosen_threshold(toy_bundle))
