"""What inspects images as one bundle says."""

import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import (
    _batch,
    _engine,
    _engine_start,
    _golden,
    _locating,
    _prepared,
    _tiling,
    errors,
)
from inspection_tf._engine import Network
from inspection_tf._engine_names import AUTO, ONNX
from inspection_tf._judging import Judge
from inspection_tf._prepared import Prepared

# What declares pydantic sections is imported where it is first needed: `import pydantic` alone is
# lazy, and the first section brings the other two thirds of it.
if TYPE_CHECKING:
    from inspection_tf import bundle, decision

Source = str | os.PathLike[str] | bytes | NDArray[Any]


class Inspector(Judge):
    """Inspects images as one bundle says.

    Attributes:
        manifest: of the bundle.
        engine: runs the network that finds defects, or a field.
        classifier: runs the network that decides whether the other one is needed; None without one.
        refiner: runs the network that looks at each corner once more; None without one.
        engine_name: what runs them all.
        batch: images a call, where `inspect_many` has several.
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
        self.engine_name = ONNX
        self.batch = 1
        self.preprocessing = manifest.inputs[0].preprocessing

    @classmethod
    def load(
        cls,
        root: str | Path,
        *,
        engine: str = ONNX,
        check_golden: bool = True,
        threads: int | None = None,
        batch: int = 1,
        device: str = "cpu",
    ) -> "Inspector":
        """Read, check and start a bundle.

        Args:
            root: the bundle's folder.
            engine: `onnx`, the float32 ONNX files; the name of an engine that the bundle was
                converted to; or `auto`, the fastest of them on this machine, which is timed the
                first time and then remembered.
            check_golden: run the golden samples; leave it on outside of tests.
            threads: of one inference; None: one for each core.
            batch: images a call of the networks, where `inspect_many` has several.
            device: cpu, cuda or tensorrt for onnxruntime; one of OpenVINO's for its engines.

        Raises:
            errors.BundleError: the bundle is not as it was written, the engine cannot be started,
                or its golden samples do not come out.
            errors.ConfigError: the bundle has no such engine, or `batch` is not positive or more
                than the engine takes.
        """
        from inspection_tf import bundle

        if batch < 1:
            raise errors.ConfigError(f"batch must be at least 1. Got {batch}. Use for example 4.")
        root = Path(root)
        manifest = bundle.read(root)
        join = functools.partial(cls._of, root, manifest, batch)

        def check(name: str, networks: dict[str, Network]) -> None:
            if check_golden:
                join(name, networks).check_golden(root)

        asked: dict[str, Any] = {"threads": threads, "device": device, "batch": batch}
        if engine == AUTO:
            return join(*_engine_start.fastest(root, manifest, check, **asked))
        networks = _engine_start.start(root, manifest, engine, **asked)
        check(engine, networks)
        return join(engine, networks)

    @classmethod
    def _of(
        cls,
        root: Path,
        manifest: "bundle.Manifest",
        batch: int,
        name: str,
        networks: Mapping[str, Network],
    ) -> "Inspector":
        from inspection_tf import bundle

        entry = manifest.engines.get(name)
        file = entry.files[manifest.main] if entry else manifest.graph(manifest.main).file
        inspector = cls(
            manifest,
            networks[manifest.main],
            model_sha256=manifest.files[file],
            classifier=networks.get(bundle.CLASSIFIER),
            refiner=networks.get(bundle.REFINER),
        )
        inspector.engine_name, inspector.batch = name, batch
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
        return _prepared.prepare(
            self.manifest, image, template, keeps_pixels=self.refiner is not None
        )

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
        row: NDArray[np.float32] = self.classes_of(output, 1)[0]
        return row

    def classes_of(self, output: NDArray[Any], count: int) -> NDArray[np.float32]:
        """Return the first stage's output for `count` images, (count, classes), OK first.

        Raises:
            errors.BundleError: it is something else.
        """
        if output.ndim != 2 or output.shape[0] != count or output.shape[1] < 2:
            raise errors.BundleError(
                f"The classifier must return ({count}, classes), OK first. Got {output.shape}. "
                "Export the bundle again."
            )
        return output

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

        Where the bundle has tiles, of the whole image.

        Raises:
            errors.BundleError: it has another shape or dtype than the bundle says.
        """
        plan, size = self.manifest.tiles, self.preprocessing.size
        if plan is None:
            return self.checked(self.engine.run(prepared.image, prepared.template), size)

        def network(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self.checked(self.engine.run(tiles), size, count=len(tiles))

        classes = len(self.manifest.classes)
        return _tiling.run(prepared.image[0], size, plan, network, classes=classes)

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
        loaded = self._load((source, template))
        ready = time.perf_counter()
        verdict, model_s = self.judge(loaded.prepared)
        post_s = time.perf_counter() - ready - model_s
        return self._finished(verdict, loaded, 1e3 * model_s, 1e3 * post_s, metadata)

    def _load(self, pair: tuple[Source, Source | None]) -> _batch.Loaded:
        from inspection_tf import images

        def read(given: Source) -> NDArray[Any]:
            return images.read(given, orientation=self.preprocessing.orientation)

        started = time.perf_counter()
        source, template = pair
        image = read(source)
        prepared = self.prepare(image, None if template is None else read(template))
        return _batch.Loaded(image, prepared, 1e3 * (time.perf_counter() - started))

    def _load_both(self, pair: tuple[Source | None, Source | None]) -> _batch.Loaded:
        source, template = pair
        if source is None or template is None:
            raise errors.ImageError(
                "Each image must have its template. Got more "
                f"{'templates' if source is None else 'images'} of the two. Give as many."
            )
        return self._load((source, template))

    def _finished(
        self,
        verdict: "decision.Verdict",
        loaded: _batch.Loaded,
        model_ms: float,
        post_ms: float,
        metadata: Mapping[str, str] | None,
    ) -> "decision.Verdict":
        from inspection_tf import images

        return dataclasses.replace(
            verdict,
            model_id=self.manifest.model_id,
            model_sha256=self.model_sha256,
            image_sha256=images.digest(loaded.image),
            ms={"pre": loaded.pre_ms, "model": model_ms, "post": post_ms},
            metadata=dict(metadata or {}),
            image=loaded.image,
        )

    def judge(self, prepared: Prepared) -> "tuple[decision.Verdict, float]":
        """Decide about a prepared image; returns the verdict and the seconds in the networks."""
        outputs = _batch.run(self, [prepared])
        (verdict,) = _batch.conclude(self, [prepared], outputs)
        return verdict, outputs.model_s

    def inspect_many(
        self,
        sources: Iterable[Source],
        *,
        templates: Iterable[Source] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "Iterator[decision.Verdict]":
        """Decide about images, `batch` of them a call; see `inspect`.

        Images are decoded, run and decided about each while the others are; verdicts come in order.

        Args:
            sources: the images; taken some batches ahead.
            templates: one for each, in their order, where the bundle compares.
            metadata: passed through to every verdict.

        Raises:
            errors.ImageError: one cannot be read, or there are not as many templates as images;
                those before it have their verdicts.
        """
        load: Callable[[Any], _batch.Loaded] = self._load
        pairs: Iterable[Any] = ((source, None) for source in sources)
        if templates is not None:
            load, pairs = self._load_both, itertools.zip_longest(sources, templates)
        finish = functools.partial(self._finished, metadata=metadata)
        return _batch.stream(load, pairs, self, finish, batch=self.batch)

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
