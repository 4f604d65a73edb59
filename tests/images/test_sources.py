"""What an image can be given by, and what is refused in words."""

import array
import gzip
import io
import mmap
import os
import warnings
import zipfile

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.images import sources

GRAY = np.random.default_rng(0).integers(0, 256, (37, 51), np.uint8)
PNG = images.encode_png(GRAY)


@pytest.fixture
def path(tmp_path):
    images.write_png(tmp_path / "part.png", GRAY)
    return tmp_path / "part.png"


class Named:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize(
    "given",
    [
        bytearray,
        memoryview,
        lambda data: memoryview(data)[::-1][::-1],
        np.bytes_,
        io.BytesIO,
        lambda data: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data))),
    ],
)
def test_bytes_are_read_whatever_holds_them(given):
    np.testing.assert_array_equal(images.read(given(PNG)), GRAY)


def test_paths_are_read_whatever_they_are_written_as(path):
    for given in (str(path), path, Named(str(path)), Named(os.fsencode(path)), np.str_(path)):
        np.testing.assert_array_equal(images.read(given), GRAY)


def test_open_files_are_read_from_where_they_stand_to_their_end(path, tmp_path):
    for buffering in (-1, 0):  # unbuffered ones may return less than they are asked for
        with path.open("rb", buffering=buffering) as file:
            np.testing.assert_array_equal(images.read(file), GRAY)
            assert file.read() == b""
    behind = io.BytesIO(b"header" + PNG)
    behind.seek(6)
    np.testing.assert_array_equal(images.read(behind), GRAY)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        np.testing.assert_array_equal(images.read(mapped), GRAY)
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        archive.write(path, "part.png")
    with zipfile.ZipFile(tmp_path / "parts.zip") as archive, archive.open("part.png") as file:
        np.testing.assert_array_equal(images.read(file), GRAY)


@pytest.mark.parametrize("by_path", [False, True])
def test_a_pipe_is_read_although_it_has_no_length(by_path):
    reading, writing = os.pipe()
    os.write(writing, PNG)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = images.read(f"/dev/fd/{reading}" if by_path else pipe)
    np.testing.assert_array_equal(found, GRAY)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PIPE_WAIT_MS", 10)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(errors.ImageError, match=r"pipe\.png must be a file\. Got a pipe"):
        images.read(tmp_path / "pipe.png")


def test_a_memoryview_of_pixels_is_an_array():
    np.testing.assert_array_equal(images.read(memoryview(GRAY)), GRAY)
    np.testing.assert_array_equal(images.read(memoryview(GRAY.astype(np.uint16))), GRAY)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"Got None\. Check the path: cv2\.imread"),
        (["a.png"], r"Got a list\. Give one image at a time"),
        ({"image": 1}, r"Got a dict\. Give one image"),
        (3, r"Got an int\. Give one of these"),
        (1.5, "Got a float"),
        (True, "Got a bool"),
        (np.uint8(3), r"Got a numpy\.uint8\. Make it a NumPy array"),
        (object(), "Got an object"),
        (io.BytesIO, "Got a type"),
        (array.array("B", PNG), r"Got an array\.array"),
        ((x for x in "ab"), "Got a generator"),
        (memoryview(array.array("H", [1, 2])), r"Got shape \(2,\).*in memory its bytes"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_one(given, said):
    for take in (images.read, images.snapshot):
        with pytest.raises(errors.ImageError, match=said):
            take(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", r"A path must name a file\. Got an empty one"),
        # Python 3.13 says: stat: embedded null character in path
        ("a\0.png", r"'a\\x00\.png' must be a readable file\. Got: (stat: )?embedded null"),
        ("\ud800.png", r"must be a readable file\. Got: 'utf-8' codec can't encode"),
        ("x" * 5000, "must be a readable file. Got: File name too long"),
        (Named(3), "must be a readable file. Got: expected"),
        (".", "must be a readable file. Got: Is a directory"),
        (os.devnull, r"must be a file\. Got a device or socket"),
    ],
)
def test_a_path_that_names_no_file_is_refused_in_words(given, said):
    with pytest.raises(errors.ImageError, match=said):
        images.read(given)


@pytest.mark.parametrize("given", [b"", bytearray(), memoryview(b"")])
def test_no_bytes_at_all_are_refused(given):
    with pytest.raises(errors.ImageError, match=r"must hold an image\. Got 0 bytes"):
        images.read(given)


def test_a_released_memoryview_is_refused():
    released = memoryview(PNG)
    released.release()
    with pytest.raises(errors.ImageError, match="Got a memoryview that is none"):
        images.read(released)


def test_files_that_cannot_be_read_are_refused_with_the_way_out(path, tmp_path):
    with (
        path.open(encoding="latin-1") as text,
        pytest.raises(
            errors.ImageError, match=r'part\.png must be open in binary\. Got text.*mode "rb"'
        ),
    ):
        images.read(text)
    with pytest.raises(errors.ImageError, match="Got text"):
        images.read(io.StringIO("text"))
    with (
        (tmp_path / "new").open("wb") as file,
        pytest.raises(errors.ImageError, match="new must be open for reading"),
    ):
        images.read(file)
    with pytest.raises(errors.ImageError, match="must be open for reading"):
        images.read(file)  # closed
    ended = io.BytesIO(PNG)
    ended.seek(0, os.SEEK_END)
    with pytest.raises(errors.ImageError, match=r"Got nothing up to its end.*file\.seek\(0\)"):
        images.read(ended)
    cut = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(PNG)[:-20]))
    with pytest.raises(errors.ImageError, match="The open file must be open for reading"):
        images.read(cut)


class Awaited:
    async def read(self, _size=-1):
        return PNG


class Silent:
    def read(self, _size=-1):
        raise RuntimeError


def test_readers_that_are_none_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(errors.ImageError, match="read returns a coroutine"):
            images.read(Awaited())
    with pytest.raises(errors.ImageError, match="Got: RuntimeError"):
        images.read(Silent())


def test_an_open_file_is_not_read_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    for given in (io.BytesIO(PNG), PNG, bytearray(PNG)):
        with pytest.raises(errors.ImageError, match="must have at most 100 bytes"):
            images.read(given)


@pytest.mark.parametrize(
    "pixels",
    [
        GRAY.astype(bool),
        GRAY.astype(object),
        GRAY.astype(complex),
        GRAY / 255,
        GRAY.astype(np.float16),
        GRAY.astype(np.int64),
        GRAY.astype("M8[s]"),
        np.zeros((4, 4), [("a", "u1")]),
        np.array([["a"]]),
        np.array([["a"]], np.dtypes.StringDType()),
    ],
)
def test_pixels_that_are_no_counts_are_refused(pixels):
    with pytest.raises(errors.ImageError, match=r"must be uint8 or uint16\. Got"):
        images.read(pixels)


@pytest.mark.parametrize("shape", [(), (0, 0), (0, 5), (5,), (4, 4, 5), (1, 4, 4, 1)])
def test_arrays_of_no_image_are_refused(shape):
    with pytest.raises(errors.ImageError, match="must be gray"):
        images.read(np.zeros(shape, np.uint8))


def test_what_must_be_pixels_already_says_how_to_read_them():
    spec = images.Preprocessing(size=(37, 51))
    with pytest.raises(errors.ImageError, match=r"Got a str\. Read the image first: images\.read"):
        images.preprocess("part.png", spec)


@pytest.mark.parametrize(
    "view",
    [
        GRAY,
        GRAY[::-1, ::2],
        GRAY.T,
        GRAY.astype(">u2"),
        np.dstack([GRAY] * 4),
        np.frombuffer(GRAY.tobytes(), np.uint8).reshape(GRAY.shape),
        np.ma.masked_array(GRAY),
    ],
)
def test_a_snapshot_of_an_array_is_a_copy_of_its_own(view):
    taken = images.snapshot(view)
    assert type(taken) is np.ndarray
    assert not np.shares_memory(taken, view)
    assert taken.flags.c_contiguous
    assert taken.flags.writeable
    np.testing.assert_array_equal(taken, images.read(view))
    assert taken.dtype == images.read(view).dtype


def test_a_snapshot_of_a_memory_map_outlives_the_file(tmp_path):
    mapped = np.memmap(tmp_path / "frames", np.uint8, "w+", shape=GRAY.shape)
    mapped[:] = GRAY
    taken = images.snapshot(mapped)
    mapped[:] = 0
    np.testing.assert_array_equal(taken, GRAY)
    assert type(taken) is np.ndarray


def test_a_snapshot_of_a_buffer_or_a_file_is_its_bytes(path):
    buffer = bytearray(PNG)
    taken = images.snapshot(buffer)
    buffer[:] = bytes(len(buffer))
    assert taken == PNG
    assert images.snapshot(io.BytesIO(PNG)) == PNG
    assert images.snapshot(path) is path  # nothing is read before it is needed
    assert images.snapshot(PNG) is PNG
