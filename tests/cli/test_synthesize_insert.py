import pytest

from inspection_tf import cli, images


def synthesize(*words):
    return cli.main(["synthesize", "insert", *map(str, words)])


def test_inserts_are_written_as_the_options_say(tmp_path, capsys):
    words = ["--out", tmp_path / "set", "--count", 4, "--seed", 2, "--broken-share", 0.25]
    assert synthesize(*words, "--spec.size", 48, 65, "--spec.mm-per-px", 0.02) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "set")
    names = sorted(
        path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").rglob("*.*")
    )
    assert names == [
        "broken/0003.png",
        *(f"masks/000{index}.png" for index in range(4)),
        "settings.yaml",
        "truth.csv",
        *(f"unbroken/000{index}.png" for index in range(3)),
    ]
    assert images.read(tmp_path / "set" / "broken" / "0003.png").shape == (48, 65)
    head, *lines = (tmp_path / "set" / "truth.csv").read_text().splitlines()
    assert head == "file,broken,vb_mean_um,vb_max_um,chipping_um,mm_per_px"
    assert [line.split(",")[:2] for line in lines] == [
        ["unbroken/0000.png", "0"],
        ["unbroken/0001.png", "0"],
        ["unbroken/0002.png", "0"],
        ["broken/0003.png", "1"],
    ]


def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(tmp_path):
    assert synthesize("--out", tmp_path / "set", "--count", 0) == 2
    assert synthesize("--out", tmp_path / "set", "--count", 2, "--broken-share", 1.5) == 2
    assert synthesize("--out", tmp_path / "set", "--count", 2, "--seed", -1) == 2
    with pytest.raises(SystemExit) as ended:  # the words of the command line themselves
        synthesize("--out", tmp_path / "set", "--count", 2, "--spec.vb-um", 9, 3)
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []
