"""The sets that `inspection synthesize` writes: one class a kind, its fields the options."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from inspection_tf import errors, images, process
from inspection_tf.cli.arguments import Scan
from inspection_tf.synthesis import certificate, inserts, surface, xrays
from inspection_tf.synthesis.certificate import CertificateSpec, PhotoSpec
from inspection_tf.synthesis.grids import GridSpec
from inspection_tf.synthesis.inserts import InsertSpec
from inspection_tf.synthesis.xrays import XraySpec

if TYPE_CHECKING:
    from inspection_tf.datasets.records import Records

_Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surfaces:
    """Surfaces with defects: folders good, defect, masks, ellipses."""

    out: Path
    """New folder."""
    count: int
    """Number of images."""
    seed: int = 0
    """The same seed draws the same images."""
    defective_fraction: float = 0.5
    """Share of defective images, 0..1."""
    spec: surface.SurfaceSpec = dataclasses.field(default_factory=surface.SurfaceSpec)
    """What to draw from."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        return surface.write_folder(
            self.out,
            count=self.count,
            defective_fraction=self.defective_fraction,
            spec=self.spec,
            seed=self.seed,
            progress=lambda done: progress(done, self.count),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certificates:
    """Photos of made-up certificates, and corners.csv with the corners of their number."""

    out: Path
    """New folder."""
    count: int
    """Number of photos."""
    seed: int = 0
    """The same seed draws the same photos."""
    spec: CertificateSpec = dataclasses.field(default_factory=CertificateSpec)
    """What to draw from."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        from inspection_tf.datasets.drawn import photos as drawn_photos

        photos = drawn_photos.certificates(count=self.count, spec=self.spec, seed=self.seed)
        return _write_photos(self, photos, progress)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grids:
    """Photos of printed grids of numbers, and corners.csv with the corners of their frames."""

    out: Path
    """New folder."""
    count: int
    """Number of photos."""
    seed: int = 0
    """The same seed draws the same photos."""
    spec: GridSpec = dataclasses.field(default_factory=GridSpec)
    """What to draw from."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        from inspection_tf.datasets.drawn import photos as drawn_photos

        photos = drawn_photos.printed_grids(count=self.count, spec=self.spec, seed=self.seed)
        return _write_photos(self, photos, progress)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inserts:
    """Photos of cutting inserts: folders unbroken, broken, masks of the wear land; truth.csv."""

    out: Path
    """New folder."""
    count: int
    """Number of photos."""
    seed: int = 0
    """The same seed draws the same photos."""
    broken_share: float = 0.5
    """Share of broken edges, 0..1."""
    spec: InsertSpec = dataclasses.field(default_factory=InsertSpec)
    """What to draw from."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        return inserts.write_folder(
            self.out,
            count=self.count,
            broken_share=self.broken_share,
            spec=self.spec,
            seed=self.seed,
            progress=lambda done: progress(done, self.count),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Xrays:
    """X-rays of a part, poses.csv with how it lies on each, and part.npz with the part."""

    out: Path
    """New folder."""
    count: int
    """Number of images."""
    seed: int = 0
    """The same seed draws the same images."""
    part: Path | None = None
    """STL of your own part, closed; none: a bracket."""
    unit: Literal["mm", "in"] | None = None
    """Of the numbers in that file, which does not say it."""
    flawed_share: float = 0.0
    """Share of images with something wrong with the part, 0..1."""
    spec: XraySpec = dataclasses.field(default_factory=XraySpec)
    """What to draw from."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        return xrays.write_folder(
            self.out,
            count=self.count,
            spec=self.spec.of_part(self.part, self.unit),
            seed=self.seed,
            flawed_share=self.flawed_share,
            progress=lambda done: progress(done, self.count),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copies:
    """Photos of your own form, and corners.csv with the corners of its field."""

    scan: Scan
    """Image of the form alone, border to border."""
    out: Path
    """New folder."""
    count: int
    """Number of photos."""
    corners: tuple[_Point, _Point, _Point, _Point] | None = None
    """Of the field on the scan, px: top left, top right, bottom right, bottom left of its text.
    Without them they are looked for as painted pixels."""
    seed: int = 0
    """The same seed draws the same photos."""
    without_field_share: float = 0.1
    """Share of photos that do not show the field, 0..1."""
    spec: PhotoSpec = dataclasses.field(default_factory=PhotoSpec)
    """How they are taken."""

    def write(self, progress: process.Progress) -> Path:
        """Write the set; `progress` is called after each image."""
        from inspection_tf.datasets.drawn import photos as drawn_photos
        from inspection_tf.datasets.readers.located import markers

        image = images.to_uint8(images.read(self.scan))
        if self.corners is not None:
            template = certificate.from_template(image, self.corners)
        else:
            painted = markers.find(image, where=str(self.scan))
            if painted is None:
                raise errors.ConfigError(
                    f"The corners of the field must be known. Got none, and none painted in "
                    f"{self.scan}. Add --corners X Y X Y X Y X Y, or paint them."
                )
            template = certificate.from_template(markers.remove(image, painted), painted)
        photos = drawn_photos.of_templates(
            [template],
            count=self.count,
            spec=self.spec,
            seed=self.seed,
            without_field_share=self.without_field_share,
        )
        return _write_photos(self, photos, progress)


def _write_photos(
    kind: Certificates | Grids | Copies, photos: "Records", progress: process.Progress
) -> Path:
    from inspection_tf.datasets.drawn import photos as drawn_photos

    return drawn_photos.write_folder(
        photos,
        kind.out,
        settings=kind.spec,
        seed=kind.seed,
        progress=lambda done: progress(done, kind.count),
    )


Kind = (
    Annotated[Surfaces, tyro.conf.subcommand("surface", prefix_name=False)]
    | Annotated[Certificates, tyro.conf.subcommand("certificate", prefix_name=False)]
    | Annotated[Grids, tyro.conf.subcommand("grid", prefix_name=False)]
    | Annotated[Inserts, tyro.conf.subcommand("insert", prefix_name=False)]
    | Annotated[Xrays, tyro.conf.subcommand("xray", prefix_name=False)]
    | Annotated[Copies, tyro.conf.subcommand("template", prefix_name=False)]
)


def synthesize(kind: Annotated[Kind, tyro.conf.arg(name="")]) -> int:
    """Write synthetic images with exact labels.

    Args:
        kind: what to draw.
    """
    if kind.seed < 0:
        raise errors.ConfigError(
            f"--seed must be 0 or a larger whole number. Got {kind.seed}. Use for example 0."
        )
    with process.bar("drawing") as progress:
        written = kind.write(progress)
    process.say(str(written))
    return errors.OK
