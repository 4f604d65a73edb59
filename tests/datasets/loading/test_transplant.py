"""Defects copied onto good images: where they land, how bright, and when not at all."""

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import augment, loader, transplant
from inspection_tf.datasets.loading.cache import Cache


def part(level, *, size=(60, 90), channels=1, rim=0):
    """A part of one grey value in a letterbox's rim of zeros above and below."""
    image = np.zeros((*size, channels), np.uint8)
    image[rim : size[0] - rim] = level
    return image


def donor(*, level=100, defect=50, at=np.s_[20:32, 40:56], class_id=3, **shape):
    image, mask = part(level, **shape), np.zeros((60, 90, 1), np.uint8)
    image[at], mask[at] = defect, class_id
    return image, mask


def onto(image, mask, recipient, *, seed=0, **options):
    return transplant.onto(image, mask, recipient, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_defect_keeps_its_contrast_on_a_part_of_another_exposure(channels):
    image, mask = donor(channels=channels)
    pasted, moved = onto(image, mask, part(160, channels=channels), largest_shift=0)
    assert pasted.shape == image.shape
    assert moved.shape == mask.shape
    assert moved.sum() == mask.sum()  # 12 x 16 px of class 3, mirrored perhaps
    inside = moved[..., 0] > 0
    # Half as bright as its surroundings of 100, so half of 160.
    assert set(np.unique(pasted[inside])) == {80}
    # Beyond the rim that fades (6 px) the part is as it was.
    rows, columns = np.nonzero(inside)
    outside = np.ones((60, 90), bool)
    outside[rows.min() - 6 : rows.max() + 7, columns.min() - 6 : columns.max() + 7] = False
    assert set(np.unique(pasted[outside])) == {160}


def test_each_draw_has_a_place_of_its_own_and_the_same_seed_the_same():
    image, mask = donor()
    places = [
        np.argwhere(onto(image, mask, part(160), seed=s)[1])[0].tolist()[:2] for s in [*range(8)]
    ]
    assert len({tuple(place) for place in places}) > 5
    again = onto(image, mask, part(160), seed=3)
    for one, other in zip(onto(image, mask, part(160), seed=3), again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_lands_in_the_rim_of_a_letterbox():
    image, mask = donor()
    recipient = part(160, rim=22)  # the part is 16 px high
    for seed in range(20):
        made = onto(image, mask, recipient, seed=seed)
        if made is None:
            continue
        pasted, moved = made
        outside = np.r_[:22, 38:60]
        assert not pasted[outside].any()
        assert not moved[outside].any()
        assert moved.any(axis=-1).sum() >= 12 * 16 / 2


def test_a_defect_that_would_miss_the_part_is_not_copied():
    image, mask = donor(at=np.s_[:8, :])
    # Mirrored or not, its 8 rows lie in the rim.
    assert onto(image, mask, part(160, rim=22), largest_shift=0) is None
    assert onto(image, mask, np.zeros_like(image)) is None


def test_neither_image_is_changed():
    image, mask = donor()
    recipient = part(160)
    kept = [array.copy() for array in (image, mask, recipient)]
    onto(image, mask, recipient)
    for array, before in zip((image, mask, recipient), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def held(*, good=2, template=False):
    image, mask = donor(class_id=1)
    images = np.stack([image] * 3 + [part(160)] * good)
    return Cache(
        image=images,
        mask=np.stack([mask] * 3 + [np.zeros_like(mask)] * good),
        is_defect=np.array([True] * 3 + [False] * good),
        ids=tuple(map(str, range(3 + good))),
        template=images if template else None,
    )


def served(cache, share, *, epochs=4, first_epoch=0):
    quiet = augment.NONE.model_copy(update={"transplanted_share": share})
    spec = loader.LoaderSpec(batch_size=2, defective_share=0.5, images_per_epoch=4)
    batches = loader.for_training(
        cache, spec=spec, augmentation=quiet, seed=1, epochs=epochs, first_epoch=first_epoch
    )
    return [(x["image"].numpy(), y["probability"].numpy()) for x, y in batches]


@pytest.mark.parametrize(("share", "bright"), [(0.0, {100}), (1.0, {160})])
def test_training_shows_defects_on_other_parts(share, bright):
    cache = held()
    before = cache.image.copy()
    for shown, masks in served(cache, share):
        for image, mask in zip(shown, masks, strict=True):
            expected = bright if mask.any() else {160}
            assert {int(np.median(image))} == expected
    np.testing.assert_array_equal(cache.image, before)


def test_a_share_of_the_defects_is_transplanted_by_seed_and_epoch():
    whole = served(held(), 0.5, epochs=40)
    found = [np.median(i) == 160 for x, y in whole for i, m in zip(x, y, strict=True) if m.any()]
    assert 0.3 < np.mean(found) < 0.7  # 80 draws
    for one, other in zip(whole[-4:], served(held(), 0.5, epochs=40, first_epoch=38), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("cache", "got"),
    [(held(good=0), "0 good images, no templates"), (held(template=True), "2 good images, with")],
)
def test_without_good_images_or_with_templates_it_is_refused(cache, got):
    with pytest.raises(errors.ConfigError, match=f"transplanted_share needs.*Got {got}"):
        served(cache, 0.5)


class _Evident:
    """A bright image; where its class is seen, it is dark."""

    label_kind = "classes"

    def __init__(self, evidence):
        self.evidence, self.has_evidence = evidence, evidence is not None

    def read_image(self, *, orientation="apply"):
        image = np.full((16, 24), 160, np.uint8)
        image[6:10, 8:14] = 20 if self.has_evidence else 160
        return image

    def read_mask(self, *, orientation="apply"):
        return np.zeros((16, 24), np.bool_)

    def read_evidence(self, *, orientation="apply"):
        return self.evidence

    def identity(self):
        return repr(self.evidence).encode()


MARKED = np.zeros((16, 24), np.bool_)
MARKED[6:10, 8:14] = True


@pytest.fixture(params=[MARKED, np.array([[8.0, 6, 14, 10]])], ids=["mask", "box"])
def evident(request):
    listed = [
        records.Record("worn", True, _Evident(request.param), class_id=2),
        records.Record("good", False, _Evident(None)),
    ]
    held = records.Records.of(listed, classes=("broken", "worn"))
    return loader.cache(held, images.Preprocessing(size=(16, 24)))


def test_what_is_annotated_beside_a_class_is_known(evident):
    assert evident.label_kind == "classes"
    assert evident.label.tolist() == [0, 2]
    assert not evident.mask[0].any()
    np.testing.assert_array_equal(evident.mask[1, ..., 0], MARKED * 2)


def test_what_shows_a_class_is_transplanted_with_its_label(evident):
    quiet = augment.NONE.model_copy(update={"transplanted_share": 1.0})
    spec = loader.LoaderSpec(batch_size=2, defective_share=0.5)
    batches = loader.for_training(
        evident, spec=spec, augmentation=quiet, seed=1, epochs=8, target="label"
    )
    places = set()
    for inputs, targets in batches:
        for image, label in zip(inputs["image"].numpy(), targets["class_probability"], strict=True):
            dark = np.argwhere(image[..., 0] < 60)
            assert bool(len(dark)) == (int(label[0]) == 2)
            places |= {tuple(dark[0])} if len(dark) else set()
    assert len(places) > 3  # where it lies differs from time to time
