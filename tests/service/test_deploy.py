"""What docs/deploy holds does what it says."""

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import service_process
from service_process import KEPT

from inspection_tf.service.models import Place

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docs" / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def instructions(name):
    """Return the arguments of each instruction of that name of the Dockerfile."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


def test_the_unit_says_how_to_start_reload_and_stop_a_service():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string((ROOT / "docs" / "deploy" / "inspection.service").read_text())
    program, command, bundle, *options = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, command) == ("inspection", "serve")
    assert Place.of(bundle) == Place("line", Path("/srv/inspection/current"))
    assert options == ["--host", "127.0.0.1", "--port", "8080"]
    assert unit["Service"]["ExecReload"].endswith("-HUP $MAINPID")
    assert unit["Service"]["SuccessExitStatus"] == "143"


def test_the_container_is_not_root_and_asks_a_service_for_its_health():
    assert instructions("USER") == ["10001"]
    (health,) = instructions("HEALTHCHECK")
    _, flag, code = json.loads(health.partition("CMD ")[2])
    assert flag == "-c"
    with service_process.serving(KEPT / "schema_4_segmentation") as service:
        asked = code.replace(":8080", f":{service.port}")
        assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
    assert (
        subprocess.run(
            [sys.executable, "-c", asked], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 1
    )


@pytest.mark.slow
def test_the_steps_of_the_container_make_a_service_without_tensorflow(tmp_path):
    names = subprocess.run(
        ["git", "ls-files", "-z", "inspection_tf", "pipelines", "setup.cfg", "pyproject.toml",
         "README.md", "LICENSE"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    source, target = tmp_path / "src", tmp_path / "opt"
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COV", "VIRTUAL_ENV"))
    }
    for step in instructions("RUN"):
        step = step.replace("/src", str(source)).replace("/opt/inspection", str(target))
        first, _, rest = step.partition(" ")
        command = f"{sys.executable} {rest}" if first == "python" else step
        subprocess.run(command, shell=True, check=True, env=environment, cwd=tmp_path)
    (entry,) = instructions("ENTRYPOINT")
    program, command = json.loads(entry)
    words = [program.replace("/opt/inspection", str(target)), command]
    with service_process.serving(
        KEPT / "schema_4_segmentation", command=words, cwd=tmp_path
    ) as service:
        image = next((KEPT / "schema_4_segmentation" / "golden").glob("*.png")).read_bytes()
        assert service.json("POST", "/inspect", image)["outcome"] in ("OK", "NG", "REVIEW")
    python = target / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import tensorflow"], check=False, stderr=subprocess.DEVNULL
    )
    assert found.returncode == 1
