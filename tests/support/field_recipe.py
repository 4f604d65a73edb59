"""The recipe of fields at toy size."""

from pathlib import Path

from inspection_tf import config
from pipelines import certificate_corners

PIPELINES = Path(__file__).parents[2] / "pipelines"
PHOTO = {"size": (96, 128)}


def toy(**changes):
    """The settings shipped, but for what costs time."""
    path = PIPELINES / "certificate_corners.yaml"
    values = config.load(certificate_corners.Config, path).model_dump()
    values["data"] |= {"count": 40, "unseen_count": 10, "tune": 0.25}
    for name in ("certificate", "unseen"):
        values["data"][name]["photo"] |= PHOTO
    values["preprocessing"]["size"] = (48, 64)
    values["locator"]["model"] |= {"filters": (4, 8), "raised": 1}
    values["refiner"]["model"] |= {"filters": (4, 8), "raised": 1}
    values["refiner"]["closeups"]["size_px"] = 16
    for name, shown in (("locator", 16), ("refiner", 64)):
        values[name]["loader"] |= {"batch_size": 8, "images_per_epoch": shown}
        values[name]["train"] |= {"epochs": 2, "validate_every": 1, "pictures": 2}
    values["threshold"]["method"] = "f_beta"
    return config.validate(certificate_corners.Config, values | changes, origin="test")
