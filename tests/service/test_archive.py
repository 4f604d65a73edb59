"""Results on disk: what a folder may hold, and what is there after a restart."""

import dataclasses
import shutil
import sqlite3
import threading

import numpy as np
import pytest
import service_process
from service_process import KEPT, eventually

from inspection_tf import decision, errors, images, thresholds
from inspection_tf.service import archive, results

CASCADE = KEPT / "schema_4_cascade"
POINT = thresholds.OperatingPoint(threshold=0.5, mask_threshold=0.5)
MANY = 1 << 30


def entry(identity, outcome, *, seed=0):
    """A result of 40 x 40 px of noise, whose PNG is about 1.7 kB."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (40, 40), np.uint8)
    probability = np.zeros((40, 40), np.float32)
    probability[4:9, 4:9] = 0.9 if outcome == "NG" else 0.1
    verdict = decision.decide(probability, POINT, decision.Rules())
    verdict = dataclasses.replace(verdict, image=image)
    assert verdict.outcome == outcome
    names = [name for name, _ in results.pictures_of(verdict)]
    links = {name: f"/results/{identity}/{name}.png" for name in names}
    beside = {"model": "m", "version": "1", "queue_ms": 1.0, "id": identity, "links": links}
    return results.Entry(verdict, beside, f"2026-01-01T00:00:{seed:02d}", 0, "masks")


def identity(number):
    return f"{number:032x}"


def opened(folder, budget=MANY):
    return archive.Archive(folder, budget=budget, pictures=results.pictures_of)


def filled(folder, outcomes, budget=MANY):
    found = opened(folder, budget)
    for number, outcome in enumerate(outcomes):
        found.put(identity(number), entry(identity(number), outcome, seed=number))
        eventually(lambda: found._waiting.empty())
    found.close()
    return opened(folder, budget)


def test_a_result_is_there_again_after_a_restart(tmp_path):
    found = filled(tmp_path, ["OK", "NG"])
    given = entry(identity(1), "NG", seed=1)
    assert [one["id"] for one in found.listed(10)] == [identity(1), identity(0)]
    assert found.listed(1)[0] == given.brief()
    assert found.one(identity(1)) == {**given.told(), "links": given.beside["links"]}
    pictures = dict(results.pictures_of(given.verdict))
    for name in given.beside["links"]:
        data = found.picture(identity(1), name)
        expected = images.read(images.encode_png(pictures[name]))
        np.testing.assert_array_equal(images.read(data), expected)
    # Of what is good the image is enough.
    assert list(found.one(identity(0))["links"]) == ["image"]
    assert found.picture(identity(0), "mask") is None
    assert found.picture("none", "image") is found.one("none") is None
    found.close()


def test_what_was_ok_is_dropped_first_then_the_oldest(tmp_path):
    size = 2048 + 2000  # of one that is OK, about: its row and its image
    found = filled(tmp_path, ["NG", "OK", "OK", "NG", "OK"], budget=4 * size)
    left = [one["id"] for one in found.listed(10)]
    assert identity(4) in left  # the latest stays
    assert identity(1) not in left
    assert {identity(0), identity(3)} & set(left)
    folders = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert folders == set(left)
    total = sum(path.stat().st_size for path in (tmp_path / "pictures").rglob("*.png"))
    assert total <= 4 * size
    found.close()


def test_pictures_whose_row_was_never_written_are_removed_and_nothing_else(tmp_path):
    filled(tmp_path, ["OK"]).close()
    stray, other = (tmp_path / "pictures" / name for name in (identity(9), "mine"))
    for folder in (stray, other):
        folder.mkdir()
        (folder / "image.png").write_bytes(b"x")
    opened(tmp_path).close()
    assert not stray.exists()
    assert (other / "image.png").exists()
    assert (tmp_path / "pictures" / identity(0) / "image.png").exists()


def test_a_folder_that_another_service_has_is_refused(tmp_path):
    found = opened(tmp_path)
    with pytest.raises(errors.StorageError, match="one service alone writes"):
        opened(tmp_path)
    found.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / archive.FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(
        errors.StorageError, match=r"one service alone writes.*Move a damaged file away"
    ):
        opened(tmp_path / "other")


def test_a_disk_that_takes_nothing_costs_no_verdict_and_is_counted(tmp_path, monkeypatch):
    found = opened(tmp_path)

    def full(*arguments, **options):
        raise errors.StorageError("no space left")

    monkeypatch.setattr(archive.files, "write", full)
    for number in range(3):
        found.put(identity(number), entry(identity(number), "OK"))
    eventually(lambda: found.lost == 3)
    monkeypatch.undo()
    found.put(identity(7), entry(identity(7), "OK"))
    found.close()
    again = opened(tmp_path)
    assert [one["id"] for one in again.listed(9)] == [identity(7)]
    again.close()


def test_where_too_many_wait_results_are_lost_and_none_waits(tmp_path):
    may_go = threading.Event()

    def slow(verdict):
        may_go.wait(60)
        return results.pictures_of(verdict)

    found = archive.Archive(tmp_path, budget=MANY, pictures=slow)
    given = entry(identity(0), "OK")
    for number in range(40):
        found.put(identity(number), given)
    assert found.lost >= 7  # 32 wait, and one is being written
    may_go.set()
    found.close()
    base = sqlite3.connect(tmp_path / archive.FILE)
    (count,) = base.execute("SELECT COUNT(*) FROM results").fetchone()
    base.close()
    assert count + found.lost == 40


def test_a_service_lists_results_of_before_its_restart(tmp_path):
    files = [file.read_bytes() for file in sorted((CASCADE / "golden").glob("*.png"))]
    options = {"history": tmp_path / "history", "keep_mib": 0}
    with service_process.serving(f"cascade={CASCADE}", **options) as service:
        told = [service.json("POST", "/inspect", one) for one in files]
        assert all(one["id"] for one in told)
        assert service.stop()[0] == 143
    with service_process.serving(f"cascade={CASCADE}", **options) as service:
        listed = service.json("GET", "/results")["results"]
        assert [one["id"] for one in listed] == [one["id"] for one in told][::-1]
        for one, data in zip(told, files, strict=True):
            again = service.json("GET", f"/results/{one['id']}")
            assert {**again, "links": one["links"]} == one
            picture = service.ask("GET", again["links"]["image"])[2]
            np.testing.assert_array_equal(images.read(picture), images.read(data))
        assert service.ask("GET", f"/results/{told[0]['id']}/none.png")[0] == 404
        assert service.ask("GET", "/results/none/image.png")[0] == 404
        assert "inspection_history_lost 0.0" in service.ask("GET", "/metrics")[2].decode()


def test_a_history_that_is_removed_begins_anew(tmp_path, caplog):
    found = opened(tmp_path / "history")
    found.put(identity(0), entry(identity(0), "OK"))
    eventually(lambda: len(found.listed(9)) == 1)
    shutil.rmtree(tmp_path / "history")
    found.put(identity(1), entry(identity(1), "OK"))
    eventually(lambda: [one["id"] for one in found.listed(9)] == [identity(1)])
    found.close()
    assert "was removed, and begins anew" in caplog.text
    again = opened(tmp_path / "history")
    assert [one["id"] for one in again.listed(9)] == [identity(1)]
    again.close()


def test_a_damaged_row_is_left_out(tmp_path):
    found = filled(tmp_path, ["OK", "NG", "OK"])
    with found._base:
        found._base.execute("UPDATE results SET brief = '{', said = '[1]' WHERE number = 2")
        found._base.execute("UPDATE results SET said = '{}' WHERE number = 3")
    assert [one["id"] for one in found.listed(9)] == [identity(2), identity(0)]
    assert found.one(identity(1)) is found.one(identity(2)) is None
    assert found.picture(identity(1), "image") is None
    found.close()


def test_what_nobody_foresaw_costs_one_result(tmp_path):
    def broken(verdict):
        raise KeyError("image")

    found = archive.Archive(tmp_path, budget=MANY, pictures=broken)
    for number in range(40):
        found.put(identity(number), entry(identity(number), "OK"))
        eventually(lambda number=number: found.lost == number + 1)
    found.close()
    assert list((tmp_path / "pictures").iterdir()) == []
