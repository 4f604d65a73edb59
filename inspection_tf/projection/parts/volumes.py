"""Parts without a drawing: what a scan of the part itself shows, as attenuation in small cubes.

The scan is of a parallel beam: the part turns about the vertical axis and a projection is taken at
each angle. Row by row of the detector that is a tomography of two dimensions.
"""

import dataclasses
import importlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.projection.parts.part import PathLengths
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Rays, Scanner

_Floats = NDArray[np.float64]
_POINTS = 2_000_000  # are looked up at once, which bounds the memory
_ROUND = 3  # views that a spline sees beyond half a turn
_OPPOSITE = 0.05  # degrees from half a turn, of views that are taken to be opposite
_FRACTIONS = 100  # of a px, to which views are registered
_UPRIGHT = 1e-9  # 1 less the cosine of the angle to the vertical: less is rounding
_MARGIN = 20  # the width is so many times what is taken to be air on each side
_DARK = 1e-4  # least transmission whose logarithm is taken


@dataclasses.dataclass(frozen=True)
class Volume:
    """Attenuation in cubes around the origin of a part.

    Attributes:
        values: (depth, height, width) float32, what one mm attenuates: along z, y and x.
        voxel_mm: side of a cube.
        material: name of what `path_lengths` returns: lengths times attenuation, without a unit. So
            its attenuation in a `Setup` has none either: 1 at the energy of the scan.

    Raises:
        errors.DataError: there is nothing in it, a number is not finite, or a side is not over 0.
    """

    values: NDArray[np.float32]
    voxel_mm: float
    material: str = "scan"

    def __post_init__(self) -> None:
        """Check that something is in it."""
        values = self.values
        if values.ndim != 3 or not values.size or not np.isfinite(values).all():
            raise errors.DataError(
                "A volume needs finite numbers of shape (depth, height, width). "
                f"Got {values.shape}. Reconstruct it again."
            )
        if not values.max() > 0 or not (np.isfinite(self.voxel_mm) and self.voxel_mm > 0):
            raise errors.DataError(
                "A volume needs some attenuation, and cubes with a side over 0 mm. "
                f"Got {values.max():.3g} at most and {self.voxel_mm} mm. Reconstruct it again."
            )

    @property
    def materials(self) -> tuple[str, ...]:
        """Its one material."""
        return (self.material,)

    @property
    def reach(self) -> float:
        """Half its diagonal, mm."""
        return float(np.linalg.norm(self.values.shape)) * self.voxel_mm / 2

    @property
    def is_sharp(self) -> bool:
        """False: between cubes it is smooth."""
        return False

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> PathLengths:
        """Return what each ray meets, in steps of a cube: see `Part`."""
        scanner.require_before_source(pose, self.reach)
        upright = pose.rotation[1, 1] > 1 - _UPRIGHT
        if scanner.beam == "parallel" and upright and samples == 1:
            return {self.material: self._upright(scanner, pose)}
        shape = scanner.size[0] * samples, scanner.size[1]
        rays = scanner.into_part(scanner.rays(samples=samples), pose)
        near = rays.passing(np.zeros(3), self.reach)
        found = np.zeros(shape)
        count = 2 * int(np.ceil(self.reach / self.voxel_mm)) + 1
        for some in np.array_split(near, max(1, len(near) * count // _POINTS)):
            found.reshape(-1)[some] = self._met(rays.some(some), count)
        return {self.material: found}

    def _upright(self, scanner: Scanner, pose: Pose) -> _Floats:
        """Return `path_lengths` of a part that is only turned about the vertical axis.

        Each row of the detector sees a slice of its own, and all of them alike: so one matrix,
        from the cubes of a slice to the pixels of a row, says it all.
        """
        from scipy import sparse

        depth, height, width = self.values.shape
        rays = scanner.into_part(scanner.rays(), pose)
        row = rays.some(np.arange(scanner.size[1]))
        places = self._places(row, 2 * int(np.ceil(self._radius / self.voxel_mm)) + 1)
        z, _, x = places
        z0, x0 = np.floor(z).astype(np.int64), np.floor(x).astype(np.int64)
        met = sparse.csr_matrix((len(row), depth * width))
        for down in (0, 1):
            for right in (0, 1):
                weight = np.abs(1 - down - (z - z0)) * np.abs(1 - right - (x - x0))
                at_z, at_x = z0 + down, x0 + right
                inside = (at_z >= 0) & (at_z < depth) & (at_x >= 0) & (at_x < width)
                ray, _ = np.nonzero(inside)
                cubes = (at_z * width + at_x)[inside]
                met = met + sparse.csr_matrix((weight[inside], (ray, cubes)), shape=met.shape)
        slices = met @ self.values.transpose(0, 2, 1).reshape(depth * width, height)
        # The rows of the detector lie between two slices each.
        y = rays.origin[:: scanner.size[1], 1] / self.voxel_mm + (height - 1) / 2
        padded = np.pad(slices, [(0, 0), (1, 1)])
        above = np.clip(np.floor(y).astype(np.int64) + 1, 0, height)
        share = np.clip(y + 1 - above, 0.0, 1.0)
        found = padded[:, above] * (1 - share) + padded[:, above + 1] * share
        return np.asarray(found.T * self.voxel_mm)

    @property
    def _radius(self) -> float:
        """Half the diagonal of a slice, mm."""
        return float(np.hypot(self.values.shape[0], self.values.shape[2])) * self.voxel_mm / 2

    def _places(self, rays: Rays, count: int) -> _Floats:
        """Return (3, n, count), places along rays in cubes: along z, y and x."""
        origin, direction = np.broadcast_arrays(rays.origin, rays.direction)
        nearest = origin - (origin * direction).sum(axis=1, keepdims=True) * direction
        along = (np.arange(count) - (count - 1) / 2) * self.voxel_mm
        points = nearest[:, None] + along[:, None] * direction[:, None]
        middle = (np.array(self.values.shape)[::-1] - 1) / 2
        return np.moveaxis((points / self.voxel_mm + middle)[..., ::-1], 2, 0)

    def _met(self, rays: Rays, count: int) -> _Floats:
        """Return (n,), the sums of the attenuation at points a cube's side apart along rays."""
        from scipy import ndimage

        values = ndimage.map_coordinates(
            self.values, self._places(rays, count), output=np.float64, order=1, mode="grid-constant"
        )
        return np.asarray(values.sum(axis=1) * self.voxel_mm)


def axis_px(transmission: ArrayLike, angles: ArrayLike) -> float:
    """Return where a part turns, px right of the image's middle.

    Opposite views are mirrored: with `p(c)` at an angle, `p(2 axis - c)` is half a turn later.
    Where a scan has such pairs, registering them says where the axis is. Where it has none, the
    middle of all that attenuates does, which goes round the axis on a circle and of which a
    projection shows `axis + a cos(angle) + b sin(angle)`: that takes a beam of one energy, without
    scatter.

    The part must be seen in its whole width at each angle, with air on both sides.

    Args:
        transmission: (n, height, width), projections of a parallel beam.
        angles: (n,), degrees about the vertical axis.

    Raises:
        errors.DataError: there are fewer than three angles, or nothing attenuates.
        errors.BundleError: scikit-image is absent.
    """
    return _axis_px(*_checked(transmission, angles))


def _checked(transmission: ArrayLike, angles: ArrayLike) -> tuple[_Floats, _Floats]:
    """Return (n, height, width), what attenuates, and (n,) degrees.

    Raises:
        errors.DataError: see `axis_px`.
    """
    attenuation, degrees = _attenuation(transmission), np.asarray(angles, np.float64)
    several = degrees.shape == attenuation.shape[:1] and np.isfinite(degrees).all()
    if not several or len(np.unique(degrees % 180)) < 3:
        raise errors.DataError(
            "A scan needs an angle for each projection, and three of them or more that are not "
            f"opposite. Got {len(attenuation)} projections and {degrees.size} angles. Give more."
        )
    return attenuation, degrees


def _axis_px(attenuation: _Floats, degrees: _Floats) -> float:
    """Return where a part turns: see `axis_px`."""
    mass = attenuation.sum(axis=(1, 2))
    if not (mass > 0).all():
        raise errors.DataError(
            "Each projection of a scan must show the part. Got one on which nothing attenuates. "
            "Leave it out."
        )
    pairs = _opposite(degrees)
    if len(pairs):
        return float(
            np.median([_axis_of(attenuation[one], attenuation[two]) for one, two in pairs])
        )
    turns, columns = np.radians(degrees), attenuation.sum(axis=1)
    width = columns.shape[1]
    middles = columns @ (np.arange(width) - (width - 1) / 2) / mass
    circle = np.stack([np.ones_like(turns), np.cos(turns), np.sin(turns)], axis=1)
    return float(np.linalg.lstsq(circle, middles, rcond=None)[0][0])


def _opposite(degrees: _Floats) -> NDArray[np.intp]:
    """Return (k, 2), views of which the second is half a turn after the first."""
    apart = (degrees[None] - degrees[:, None]) % 360
    return np.argwhere(np.triu(np.abs(apart - 180) < _OPPOSITE))


def _axis_of(one: _Floats, opposite: _Floats) -> float:
    """Return where the axis of two opposite views (height, width) is, px right of the middle."""
    shift, _, _ = _skimage("registration").phase_cross_correlation(
        one, opposite[:, ::-1], upsample_factor=_FRACTIONS, normalization=None
    )
    # Mirrored about the middle, it lies twice the axis to the left of the first view.
    return float(shift[1]) / 2


def from_scan(
    transmission: ArrayLike,
    angles: ArrayLike,
    *,
    pixel_mm: float,
    axis: float | None = None,
    between: int = 1,
) -> Volume:
    """Return the volume of a part from its projections, by filtered back projection.

    In the pose with phi = angle, and all else 0, the part looks as its projection does, but that
    its axis lies in the image's middle.

    Args:
        transmission: (n, height, width), of a parallel beam, spread over 180 degrees.
        angles: (n,), degrees about the vertical axis.
        pixel_mm: side of a pixel, and of the cubes.
        axis: where the part turns, px right of the image's middle; None: `axis_px` finds it.
        between: how many projections are made of one, by a spline through the angles. Few
            projections leave streaks by which a volume looks most like its part at their own
            angles; with more of them it looks alike at all.

    Raises:
        errors.DataError: see `axis_px`.
        errors.BundleError: scikit-image is absent.
    """
    transform = _skimage("transform")
    from scipy import ndimage

    attenuation, degrees = _checked(transmission, angles)
    sound = np.isfinite([pixel_mm, axis or 0.0]).all() and pixel_mm > 0
    if not sound or not isinstance(between, int) or between < 1:
        raise errors.DataError(
            "A volume needs pixels over 0 mm, an axis that is a number, and a whole number of "
            f"projections made of one. Got {pixel_mm}, {axis} and {between}. Correct them."
        )
    if axis is None:
        axis = _axis_px(attenuation, degrees)
    # What is seen from both sides, as at the two ends of half a turn, would count twice.
    is_first = np.ones(len(degrees), np.bool_)
    is_first[_opposite(degrees)[:, 1]] = False
    attenuation, degrees = attenuation[is_first], degrees[is_first]
    # An odd width with the axis in its middle, and room for what the shift moves out.
    margin = int(np.ceil(abs(axis))) + 1
    wide = np.pad(attenuation, [(0, 0), (0, 0), (margin, margin + 1 - attenuation.shape[2] % 2)])
    middle = (attenuation.shape[2] - 1) / 2 + axis + margin
    shifted = ndimage.shift(wide, (0, 0, wide.shape[2] // 2 - middle), order=3)
    shifted, degrees = _denser(shifted, degrees, between)
    slices = [
        transform.iradon(shifted[:, row].T, theta=degrees, filter_name="ramp", circle=True)
        for row in range(shifted.shape[1])
    ]
    # A slice has its rows against z, the detector's rows become the second axis.
    values = np.stack([found[::-1] for found in slices], axis=1) / pixel_mm
    return Volume(values.astype(np.float32), pixel_mm)


def _denser(attenuation: _Floats, degrees: _Floats, between: int) -> tuple[_Floats, _Floats]:
    """Return projections (n, height, width) about the middle column, and more between them."""
    if between <= 1:
        return attenuation, degrees
    from scipy import interpolate

    degrees, order = np.unique(degrees, return_index=True)
    attenuation = attenuation[order]
    rounds = min(_ROUND, len(degrees))
    if degrees[-1] - degrees[0] < 180:
        # Half a turn later a view is mirrored: the spline goes round.
        around = attenuation[:, :, ::-1]
        attenuation = np.concatenate([around[-rounds:], attenuation, around[:rounds]])
        degrees = np.concatenate([degrees[-rounds:] - 180, degrees, degrees[:rounds] + 180])
        first, last = degrees[rounds], degrees[rounds] + 180
        count = (len(degrees) - 2 * rounds) * between
    else:
        first, last, count = degrees[0], degrees[-1], len(degrees) * between
    spline = interpolate.CubicSpline(degrees, attenuation, axis=0)
    angles = np.linspace(first, last, count, endpoint=False)
    return np.asarray(spline(angles)), angles


def _skimage(module: str) -> Any:
    """Return a module of scikit-image.

    Raises:
        errors.BundleError: it is absent.
    """
    try:
        return importlib.import_module(f"skimage.{module}")
    except ImportError as problem:
        raise installed.missing("scikit-image", "xray", "A volume from a scan") from problem


def _attenuation(transmission: ArrayLike) -> _Floats:
    """Return (n, height, width), minus the logarithm, 0 in the air at the left and the right.

    Dead pixels are as those around them.
    """
    from scipy import ndimage

    found = np.asarray(transmission, np.float64)
    if found.ndim != 3 or not found.size or not np.isfinite(found).all():
        raise errors.DataError(
            "A scan needs finite projections of shape (n, height, width). "
            f"Got {found.shape}. Read them again."
        )
    dead = found <= _DARK
    if dead.any():
        around = ndimage.median_filter(found, size=(1, 3, 3), mode="nearest")
        found = np.where(dead, around, found)
    found = -np.log(np.maximum(found, _DARK))
    # The beam may be brighter on one side, and its brightness may change during the scan.
    width = found.shape[2]
    margin = max(1, width // _MARGIN)
    left, right = (np.median(found[:, :, side], axis=(1, 2)) for side in _sides(margin))
    share = np.clip((np.arange(width) - margin / 2) / (width - margin), 0.0, 1.0)
    return np.asarray(found - (left[:, None] + np.outer(right - left, share))[:, None])


def _sides(margin: int) -> tuple[slice, slice]:
    """Return the columns at the left and the right."""
    return slice(None, margin), slice(-margin, None)
