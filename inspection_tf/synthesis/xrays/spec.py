"""What X-rays are drawn from: a part, a scanner, and conditions that change from image to image."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pydantic

from inspection_tf import config, errors
from inspection_tf.projection import (
    Detector,
    Material,
    Part,
    Pose,
    Scanner,
    Setup,
    Solid,
    Spectrum,
    attenuation,
)
from inspection_tf.projection.parts import mesh_files
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.projection.radiographs import cut_share
from inspection_tf.synthesis.xrays.parts import DESIGNS, MATERIAL

_FILTER = {"copper": Material("Cu", 8.96)}
_MOST_KV = 600.0
_SHOWN = 1e-3  # share of the beam that a part must take to be seen
_LOOKS = 8  # turns in which the part must be seen as a whole
_CUT = 0.01  # of the part that may lie beside the image
_ROOM = 1.05  # times the part: what the image shows around it, beside its range of places
_Side = Annotated[int, pydantic.Field(ge=1, le=8192)]
Span = tuple[pydantic.FiniteFloat, pydantic.FiniteFloat]


class PartSpec(config.Section):
    """What is X-rayed."""

    design: Literal["bracket", "hub"] = "bracket"
    """A part to begin with, where no file is given; the hub looks alike four times in a turn."""
    file: Path | None = None
    """STL of your own part, closed; it lies with the middle of its box at the origin."""
    unit: Literal["mm", "in"] | None = None
    """Of the numbers in that file, which does not say it."""
    looks_alike: int | None = pydantic.Field(default=None, ge=1)
    """How often it looks alike in a turn about its vertical axis, y; none: as often as the design
    does, and a part from a file once."""
    formula: str = "Al"
    """Of its material, chemical."""
    density: float = pydantic.Field(default=2.7, gt=0, allow_inf_nan=False)
    """Of its material, g/cm3."""

    @pydantic.model_validator(mode="after")
    def _file_has_a_unit(self) -> "PartSpec":
        if (self.file is None) != (self.unit is None):
            raise ValueError(
                "file and unit go together, as numbers of a mesh have none, "
                f"got {self.file} and {self.unit}: give both, or none"
            )
        return self

    @property
    def symmetry(self) -> int:
        """How often it is known to look alike in a turn about its vertical axis."""
        if self.looks_alike is not None:
            return self.looks_alike
        return DESIGNS[self.design].symmetry if self.file is None else 1

    def read(self) -> Part:
        """Return the part.

        Raises:
            errors.DataError: the file is no closed mesh.
            errors.BundleError: what reads it is not installed.
        """
        if self.file is None or self.unit is None:
            return DESIGNS[self.design].part
        return Solid(mesh_files.read_mesh(self.file, unit=self.unit), MATERIAL)


class XraySpec(config.Section):
    """What X-rays are drawn from. Of each pair every image has a number between both."""

    part: PartSpec = PartSpec()
    """What is X-rayed."""
    poses: PoseRange = PoseRange()
    """How it may lie."""
    size: tuple[_Side, _Side] = (224, 224)
    """(height, width) of an image, px."""
    beam: Literal["cone", "parallel"] = "cone"
    """cone: from a point; parallel: as from far away."""
    source_detector_mm: float = pydantic.Field(default=1000.0, gt=0, allow_inf_nan=False)
    """From the source to the detector."""
    source_part_mm: float = pydantic.Field(default=700.0, gt=0, allow_inf_nan=False)
    """From the source to the part."""
    pixel_mm: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
    """Side of a pixel; none: so that the part fills the image wherever it lies."""
    kv: Span = (140.0, 180.0)
    """Voltage of the tube."""
    copper_mm: Span = (0.3, 0.8)
    """Thickness of its filter."""
    focal_spot_mm: Span = (0.2, 2.0)
    """Width of the source, at half its height."""
    scatter: Span = (0.05, 0.15)
    """Share of what the part takes from the beam that meets the detector elsewhere."""
    scatter_px: Span = (25.0, 60.0)
    """Standard deviation of how far."""
    flaw_mm: Span = (1.0, 3.0)
    """Diameter of what is drilled or added where something is wrong with the part."""
    detector: Detector = Detector()
    """What does not change: photons, gain, dead pixels, bits."""
    samples: int = pydantic.Field(default=13, ge=1, le=89)
    """Rays in each pixel."""

    @pydantic.model_validator(mode="after")
    def _spans_rise(self) -> "XraySpec":
        for name in ("kv", "copper_mm", "focal_spot_mm", "scatter", "scatter_px", "flaw_mm"):
            low, high = getattr(self, name)
            least = {"kv": 1.0, "scatter_px": 1.0, "flaw_mm": 0.1}.get(name, 0.0)
            if not least <= low <= high:
                raise ValueError(
                    f"{name} must be two numbers of {least:g} or more, the smaller one first, "
                    f"got {low:g} and {high:g}"
                )
        if self.source_part_mm >= self.source_detector_mm:
            raise ValueError(
                "source_part_mm must be less than source_detector_mm, "
                f"got {self.source_part_mm:g} and {self.source_detector_mm:g}"
            )
        if self.kv[1] > _MOST_KV:
            raise ValueError(
                f"kv must be {_MOST_KV:g} at most, over which attenuation is not tabulated well, "
                f"got {self.kv[1]:g}"
            )
        if self.scatter[1] >= 1:
            raise ValueError(f"scatter must be under 1, got {self.scatter[1]:g}")
        return self

    def of_part(self, file: Path | None, unit: Literal["mm", "in"] | None) -> "XraySpec":
        """Return the same of a part of one's own.

        Args:
            file: STL of the part; None: the part as it is.
            unit: of its numbers.

        Raises:
            errors.ConfigError: one is given without the other.
        """
        if (file is None) != (unit is None):
            raise errors.ConfigError(
                "--part and --unit go together: a mesh does not say in which unit it is. Got "
                f"{'--unit alone' if file is None else '--part alone'}. Give both, or none."
            )
        if file is None:
            return self
        part = self.part.model_copy(update={"file": file, "unit": unit})
        return self.model_copy(update={"part": part})

    def coarser(self, factor: int) -> "XraySpec":
        """Return the same with pixels so many times as wide, each with the photons of all of its.

        Args:
            factor: which divides both sides of the image.

        Raises:
            errors.ConfigError: it does not.
        """
        height, width = self.size
        if height % factor or width % factor:
            raise errors.ConfigError(
                f"The sides of an image must be divisible by {factor} to have pixels so many times "
                f"as wide. Got {height} x {width}. Choose another size, or 1."
            )
        taken = self.detector
        detector = taken.model_copy(
            update={
                "photons": taken.photons * factor**2,
                "detector_blur_px": taken.detector_blur_px / factor,
                "gain_px": taken.gain_px / factor,
            }
        )
        low, high = self.scatter_px
        return self.model_copy(
            update={
                "size": (height // factor, width // factor),
                "pixel_mm": None if self.pixel_mm is None else self.pixel_mm * factor,
                "scatter_px": (low / factor, high / factor),
                "detector": detector,
            }
        )

    def nominal(self) -> Setup:
        """Return the part before its scanner, in the middle of what changes.

        Raises:
            errors.DataError: the part is no closed mesh, or does not fit the scanner.
            errors.BundleError: what reads it is not installed.
        """
        part = self.part.read()
        scanner = self._scanner(part)
        reach = part.reach + self.poses.z_mm
        if self.beam == "cone" and reach >= self.source_part_mm:
            raise errors.DataError(
                f"The source must lie outside the part. Got a part that reaches {reach:.4g} mm, "
                f"{self.source_part_mm:.4g} mm from the source. Check its unit, or move it away."
            )
        behind = self.source_detector_mm - self.source_part_mm
        if self.beam == "cone" and reach >= behind:
            raise errors.DataError(
                f"The detector must lie outside the part. Got a part that reaches {reach:.4g} mm, "
                f"{behind:.4g} mm before the detector. Check its unit, or move it."
            )
        kv, copper = sum(self.kv) / 2, sum(self.copper_mm) / 2
        setup = self.conditions(part, scanner, kv=kv, copper=copper)
        taken = 1 - float(setup.signal(Pose()).min())
        if not taken > _SHOWN:
            raise errors.DataError(
                f"The part must show. Got one that takes {taken:.2g} of the beam at most. "
                "Check its unit and its material, or give smaller pixels."
            )
        cut = max(cut_share(setup, pose) for pose in self._outermost())
        if cut > _CUT:
            height, width = scanner.field_of_view_mm
            raise errors.DataError(
                f"The image must show all of the part. Got {cut:.0%} of it beside the field of "
                f"view of {width:.4g} x {height:.4g} mm: its radius is {part.reach:.4g} mm. "
                "Check its unit, or give larger pixels."
            )
        return setup

    def _outermost(self) -> list[Pose]:
        """Return poses in which a part comes farthest to the border of the image."""
        turns = np.linspace(*self.poses.phi_deg, _LOOKS, endpoint=False)
        across, near = self.poses.xy_mm, -self.poses.z_mm
        aside = [(x, y) for x in (-across, across) for y in (-across, across)]
        return [Pose(turn, 0.0, 0.0, x, y, near) for turn in turns for x, y in aside]

    def conditions(self, part: Part, scanner: Scanner, *, kv: float, copper: float) -> Setup:
        """Return a part before a scanner with a beam.

        Args:
            part: of `nominal`.
            scanner: likewise.
            kv: voltage of the tube.
            copper: thickness of its filter, mm.
        """
        bins = 8
        energies = attenuation.middles(kv, bins=bins)
        own = {MATERIAL: Material(self.part.formula, self.part.density)}
        found = attenuation.coefficients({**_FILTER, **own}, energies)
        spectrum = Spectrum.of_tube(kv, filter_mu=found["copper"] * copper, bins=bins)
        return Setup(part, scanner, spectrum, {MATERIAL: found[MATERIAL]})

    def _scanner(self, part: Part) -> Scanner:
        scanner = Scanner(
            beam=self.beam,
            size=self.size,
            pixel_mm=self.pixel_mm or 1.0,
            source_detector_mm=self.source_detector_mm,
            source_part_mm=self.source_part_mm,
        )
        if self.pixel_mm is not None:
            return scanner
        room = 2 * (part.reach * _ROOM + self.poses.xy_mm)
        # What comes nearer to the source is seen larger.
        nearest = self.source_part_mm - self.poses.z_mm - part.reach / 2
        larger = self.source_part_mm / nearest if self.beam == "cone" and nearest > 0 else 1.0
        pixel = room * larger * scanner.magnification / min(self.size)
        return scanner.model_copy(update={"pixel_mm": float(f"{pixel:.4g}")})
