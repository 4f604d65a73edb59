"""The data sections of formats whose images are drawn."""

from typing import Literal

import pydantic

from inspection_tf.datasets.drawn import inserts, photos, surfaces, xrays
from inspection_tf.datasets.records import Records, Split
from inspection_tf.datasets.sections.base import DrawnSpec
from inspection_tf.datasets.sections.masks import MasksSpec
from inspection_tf.synthesis.certificate import CertificateSpec
from inspection_tf.synthesis.grids import GridSpec
from inspection_tf.synthesis.inserts import InsertSpec
from inspection_tf.synthesis.surface import SurfaceSpec
from inspection_tf.synthesis.xrays import XraySpec


class SurfacesSpec(MasksSpec, DrawnSpec):
    """Drawn surfaces with defects, and how they are split."""

    format: Literal["synthetic"] = "synthetic"
    """Drawn surfaces."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    defective_share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of defective synthetic images."""
    weak_labels: bool = False
    """Label synthetic images with a covering ellipse instead of the exact mask."""
    surface: SurfaceSpec = SurfaceSpec()
    """What synthetic images are drawn from."""

    def draw(self) -> Records:
        """Return the records of the surfaces."""
        return surfaces.surfaces(
            count=self.count,
            defective_fraction=self.defective_share,
            spec=self.surface,
            seed=self.seed,
            weak_labels=self.weak_labels,
        )


class CertificatesSpec(DrawnSpec):
    """Drawn photos of certificates, and how they are split."""

    format: Literal["certificate"] = "certificate"
    """Drawn photos of certificates, which show their number or not."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    certificate: CertificateSpec = CertificateSpec()
    """What certificates are drawn from."""
    unseen: CertificateSpec | None = None
    """What the certificates of the test split are drawn from; none: the same."""
    unseen_count: int = pydantic.Field(default=400, ge=1)
    """Number of test photos that are drawn from `unseen`."""

    def draw(self) -> Records:
        """Return the records of the photos; those drawn from `unseen` are in the split `test`."""
        known = photos.certificates(count=self.count, spec=self.certificate, seed=self.seed)
        if self.unseen is None:
            return known
        unseen = photos.certificates(
            count=self.unseen_count, spec=self.unseen, seed=self.seed, name="unseen", split="test"
        )
        return known.joined(unseen)


class GridsSpec(DrawnSpec):
    """Drawn photos of printed grids of numbers, and how they are split."""

    format: Literal["grid"] = "grid"
    """Drawn photos of printed grids, which show the grid or not."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    grid: GridSpec = GridSpec()
    """What printed grids are drawn from."""

    def draw(self) -> Records:
        """Return the records of the photos."""
        return photos.printed_grids(count=self.count, spec=self.grid, seed=self.seed)


class InsertsSpec(DrawnSpec):
    """Drawn photos of cutting inserts, and how they are split: by the seed of the data alone."""

    format: Literal["inserts"] = "inserts"
    """Drawn photos of cutting inserts."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    broken_share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of images whose edge is broken."""
    labels: inserts.InsertLabels = "breakage"
    """breakage: a label says whether an edge is broken; wear: it is a mask of the wear land;
    damage: of the wear land and of what is chipped away."""
    insert: InsertSpec = InsertSpec()
    """What cutting inserts are drawn from."""

    def draw(self) -> Records:
        """Return the records of the photos, in the same splits whichever their labels are."""
        train = 1 - self.tune - self.test
        shares: dict[Split, float] = {"train": train, "tune": self.tune, "test": self.test}
        return inserts.photos(
            count=self.count,
            broken_share=self.broken_share,
            spec=self.insert,
            seed=self.seed,
            labels=self.labels,
            shares=None if self.folds else shares,
        )


class XraysSpec(DrawnSpec):
    """Drawn X-rays of a part, and how they are split: by the seed of the data alone."""

    format: Literal["xray"] = "xray"
    """Drawn X-rays of a part, each in a pose of its own."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    flawed_share: float = pydantic.Field(default=0.2, ge=0, le=1)
    """Share of tune and test images with something wrong with the part; it learns from intact
    ones."""
    training_shrink: int = pydantic.Field(default=1, ge=1)
    """How many times as wide the pixels are of images that only teach, each with the photons of all
    of its: what a network sees that reads them so anyway, and is drawn sooner."""
    training_samples: int = pydantic.Field(default=3, ge=1, le=89)
    """Rays in each pixel of images that only teach: a network sees no finer."""
    xray: XraySpec = XraySpec()
    """What X-rays are drawn from."""

    def draw(self) -> Records:
        """Return the records of the X-rays."""
        train = 1 - self.tune - self.test
        shares: dict[Split, float] = {"train": train, "tune": self.tune, "test": self.test}
        return xrays.radiographs(
            count=self.count,
            flawed_share=self.flawed_share,
            spec=self.xray,
            taught=self.xray.coarser(self.training_shrink).model_copy(
                update={"samples": self.training_samples}
            ),
            seed=self.seed,
            shares=None if self.folds else shares,
        )
