"""What inspects images as one bundle says."""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines.names import AUTO, ONNX
from inspection_tf.engines.onnxruntime_engine import Network
from inspection_tf.runtime import batches, engine_start, golden, preparation
from inspection_tf.runtime import sources as given
from inspection_tf.runtime.preparation import Prepared
from inspection_tf.runtime.runner import Runner

# What declares pydantic sections is imported where it is first needed: `import pydantic` alone is
# lazy, and the first section brings the other two thirds of it.
if TYPE_CHECKING:
    from inspection_tf import bundle, decision, images
    from inspection_tf.images import Source
    from inspection_tf.tasks.base import Context, Task


class Inspector(Runner):
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

    @property
    def task(self) -> "Task":
        """What the bundle is for."""
        from inspection_tf import tasks

        return tasks.get(self.manifest.task)

    @property
    def context(self) -> "Context":
        """What its task decides by."""
        from inspection_tf.tasks.base import Context

        manifest = self.manifest
        values = {
            "rules": manifest.field_rules if manifest.is_located else manifest.rules,
            "tiles": manifest.tiles,
            "closeups": manifest.closeups,
        }
        section = self.task.settings
        known = {name: value for name, value in values.items() if name in section.model_fields}
        return Context(
            classes=manifest.classes,
            preprocessing=self.preprocessing,
            settings=section(**known),
            operating_point=manifest.operating_point,
            stage_points=manifest.stage_points,
            mm_per_px=manifest.mm_per_px,
            alignment=manifest.alignment if manifest.has_template else None,
        )

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
            return join(*engine_start.fastest(root, manifest, check, **asked))
        networks = engine_start.start(root, manifest, engine, **asked)
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

    def prepare(
        self, image: "Source", template: "Source | None" = None, *, copy: bool = True
    ) -> Prepared:
        """Read, align and preprocess an image.

        Args:
            image: as `inspect` takes it.
            template: likewise; what the image should look like.
            copy: of arrays, whose owner may change them; without it what comes out may share their
                memory.

        Raises:
            errors.ImageError: the image cannot be read or does not fit the bundle; a template is
                missing, of another size, or not wanted.
        """
        if copy:
            taken = self._take(image, template)
            image, template = taken.image, taken.template
        return preparation.prepare(
            self.manifest,
            self._read(image),
            None if template is None else self._read(template),
        )

    def probability(self, image: "Source", template: "Source | None" = None) -> NDArray[np.float32]:
        """Return the probability map of an image, in its own size, whatever stage decides.

        Args:
            image: as `inspect` takes it.
            template: likewise, where the bundle compares.

        Returns:
            (height, width), or (height, width, classes) where there are several; 0..1.
        """
        return self.defect_map(self.prepare(image, template))

    def inspect(
        self,
        source: "Source",
        *,
        template: "Source | None" = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "decision.Verdict":
        """Decide about one image.

        Args:
            source: a path, a file's bytes, an open file (binary, read from where it stands), an
                image of Pillow, or an array: grey or RGB (never BGR), uint8 or uint16. The verdict
                keeps a copy: the array is the caller's.
            template: likewise; what the image should look like, where the bundle compares.
            metadata: passed through to the verdict: camera, lot, time.

        Raises:
            errors.ImageError: the image cannot be read or does not fit the bundle.
            errors.ConfigError: JSON cannot hold the metadata.
        """
        kept = self._metadata(metadata)
        loaded = self._load(self._take(source, template))
        ready = time.perf_counter()
        verdict, model_s = self.judge(loaded.prepared)
        post_s = time.perf_counter() - ready - model_s
        return self._finished(verdict, loaded, 1e3 * model_s, 1e3 * post_s, kept)

    def inspect_part(
        self,
        sources: "Iterable[Source] | Mapping[str, Source]",
        *,
        templates: "Iterable[Source] | None" = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "decision.CompositeVerdict":
        """Decide about a part by all images of it: the gravest verdict is that of the part.

        An image that cannot be read, or does not fit the bundle, leaves the part to a person unless
        another image makes it NG: it is never OK.

        Args:
            sources: its images, each as `inspect` takes it; or names to them. Without names they
                are called by their paths, else by their numbers from 1.
            templates: one for each, in their order, where the bundle compares.
            metadata: passed through to every verdict.

        Raises:
            errors.ImageError: `sources` is one image, or there are not as many templates.
            errors.ConfigError: there is no image, two have one name, or JSON cannot hold the
                metadata.
        """
        from inspection_tf import decision

        kept = self._metadata(metadata)
        verdicts: dict[str, decision.Verdict] = {}
        failures: dict[str, str] = {}
        for name, source, template in given.named(sources, templates):
            try:
                verdicts[name] = self.inspect(source, template=template, metadata=kept)
            except errors.ImageError as problem:
                failures[name] = str(problem)
        return decision.CompositeVerdict.of(verdicts, failures)

    @staticmethod
    def _metadata(metadata: Mapping[str, str] | None) -> dict[str, Any]:
        from inspection_tf.decision import metadata as passed_through

        return passed_through.checked(metadata)

    def _take(self, source: "Source", template: "Source | None") -> given.Taken:
        return given.take(source, template, orientation=self.preprocessing.orientation)

    def _read(self, source: "Source") -> "images.Image":
        from inspection_tf import images

        return images.read(source, orientation=self.preprocessing.orientation)

    def _load(self, taken: given.Taken) -> batches.Loaded:
        started = time.perf_counter()
        image = self._read(taken.image)
        template = None if taken.template is None else self._read(taken.template)
        prepared = self.prepare(image, template, copy=False)
        pre_ms = taken.ms + 1e3 * (time.perf_counter() - started)
        return batches.Loaded(image, prepared, pre_ms)

    def _finished(
        self,
        verdict: "decision.Verdict",
        loaded: batches.Loaded,
        model_ms: float,
        post_ms: float,
        metadata: dict[str, Any],
    ) -> "decision.Verdict":
        from inspection_tf import images

        return dataclasses.replace(
            verdict,
            model_id=self.manifest.model_id,
            model_sha256=self.model_sha256,
            promise=self.manifest.promise,
            image_sha256=images.digest(loaded.image),
            ms={"pre": loaded.pre_ms, "model": model_ms, "post": post_ms},
            metadata=dict(metadata),
            image=loaded.image,
        )

    def judge(self, prepared: Prepared) -> "tuple[decision.Verdict, float]":
        """Decide about a prepared image; returns the verdict and the seconds in the networks."""
        outputs = batches.run(self, [prepared])
        (verdict,) = batches.conclude(self, [prepared], outputs)
        return verdict, outputs.model_s

    def inspect_many(
        self,
        sources: "Iterable[Source]",
        *,
        templates: "Iterable[Source] | None" = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "Iterator[decision.Verdict]":
        """Decide about images, `batch` of them a call; see `inspect`.

        Images are decoded, run and decided about each while the others are; verdicts come in order.

        Args:
            sources: the images, each as `inspect` takes it; taken some batches ahead, and copied
                before the next one is asked for, so that a camera may fill one array anew.
            templates: one for each, in their order, where the bundle compares.
            metadata: passed through to every verdict.

        Raises:
            errors.ImageError: one cannot be read, or there are not as many templates as images;
                those before it have their verdicts. At once: `sources` is one image.
            errors.ConfigError: at once: JSON cannot hold the metadata; later: the process has
                forked since, and this is the child.
        """
        finish = functools.partial(self._finished, metadata=self._metadata(metadata))
        taken = given.each(sources, templates, orientation=self.preprocessing.orientation)
        return batches.stream(self._load, taken, self, finish, batch=self.batch)

    def check_golden(self, root: str | Path) -> int:
        """Run the golden samples of a bundle, every network on each of them.

        Args:
            root: the bundle's folder, already checked.

        Returns:
            The number of samples that came out as recorded.

        Raises:
            errors.BundleError: one did not.
        """
        return golden.check(self, Path(root))
