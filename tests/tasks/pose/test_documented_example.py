"""What docs/xray_pose.md shows runs as it stands there."""

import contextlib
import csv
import io
import re
from pathlib import Path

import pytest

from inspection_tf.synthesis.xrays import XraySpec, write_folder

PAGE = Path(__file__).parents[3] / "docs" / "xray_pose.md"


@pytest.mark.slow
def test_the_example_finds_the_pose(tmp_path, monkeypatch):
    pytest.importorskip("xraydb")
    write_folder(tmp_path / "DIR", count=1, spec=XraySpec(size=(96, 96)), seed=0)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(compile(example, str(PAGE), "exec"), names)
    (row,) = csv.DictReader((tmp_path / "DIR" / "poses.csv").read_text().splitlines())
    found = names["found"].fit.pose
    assert abs((found.phi - float(row["phi"]) + 180) % 360 - 180) < 0.2
    assert abs(found.theta - float(row["theta"])) < 0.2
    assert "Deviations(" in printed.getvalue()
    assert "\n()\n" in printed.getvalue()
