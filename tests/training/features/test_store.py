import threading

import numpy as np

from inspection_tf.training.features import fingerprints, store


def keys(*numbers):
    return [fingerprints.of_image(np.full((1, 1, 1), number, np.uint8)) for number in numbers]


def rows(*numbers, width=3):
    return {
        key: np.full(width, number, np.float32)
        for key, number in zip(keys(*numbers), numbers, strict=True)
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_what_was_written_is_read_and_no_more(tmp_path):
    kept = store.FeatureStore(tmp_path / "deep" / "folder", 3)
    assert kept.read(keys(1)) == {}
    kept.write(rows(1, 2))
    kept.write(rows(3))
    assert_same(kept.read(keys(3, 1, 9)), rows(1, 3))


def test_ten_thousand_images_are_a_few_files(tmp_path):
    kept = store.FeatureStore(tmp_path, 1)
    names = [number.to_bytes(32, "big") for number in range(10_000)]
    for start in range(0, 10_000, 512):
        part = names[start : start + 512]
        kept.write({name: np.float32([start + row]) for row, name in enumerate(part)})
    assert len(list(tmp_path.iterdir())) == 20  # 10,000 / 512 = 19.5
    found = kept.read(names)
    assert [float(found[name][0]) for name in names] == list(range(10_000))


def test_writers_at_once_leave_one_file_of_one_content(tmp_path):
    errors = []

    def work():
        try:
            kept = store.FeatureStore(tmp_path, 3)
            for _ in range(20):
                kept.write(rows(1, 2))
                assert_same(kept.read(keys(1, 2)), rows(1, 2))
        except BaseException as problem:
            errors.append(problem)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_of_another_width_is_left_aside(tmp_path):
    store.FeatureStore(tmp_path, 3).write(rows(1))
    assert store.FeatureStore(tmp_path, 4).read(keys(1)) == {}
