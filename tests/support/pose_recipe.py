"""The recipe of poses at toy size: a small image, and poses near one another."""

from pathlib import Path

from inspection_tf import config
from pipelines import xray_pose

SIZE = (64, 64)
PIPELINES = Path(__file__).parents[2] / "pipelines"


def toy(**changes):
    """Return the configuration; `changes` replaces whole sections."""
    values = config.load(xray_pose.Config, PIPELINES / "xray_pose.yaml").model_dump()
    values["data"] |= {
        "count": 100,
        "tune": 0.05,
        "test": 0.05,
        "training_samples": 1,
        "training_shrink": 2,
    }
    values["data"]["xray"] |= {"size": SIZE, "samples": 5}
    values["data"]["xray"]["poses"] |= {
        "phi_deg": (20.0, 32.0),
        "theta_deg": 3.0,
        "psi_deg": 3.0,
        "xy_mm": 1.0,
        "z_mm": 2.0,
    }
    values["preprocessing"]["size"] = SIZE
    # A small image is a second's work for each start.
    values["rules"]["refinement"]["starts"] = 1
    finder = values["finder"]
    finder["loader"] |= {"batch_size": 12}
    finder["train"] |= {"epochs": 25, "learning_rate": 0.005, "validate_every": 25}
    finder["model"] |= {"phi_classes": 12, "dense_units": (16,), "cell_channels": 8}
    return config.validate(xray_pose.Config, values | changes, origin="test")
