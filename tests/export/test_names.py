"""Names in the pages of a bundle: MODEL_CARD.md and INTEGRATION.md."""

import pytest

from inspection_tf import process
from inspection_tf.export import card, kit


@pytest.fixture
def named(toy_cascade):
    """Return a function that gives the manifest of two classes other names."""

    def rename(first, second):
        manifest = toy_cascade.shipped.manifest
        metrics = dict(manifest.metrics["metrics"])
        for old, new in zip(manifest.classes, (first, second), strict=True):
            metrics[f"iou_class_{new}"] = metrics.pop(f"iou_class_{old}")
        return manifest.model_copy(
            update={
                "classes": (first, second),
                "metrics": {**manifest.metrics, "metrics": metrics},
            }
        )

    return rename


def test_the_card_of_plain_names_is_as_ever(named):
    text = card.render(named("pin-hole", "no field"))
    assert "Segments defects (pin-hole, no field) in" in text
    assert "| iou_class_pin-hole |" in text
    assert "\\" not in text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", r"a\|b"),
        ("*x* `c`", r"\*x\* \`c\`"),
        ("two\nlines", r"two\\nlines"),
        ("<script>", r"\<script\>"),
        ("[blue] :smile:", r"\[blue\] \:smile:"),
        ("检查", "检查"),
    ],
)
def test_names_do_not_break_the_card(named, name, written):
    text = card.render(named(name, "other"))
    assert f"Segments defects ({written}, other) in" in text
    metric = process.markdown(f"iou_class_{name}")
    assert metric.endswith(written)
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {metric} |")]
    assert line.replace(r"\|", "").count("|") == 4


def test_the_page_for_integrators_shows_a_rule_of_a_class_as_it_is(named):
    manifest = named("a|b", "other")
    plain = kit.page(manifest)
    rules = manifest.settings.rules.model_copy(update={"class_min_area_px": {"*a|b*": 3.0}})
    settings = manifest.settings.model_copy(update={"rules": rules})
    text = kit.page(manifest.model_copy(update={"settings": settings}))
    assert r"class_min_area_px {'\*a\|b\*': 3.0}" in text
    assert len(text.splitlines()) == len(plain.splitlines()) == 12
