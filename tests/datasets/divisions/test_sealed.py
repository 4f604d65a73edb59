import copy
import dataclasses
import pickle

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets import checks, data_spec, records
from inspection_tf.datasets.divisions import sealed
from inspection_tf.datasets.records import Record, Records


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A source that draws, with all that a source may have."""

    ids: tuple[int, ...] | None = None
    label_kind = "masks"
    symmetry = 2
    has_template = True
    has_ignored = True

    def read_image(self, *, orientation="apply"):
        return np.full((4, 5), 7, np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.ones((4, 5), np.bool_)

    def read_template(self, *, orientation="apply"):
        return np.zeros((4, 5), np.uint8)

    def read_ignored(self, *, orientation="apply"):
        return np.zeros((4, 5), np.bool_)

    def class_ids(self):
        return self.ids

    def identity(self):
        return b"drawn"


def tiles(groups=40, shots=3, classes=2):
    """Groups of several images: half good, the others of the classes in turn."""
    items = [
        Record(
            f"{group:02}_{shot}",
            group % 2 == 1,
            Drawn(),
            group=f"tile {group:02}",
            class_id=1 + (group // 2) % classes,
        )
        for group in range(groups)
        for shot in range(shots)
    ]
    return Records.of(items, classes=[f"class {number}" for number in range(classes)])


def test_a_share_is_sealed_by_groups_and_of_every_class():
    found = sealed.share(tiles(), 0.25, seed=3)
    kept, rest = sealed.only(found), sealed.without(found)
    assert found.ids == tiles().ids
    assert (len(kept), len(rest)) == (33, 87)
    assert not set(kept.groups) & set(rest.groups)
    # 20 good groups, 10 of either class, of each a quarter: 5, and of 2.5 the next: 3
    good = {record.group for record in kept if not record.is_defect}
    of_class = [{record.group for record in kept if record.label == number} for number in (1, 2)]
    assert len(good) == 5
    assert list(map(len, of_class)) == [3, 3]
    assert sealed.only(sealed.share(tiles(), 0.25, seed=3)).ids == kept.ids
    assert sealed.only(sealed.share(tiles(), 0.25, seed=4)).ids != kept.ids


@pytest.mark.parametrize(
    "read",
    ["read_image", "read_mask", "read_classes", "read_template", "read_ignored", "read_pair"],
)
def test_whatever_reads_a_sealed_image_is_refused_and_noted(read):
    found = sealed.seal(tiles(2, 1), ["01_0"])
    record = found.select(["01_0"])[0]
    with pytest.raises(errors.SealedError, match=r"inspection unseal RUN"):
        getattr(record, read)()
    assert len(record.source.tried) == 1
    with pytest.raises(errors.SealedError):
        record.class_ids()
    assert len(record.source.tried) == 2


def test_what_is_known_of_a_sealed_image_is_told():
    found = sealed.seal(tiles(4, 1), ["01_0", "02_0"])
    plain = tiles(4, 1)
    assert found.sha256() == plain.sha256()
    assert found.groups == plain.groups
    assert np.array_equal(found.is_defect, plain.is_defect)
    for record, other in zip(found, plain, strict=True):
        for name in ("label_kind", "symmetry", "has_template", "has_ignored", "has_evidence"):
            assert getattr(record, name) == getattr(other, name), name
    assert [sealed.is_sealed(record) for record in found] == [False, True, True, False]


def test_a_sealed_image_stays_sealed_in_copies_and_selections():
    found = sealed.seal(tiles(4, 1), ["01_0"])
    again = sealed.seal(found, ["01_0", "02_0"])
    assert [sealed.is_sealed(record) for record in again] == [False, True, True, False]
    record = again[1]
    assert not isinstance(sealed.opened(again)[0].source, sealed.SealedSource)
    for other in (
        copy.deepcopy(record),
        pickle.loads(pickle.dumps(record)),
        dataclasses.replace(record, group="another"),
        data_spec.without_templates(again)[1],
        again.where(is_defect=True)[0],
    ):
        with pytest.raises(errors.SealedError):
            other.read_image()


def test_opened_images_can_be_read_and_the_others_are_not_among_them():
    found = sealed.opened(sealed.seal(tiles(4, 1), ["03_0"]))
    assert found.ids == ("03_0",)
    assert found[0].read_image().mean() == 7


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_must_leave_images_on_either_side(share):
    with pytest.raises(errors.DataError, match=r"Change data.sealed, or add images or groups"):
        sealed.share(tiles(2, 1), share, seed=0)


def test_a_check_of_the_files_leaves_sealed_ones_alone(tmp_path, monkeypatch):
    asked = []
    spec = data_spec.DataSpec.model_validate(
        {"format": "folder", "root": str(tmp_path), "sealed": 0.5}
    )
    monkeypatch.setattr(
        checks, "check", lambda found, **_: asked.append(found) or checks.Findings("set", 2, 1)
    )
    found = sealed.seal(tiles(4, 1), ["01_0", "02_0"])
    data_spec.check(found, spec, None)
    assert asked[0].ids == ("00_0", "03_0")


def test_a_drawn_set_seals_too_and_splits_the_rest():
    spec = data_spec.DataSpec.model_validate({"format": "synthetic", "count": 40, "sealed": 0.25})
    found = data_spec.read(spec)
    parts = data_spec.split(found, spec, seed=0)
    assert len(sealed.only(found)) == 10
    assert sum(map(len, parts.values())) == 30
    assert records.split_ids(parts).keys() == {"train", "tune", "test"}
