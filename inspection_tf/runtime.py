"""Bundle + image -> `Verdict`, on onnxruntime alone.

    inspector = runtime.Inspector.load("bundle")
    verdict = inspector.inspect("part.png")

An inspector may be shared by threads. It refuses to start when the bundle's golden samples do not
come out as they were recorded.
"""

import dataclasses
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import _engine, _golden, _locating, errors
from inspection_tf._engine import Engine, Network
from inspection_tf._golden import GOLDEN, GOLDEN_TOLERANCE
from inspection_tf._judging import Judge

# What declares pydantic sections is imported where it is first needed: `import pydantic` alone is
# lazy, and the first section brings the other two thirds of it.
if TYPE_CHECKING:
    from inspection_tf import bundle, decision, images

__all__ = ["GOLDEN", "GOLDEN_TOLERANCE", "Engine", "Inspector", "Network", "Prepared", "Source"]

Source = str | os.PathLike[str] | bytes | NDArray[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """An image, and its template if there is one, as the networks take them.

    Attributes:
        image: (1, height, width, channels), uint8.
        template: likewise, or None.
        placement: where the source lies in it.
        pixels: (H, W) or (H, W, 3) uint8, the source in the channels of the networks, for a second
            look; None where there is none.
    """

    image: NDArray[np.uint8]
    template: NDArray[np.uint8] | None
    placement: "images.Placement"
    pixels: NDArray[np.uint8] | None = None


class Inspector(Judge):
    """Inspects images as one bundle says.

    Attributes:
        manifest: of the bundle.
        engine: runs the network that finds defects, or a field.
        classifier: runs the network that decides whether the other one is needed; None without one.
        refiner: runs the network that looks at each corner once more; None without one.
    """

    def __init__(
        self,
        manifest: "bundle.Manifest",
        engine: Network,
        *,
        model_sha256: str,
        classifier: Network | None = None,
        refiner: Network | None = None,
    ) -> None:
        """Join a manifest and its networks; `load` is the way from a folder.

        Raises:
            errors.BundleError: a classifier or a refiner is missing, or not in the manifest.
        """
        if (manifest.closeups is not None) != (refiner is not None):
            raise errors.BundleError(
                "A bundle with close-ups, and no other, must have a refiner. "
                f"Got {'one' if refiner else 'none'}. Give the networks that the manifest lists."
            )
        if manifest.is_cascade != (classifier is not None):
            raise errors.BundleError(
                "A bundle of two stages, and no other, must have a classifier. "
                f"Got {len(manifest.graphs)} graphs and {'one' if classifier else 'none'}. "
                "Give the networks that the manifest lists."
            )
        self.manifest = manifest
        self.engine = engine
        self.classifier = classifier
        self.refiner = refiner
        self.model_sha256 = model_sha256
        self.preprocessing = manifest.inputs[0].preprocessing

    @classmethod
    def load(
        cls, root: str | Path, *, check_golden: bool = True, threads: int | None = None
    ) -> "Inspector":
        """Read, check and start a bundle.

        Args:
            root: the bundle's folder.
            check_golden: run the golden samples; leave it on outside of tests.
            threads: of one inference; None: one for each core.

        Raises:
            errors.BundleError: the bundle is not as it was written, or its golden samples do not
                come out.
        """
        from inspection_tf import bundle

        root = Path(root)
        manifest = bundle.read(root)

        def start(name: str) -> Engine:
            return Engine((root / manifest.graph(name).file).read_bytes(), threads=threads)

        inspector = cls(
            manifest,
            start(manifest.main),
            model_sha256=manifest.files[manifest.graph(manifest.main).file],
            classifier=start(bundle.CLASSIFIER) if manifest.is_cascade else None,
            refiner=start(bundle.REFINER) if manifest.closeups else None,
        )
        if check_golden:
            inspector.check_golden(root)
        return inspector

    def prepare(self, image: NDArray[Any], template: NDArray[Any] | None = None) -> Prepared:
        """Align and preprocess a decoded image.

        Args:
            image: (height, width) or (height, width, 3) RGB, uint8 or uint16.
            template: likewise; what the image should look like.

        Raises:
            errors.ImageError: a template is missing, of another size, or not wanted; or the image
                does not fit the bundle.
        """
        from inspection_tf import images, registration

        if (template is not None) != self.manifest.has_template:
            raise errors.ImageError(
                "This bundle compares each image with its template. Got an image without one. "
                "Give its template."
                if template is None
                else "This bundle inspects images alone. Got a template too. Leave it out."
            )
        if template is None:
            # The steps of `images.preprocess`, of which a second look needs the first.
            image = images.read(image)
            placement = images.placement((image.shape[0], image.shape[1]), self.preprocessing)
            pixels = images.in_channels(image, self.preprocessing)
            prepared = images.lay(pixels, placement)
            return Prepared(prepared[None], None, placement, pixels if self.refiner else None)
        prepared, laid, placement = registration.prepare(
            image, template, self.preprocessing, self.manifest.alignment
        )
        return Prepared(prepared[None], laid[None], placement)

    def class_probability(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return what the first stage says of an image: (classes,), 0..1, OK first.

        Raises:
            errors.BundleError: there is no first stage, or it returns something else.
        """
        if self.classifier is None:
            raise errors.BundleError(
                "Only a bundle of two stages has a first score. Got one of one stage. "
                "Ask for its probability."
            )
        output = self.classifier.run(prepared.image, prepared.template)
        if output.ndim != 2 or output.shape[0] != 1 or output.shape[1] < 2:
            raise errors.BundleError(
                f"The classifier must return (1, classes), OK first. Got {output.shape}. "
                "Export the bundle again."
            )
        row: NDArray[np.float32] = output[0]
        return row

    def ng_score(self, prepared: Prepared) -> float:
        """Return the first stage's score: how sure it is that the image is not OK, 0..1."""
        return _engine.ng_score(self.class_probability(prepared))

    def defect_map(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the probability of each class of defect in the size of the source.

        Returns:
            (height, width), or (height, width, classes) where there are several classes.
        """
        return self.to_source(self.run(prepared), prepared.placement)

    def output(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return what the networks say of an image, before any threshold, whatever stage decides.

        Returns:
            `defect_map`; or, where a field is located, (9,): see `located`.
        """
        return self.located(prepared) if self.manifest.is_located else self.defect_map(prepared)

    def conclude(self, output: NDArray[Any], prepared: Prepared) -> "decision.Verdict":
        """Apply thresholds and rules to an `output`."""
        if self.manifest.is_located:
            return self.locate(output, prepared.placement.source_size)
        return self.decide(output)

    def located(
        self, prepared: Prepared, coarse: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return where the field of an image lies, after the second look if there is one.

        Args:
            prepared: the image.
            coarse: (9,), what the locator returns for it; None: it runs.

        Returns:
            (9,): x and y of top left, top right, bottom right and bottom left as shares of the
            source's width and height, 0 on its left or upper border, then the confidence.

        Raises:
            errors.BundleError: a network returns another shape or dtype than the bundle says.
        """
        if coarse is None:
            coarse = _engine.checked(self.engine.run(prepared.image), (1, 9))[0]
        return _locating.refined(coarse, prepared, self.manifest.closeups, self.refiner)

    def run(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the segmenter's output: (1, height, width, classes) of the network's input.

        Raises:
            errors.BundleError: it has another shape or dtype than the bundle says.
        """
        return self._checked(self.engine.run(prepared.image, prepared.template))

    def _checked(self, output: NDArray[Any]) -> NDArray[np.float32]:
        return _engine.checked(output, (1, *self.preprocessing.size, len(self.manifest.classes)))

    def to_source(self, output: NDArray[Any], placement: "images.Placement") -> NDArray[np.float32]:
        """Bring the segmenter's output for one image to the size of its source; see `defect_map`.

        Raises:
            errors.BundleError: the output has another shape or dtype than the bundle says.
        """
        layers = np.moveaxis(self._checked(output)[0], -1, 0)
        maps = [placement.map_to_source(np.ascontiguousarray(layer)) for layer in layers]
        return maps[0] if len(maps) == 1 else np.stack(maps, axis=-1)

    def probability(
        self, image: NDArray[Any], template: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability map of a decoded image, in its own size, whatever stage decides.

        Args:
            image: (height, width) or (height, width, 3) RGB, uint8 or uint16.
            template: likewise, where the bundle compares.

        Returns:
            (height, width), or (height, width, classes) where there are several; 0..1.
        """
        return self.defect_map(self.prepare(image, template))

    def inspect(
        self,
        source: Source,
        *,
        template: Source | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "decision.Verdict":
        """Decide about one image.

        Args:
            source: a path, a file's bytes, or an array: grey or RGB (never BGR), uint8 or uint16.
            template: what the image should look like, where the bundle compares.
            metadata: passed through to the verdict: camera, lot, time.

        Raises:
            errors.ImageError: the image cannot be read or does not fit the bundle.
        """
        from inspection_tf import images

        def read(given: Source) -> NDArray[Any]:
            return images.read(given, orientation=self.preprocessing.orientation)

        started = time.perf_counter()
        image = read(source)
        prepared = self.prepare(image, None if template is None else read(template))
        ready = time.perf_counter()
        verdict, model_s = self.judge(prepared)
        done = time.perf_counter()
        return dataclasses.replace(
            verdict,
            model_id=self.manifest.model_id,
            model_sha256=self.model_sha256,
            image_sha256=images.digest(image),
            ms={
                "pre": 1e3 * (ready - started),
                "model": 1e3 * model_s,
                "post": 1e3 * (done - ready - model_s),
            },
            metadata=dict(metadata or {}),
            image=image,
        )

    def judge(self, prepared: Prepared) -> "tuple[decision.Verdict, float]":
        """Decide about a prepared image; returns the verdict and the seconds in the networks."""
        first, spent = None, 0.0
        if self.manifest.is_located:
            started = time.perf_counter()
            located = self.located(prepared)
            spent = time.perf_counter() - started
            return self.locate(located, prepared.placement.source_size), spent
        if self.classifier is not None:
            started = time.perf_counter()
            first = self.class_probability(prepared)
            spent = time.perf_counter() - started
            stopped = self.stopped(_engine.ng_score(first), prepared.placement.source_size)
            if stopped is not None:
                return stopped, spent
        started = time.perf_counter()
        output = self.engine.run(prepared.image, prepared.template)
        spent += time.perf_counter() - started
        return self.decide(self.to_source(output, prepared.placement), first=first), spent

    def inspect_many(
        self,
        sources: Iterable[Source],
        *,
        templates: Iterable[Source] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "Iterator[decision.Verdict]":
        """Decide about images one after the other; see `inspect`.

        Args:
            sources: the images.
            templates: one for each, in their order, where the bundle compares.
            metadata: passed through to every verdict.

        Raises:
            errors.ImageError: one cannot be read, or there are not as many templates as images;
                those before it have their verdicts.
        """
        if templates is None:
            for source in sources:
                yield self.inspect(source, metadata=metadata)
            return
        for source, template in itertools.zip_longest(sources, templates):
            if source is None or template is None:
                raise errors.ImageError(
                    "Each image must have its template. Got more "
                    f"{'templates' if source is None else 'images'} of the two. Give as many."
                )
            yield self.inspect(source, template=template, metadata=metadata)

    def check_golden(self, root: str | Path) -> int:
        """Run the golden samples of a bundle, every network on each of them.

        Args:
            root: the bundle's folder, already checked.

        Returns:
            The number of samples that came out as recorded.

        Raises:
            errors.BundleError: one did not.
        """
        return _golden.check(self, Path(root))
