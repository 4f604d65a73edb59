"""Copies of a bundle whose files are links: refused, and told what they are and what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inspection_tf import bundle, cli, errors

pytest.importorskip("onnx")
if os.name != "posix":
    pytest.skip("links of POSIX", allow_module_level=True)


def copy(origin, target, *, link):
    """Copy a tree, with a link in place of each file, as `cp -al` and `cp -as` do."""
    shutil.copytree(origin, target, copy_function=lambda a, b: link(Path(a).absolute(), b))
    return target


def refusal(root):
    with pytest.raises(errors.BundleError) as caught:
        bundle.read(root)
    return str(caught.value)


def test_a_backup_of_hard_links_is_told_what_it_is(toy_bundle_copy, tmp_path):
    backup = copy(toy_bundle_copy, tmp_path / "backup", link=os.link)
    said = refusal(backup)
    assert "all of them are, as a backup makes them (cp -al, rsync --link-dest)" in said
    assert f"cp -rL {backup} COPY" in said
    assert "as a backup makes them" in refusal(toy_bundle_copy)  # the origin shares them too


def test_one_hard_link_is_no_backup(toy_bundle_copy, tmp_path):
    os.link(toy_bundle_copy / "model.onnx", tmp_path / "elsewhere.onnx")
    said = refusal(toy_bundle_copy)
    assert said.startswith(f"{toy_bundle_copy / 'model.onnx'}: ")
    assert "a hard link to a file that lies elsewhere too; 1 of " in said
    assert "backup" not in said


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden", "golden/0.npy"])
def test_a_symbolic_link_is_named_with_its_target(toy_bundle_copy, tmp_path, name):
    shutil.move(toy_bundle_copy / name, tmp_path / "moved")
    (toy_bundle_copy / name).symlink_to(tmp_path / "moved")
    said = refusal(toy_bundle_copy)
    assert said.startswith(f"{toy_bundle_copy / name}: a bundle must hold ")
    assert f"a symbolic link to '{tmp_path}/moved'" in said
    assert f"cp -rL {toy_bundle_copy} COPY" in said


def test_a_copy_of_symbolic_links_is_named_as_such(toy_bundle_copy, tmp_path):
    links = copy(toy_bundle_copy, tmp_path / "links", link=os.symlink)
    assert "a symbolic link to " in refusal(links)


def test_the_target_of_a_link_cannot_flood_the_message(toy_bundle_copy):
    (toy_bundle_copy / "golden" / "x.npy").symlink_to("a\n" * 1000)
    assert len(refusal(toy_bundle_copy)) < 600


def test_a_pipe_is_no_link(toy_bundle_copy):
    os.mkfifo(toy_bundle_copy / "golden" / "x.npy")
    assert "a device, a pipe or a socket" in refusal(toy_bundle_copy)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_the_way_out_leads_out(toy_bundle_copy, tmp_path, link, capsys):
    links = copy(toy_bundle_copy, tmp_path / "links", link=link)
    assert cli.main(["verify", str(links)]) == 4
    subprocess.run(["cp", "-rL", str(links), str(tmp_path / "own")], check=True)
    assert cli.main(["verify", str(tmp_path / "own")]) == 0


def test_a_link_to_the_whole_folder_is_the_bundle(toy_bundle_copy, tmp_path):
    (tmp_path / "latest").symlink_to(toy_bundle_copy)
    assert bundle.read(tmp_path / "latest") == bundle.read(toy_bundle_copy)
