"""`inspection predict` on paths that cannot be used, beside others that can."""

import json
import os
import shutil

import pytest

from inspection_tf import cli, errors, images, process, runtime
from inspection_tf.cli import paths

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


@pytest.fixture
def image(toy_bundle, tmp_path):
    """A good name for a golden image."""
    path = tmp_path / "part.png"
    shutil.copy(toy_bundle / "golden" / "0.png", path)
    return path


@pytest.fixture
def predict(toy_bundle, capsys):
    """Return a function that runs predict with --json: code, lines by path, stderr."""

    def run(*words):
        code = cli.main(["predict", str(toy_bundle), *map(str, words), "--json"])
        captured = capsys.readouterr()
        lines = [json.loads(line) for line in captured.out.splitlines()]
        return code, {line["path"]: line for line in lines}, captured.err

    return run


def assert_others_have_theirs(found, image, bad):
    code, lines, err = found
    assert code == 3
    assert list(lines) == [str(bad), str(image)]
    assert "outcome" in lines[str(image)]
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    return lines[str(bad)]["error"]


@posix
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.png", "No such file"),
        ("n" * 300 + ".png", "File name too long"),
        ("dangling.png", "No such file"),
        ("loop.png", "Too many levels"),
        ("loop.png/x.png", "Too many levels"),
        ("part.png/x.png", "Not a directory"),
        ("empty", "Got none in"),
        ("pipe.png", "nothing was written"),
        ("/dev/zero", "a device or socket"),
    ],
)
def test_a_path_that_cannot_be_used_costs_the_others_nothing(
    predict, image, tmp_path, monkeypatch, name, reason
):
    monkeypatch.setattr(images.sources, "PIPE_WAIT_MS", 10)
    (tmp_path / "dangling.png").symlink_to("nowhere")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    found = predict(tmp_path / name, image)
    assert reason in assert_others_have_theirs(found, image, tmp_path / name)


def test_a_folder_that_cannot_be_listed_costs_the_others_nothing(
    predict, image, tmp_path, monkeypatch
):
    folder = tmp_path / "closed"
    folder.mkdir()
    scan = os.scandir

    def refuse(path="."):
        if os.fspath(path) == str(folder):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    error = assert_others_have_theirs(predict(folder, image), image, folder)
    assert "Permission denied" in error


def test_an_error_nobody_thought_of_costs_the_others_nothing_and_has_its_own_code(
    predict, image, tmp_path, monkeypatch
):
    odd = tmp_path / "odd.png"
    shutil.copy(image, odd)
    inspect = runtime.Inspector.inspect

    def fail(self, source, **options):
        if source == odd:
            raise ZeroDivisionError("1 / 0")
        return inspect(self, source, **options)

    monkeypatch.setattr(runtime.Inspector, "inspect", fail)
    code, lines, err = predict(odd, tmp_path / "gone.png", image)
    assert code == 70  # over the 3 of the one that is gone
    assert lines[str(odd)]["error"] == "1 / 0"
    assert "outcome" in lines[str(image)]
    assert "ZeroDivisionError" in err


def test_a_verdict_stands_whose_pictures_cannot_be_written(predict, image, tmp_path, monkeypatch):
    def full(path, array):
        raise errors.StorageError("A disk must have room. Got none. Free some.")

    monkeypatch.setattr(images, "write_png", full)
    code, lines, err = predict(image, "--out", tmp_path / "o")
    assert code == 5
    assert "outcome" in lines[str(image)]
    assert "A disk must have room" in err
    assert len((tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()) == 1


@posix
def test_an_image_may_come_out_of_a_pipe(predict, image):
    reader, writer = os.pipe()
    os.write(writer, image.read_bytes())
    os.close(writer)
    code, lines, _ = predict(f"/dev/fd/{reader}")
    os.close(reader)
    assert code in (0, 1)
    assert len(lines) == 1


def test_of_a_folder_hidden_files_are_no_images_and_others_are_counted(predict, image, tmp_path):
    for name in ("._part.png", ".DS_Store", "a.jfif", "b.gif", "notes.txt"):
        shutil.copy(image, tmp_path / name)
    (tmp_path / "inner").mkdir()
    code, lines, err = predict(tmp_path, tmp_path)
    assert code in (0, 1)
    assert list(lines) == [str(image)]
    assert err == (
        "left out of folders: 2 .gif, 2 .jfif, 2 subfolders; of a folder .bmp, .jpeg, .jpg, .png, "
        ".tif, .tiff, .webp are taken\n"
    )


def test_a_folder_of_other_images_alone_says_so(predict, image, tmp_path):
    (tmp_path / "others").mkdir()
    image.rename(tmp_path / "others" / "a.jfif")
    code, lines, _ = predict(tmp_path / "others")
    assert code == 3
    assert "but 1 .jfif" in lines[str(tmp_path / "others")]["error"]


def test_a_hidden_image_is_inspected_where_it_is_named(predict, image, tmp_path):
    hidden = image.rename(tmp_path / ".part.png")
    assert "outcome" in predict(hidden)[1][str(hidden)]


@pytest.mark.parametrize("name", ["n" * 250 + ".png", "检" * 80 + ".png"])
def test_outputs_of_a_long_name_are_called_by_its_beginning(predict, image, tmp_path, name):
    long = image.rename(tmp_path / name)
    code, _, err = predict(long, "--out", tmp_path / "o")
    assert (code, err) == (code % 2, "")
    (mask,) = (tmp_path / "o").glob("*.mask.png")
    assert long.stem.startswith(mask.name.removesuffix(".mask.png"))


def test_equal_beginnings_are_numbered(tmp_path):
    found = paths.listed([tmp_path / ("n" * 240 + end) for end in ("a.png", "b.png")])
    first, second = (item.stem for item in found.items)
    assert second == f"{first}_2"


# Templates


def test_a_template_has_the_whole_name_of_its_image(tmp_path, toy_bundle):
    for name in ("a.b.png", "._a.png", "c.png"):
        shutil.copy(toy_bundle / "golden" / "0.png", tmp_path / name)
    templates = paths.Templates(tmp_path)
    assert templates.of(tmp_path / "other" / "c.jpg") == tmp_path / "c.png"
    with pytest.raises(errors.ImageError, match="Got none named a in"):
        templates.of(tmp_path / "other" / "a.png")


def test_one_template_is_for_all_and_none_is_none(tmp_path):
    assert paths.Templates(tmp_path / "t.png").of(tmp_path / "a.png") == tmp_path / "t.png"
    assert paths.Templates(None).of(tmp_path / "a.png") is None


# Verdicts as they come


def test_verdicts_are_on_disk_as_soon_as_they_are_known(
    toy_bundle, image, tmp_path, monkeypatch, capsys
):
    inspect, seen = runtime.Inspector.inspect, []

    def stop(self, source, **options):
        if seen:
            on_disk = (tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()
            seen.append([json.loads(line)["path"] for line in on_disk])
            raise process.Terminated
        seen.append(source)
        return inspect(self, source, **options)

    monkeypatch.setattr(runtime.Inspector, "inspect", stop)
    words = ["predict", str(toy_bundle), str(image), str(image), "--out", str(tmp_path / "o")]
    assert cli.main(words) == 143
    assert seen[1] == [str(image)]
    assert "part.png" in capsys.readouterr().out  # the table of what there is


@pytest.mark.parametrize(
    "name", ["[blue].png", ":smile:.png", "lot[/7]/a.png", "$x$_y.png", "检查.png", "a b.png"]
)
def test_a_name_is_printed_as_it_is(toy_bundle, image, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    image.rename(tmp_path / name)
    code = cli.main(["predict", str(toy_bundle), name, "--out", "o"])
    assert code in (0, 1)
    assert name in capsys.readouterr().out
    (line,) = (tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == name


@posix
def test_bytes_that_are_no_text_and_controls_in_a_name_are_shown_as_escapes(
    toy_bundle, image, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = [os.fsdecode(b"bad\xff.png"), "new\nline\x1b[31m.png"]
    for name in names:
        shutil.copy(image, name)
    code = cli.main(["predict", str(toy_bundle), *names, "--out", "o"])
    out = capsys.readouterr().out
    assert code in (0, 1)
    assert r"bad\udcff.png" in out
    assert r"new\nline\x1b[31m.png" in out
    assert out.count("\n") == 3
    lines = (tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == names


def test_who_reads_no_more_ends_predict_unless_it_writes(toy_bundle, image, tmp_path, monkeypatch):
    inspected = []
    inspect = runtime.Inspector.inspect
    monkeypatch.setattr(
        runtime.Inspector,
        "inspect",
        lambda self, source, **options: (
            inspected.append(source) or inspect(self, source, **options)
        ),
    )
    monkeypatch.setattr(process, "is_unheard", lambda: True)
    words = ["predict", str(toy_bundle), str(image), str(image), "--json"]
    assert cli.main(words) == 141
    assert len(inspected) == 1
    code = cli.main([*words, "--out", str(tmp_path / "o")])
    assert code in (0, 1, 141)
    assert len(inspected) == 3
    assert len((tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()) == 2
