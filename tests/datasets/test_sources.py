import pydantic
import pytest

from inspection_tf import errors
from inspection_tf.datasets import records, sources
from inspection_tf.synthesis import surface

SPEC = surface.SurfaceSpec(size=(40, 56))
COMPOSED = sources.DataSpec(
    defects="composed", compose=sources.ComposeSpec(per_image=2, surface=SPEC), tune=0.25, test=0.25
)


def test_synthetic_data_needs_no_root():
    spec = sources.DataSpec(count=6, defective_share=0.5, surface=SPEC, seed=2)
    found = sources.read(spec)
    assert found.counts() == {"images": 6, "defective": 3}
    assert found.sha256() == sources.read(spec).sha256()


def test_folders_are_read_by_their_format(tmp_path, write_folders, write_dagm):
    write_folders(tmp_path / "folder")
    write_dagm(tmp_path / "dagm")
    for name in ("folder", "dagm"):
        assert len(sources.read(sources.DataSpec(format=name, root=tmp_path / name))) > 2


def test_a_missing_root_is_a_configuration_error():
    with pytest.raises(errors.ConfigError, match=r"needs data\.root.*--data\.root") as caught:
        sources.read(sources.DataSpec(format="dagm"))
    assert caught.value.exit_code == 2


def test_real_defects_are_split_as_they_are(make_records):
    parts = sources.split(make_records(40, 20), sources.DataSpec(tune=0.25, test=0.25), seed=1)
    assert [len(parts[name]) for name in ("train", "tune", "test")] == [20, 10, 10]


def test_composed_defects_can_join_the_real_ones_in_train_only(make_records):
    spec = sources.DataSpec(
        tune=0.25, test=0.25, compose=sources.ComposeSpec(per_image=3, surface=SPEC)
    )
    parts = sources.split(make_records(40, 20), spec, seed=1)
    # 10 defective and 10 good for training, 3 defective made of each good one.
    assert parts["train"].counts() == {"images": 50, "defective": 40}
    assert parts["tune"].counts() == {"images": 10, "defective": 5}
    assert not [name for name in (*parts["tune"].ids, *parts["test"].ids) if "+" in name]


def test_a_start_without_defects_trains_on_composed_ones_only(make_records):
    found = make_records(24, 4)
    parts = sources.split(found, COMPOSED, seed=1)
    # 20 good: 10, 5 and 5. Train: 10 + 20 composed; tune: 5 + 5; test: 5 + 4 real.
    assert parts["train"].counts() == {"images": 30, "defective": 20}
    assert parts["tune"].counts() == {"images": 10, "defective": 5}
    assert parts["test"].counts() == {"images": 9, "defective": 4}
    real = set(found.where(is_defect=True).ids)
    assert real <= set(parts["test"].ids)
    assert not real & {*parts["train"].ids, *parts["tune"].ids}


def test_good_images_of_a_part_with_a_defect_are_tested_with_it(make_record):
    found = records.Records.of(
        make_record(f"{part}/{shot}", is_defect=part < 3 and shot == 0, group=f"part{part}")
        for part in range(12)
        for shot in range(2)
    )
    parts = sources.split(found, COMPOSED, seed=1)
    groups = [set(parts[name].groups) for name in ("train", "tune", "test")]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])
    assert {"part0", "part1", "part2"} <= groups[2]


def test_composing_needs_good_images(make_records):
    with pytest.raises(errors.DataError, match="needs good images"):
        sources.split(make_records(5, 5), COMPOSED, seed=0)


def test_folds_compose_onto_the_training_part_only(make_records):
    spec = sources.DataSpec(folds=4, compose=sources.ComposeSpec(per_image=1, surface=SPEC))
    found = make_records(16, 8)
    parts = sources.folds(found, spec, seed=0)
    # Each fold tests 2 + 2 and trains on 6 defective, 6 good and 6 composed.
    assert [part["train"].counts() for part in parts] == [{"images": 18, "defective": 12}] * 4
    assert sorted(name for part in parts for name in part["test"].ids) == list(found.ids)


def test_folds_need_defects(make_records):
    with pytest.raises(errors.DataError, match="Cross-validation of a segmentation needs"):
        sources.folds(make_records(8, 0), sources.DataSpec(folds=4), seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"folds": 1},
        {"defects": "composed"},
        {"defects": "composed", "compose": {"per_image": 1}, "folds": 3},
    ],
)
def test_settings_that_contradict_each_other_are_refused(values):
    with pytest.raises(pydantic.ValidationError, match=r"folds|compose\.per_image"):
        sources.DataSpec(**values)
