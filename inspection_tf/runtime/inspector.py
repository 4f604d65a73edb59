"""What inspects images as one bundle says."""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines.names import AUTO, ONNX
from inspection_tf.engines.network import Network
from inspection_tf.runtime import batches, engine_start, golden
from inspection_tf.runtime import sources as given_sources
from inspection_tf.runtime.runner import Runner

# What declares pydantic sections is imported where it is first needed: `import pydantic` alone is
# lazy, and the first section brings the other two thirds of it.
if TYPE_CHECKING:
    from inspection_tf import bundle, decision, images
    from inspection_tf.images import Source
    from inspection_tf.tasks.base import Networks, Prepared


class Inspector(Runner):
    """Inspects images as one bundle says.

    Attributes:
        manifest: of the bundle.
        networks: by the names of their graphs.
        engine_name: what runs them.
        batch: images a call, where `inspect_many` has several.
        preprocessing: of the images.
    """

    def __init__(
        self,
        manifest: "bundle.Manifest",
        networks: "Networks | Network",
        *,
        model_sha256: str,
        engine_name: str = ONNX,
        batch: int = 1,
        **more: Network | None,
    ) -> None:
        """Join a manifest and its networks; `load` is the way from a folder.

        Args:
            manifest: of the bundle.
            networks: by the names of their graphs. The `model.py` of Triton repositories written
                by version 0.1 gives the main one here, and others as arguments of their names.
            model_sha256: SHA-256 of the file that the main network was started from.
            engine_name: what runs them.
            batch: images a call, where `inspect_many` has several.
            **more: further networks by name; None: there is none of that name.

        Raises:
            errors.BundleError: the networks are not those of the manifest.
        """
        from inspection_tf import tasks

        named = networks if isinstance(networks, Mapping) else {manifest.main: networks}
        by_name = {**named, **{name: one for name, one in more.items() if one is not None}}
        graphs = [graph.name for graph in manifest.graphs]
        if sorted(by_name) != sorted(graphs):
            raise errors.BundleError(
                f"The networks must be those of the manifest, {', '.join(graphs)}. "
                f"Got {', '.join(sorted(by_name))}. Give one for each graph."
            )
        in_order = {name: by_name[name] for name in graphs}
        super().__init__(tasks.get(manifest.task), in_order, manifest.context)
        self.manifest = manifest
        self.model_sha256 = model_sha256
        self.engine_name = engine_name
        self.batch = batch
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

        def joined(name: str, networks: Mapping[str, Network]) -> Inspector:
            entry = manifest.engines.get(name)
            file = entry.files[manifest.main] if entry else manifest.graph(manifest.main).file
            return cls(
                manifest,
                networks,
                model_sha256=manifest.files[file],
                engine_name=name,
                batch=batch,
            )

        def check(name: str, networks: dict[str, Network]) -> None:
            if check_golden:
                joined(name, networks).check_golden(root)

        if engine == AUTO:
            fastest = engine_start.fastest(
                root, manifest, check, threads=threads, device=device, batch=batch
            )
            return joined(*fastest)
        networks = engine_start.start(
            root, manifest, engine, threads=threads, device=device, batch=batch
        )
        check(engine, networks)
        return joined(engine, networks)

    def prepare(
        self, image: "Source", template: "Source | None" = None, *, copy: bool = True
    ) -> "Prepared":
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
        return self.prepare_decoded(
            self._read(image), None if template is None else self._read(template)
        )

    def probability(self, image: "Source", template: "Source | None" = None) -> NDArray[np.float32]:
        """Return what the networks say of an image, whatever stage decides; see `array_of`.

        Args:
            image: as `inspect` takes it.
            template: likewise, where the bundle compares.

        Returns:
            Of defects their probability map in the size of the image: (height, width), or (height,
            width, classes) where there are several; 0..1.
        """
        return self.array_of(self.prepare(image, template))

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
        checked = self._metadata(metadata)
        (verdict,) = self.inspect_loaded([self.load_image(source, template)], [checked])
        return verdict

    def load_image(self, source: "Source", template: "Source | None" = None) -> batches.Loaded:
        """Read, decode and prepare an image, in any thread; `inspect_loaded` takes it.

        Args:
            source: as `inspect` takes it.
            template: likewise, where the bundle compares.

        Raises:
            errors.ImageError: the image cannot be read or does not fit the bundle.
        """
        return self._load(self._take(source, template))

    def inspect_loaded(
        self, loaded: Sequence[batches.Loaded], metadata: Sequence[Mapping[str, str]]
    ) -> "list[decision.Verdict]":
        """Decide about images that are loaded, in one call of the networks.

        Args:
            loaded: at least one, of `load_image`.
            metadata: of each, passed through to its verdict.

        Raises:
            errors.BundleError: a network returns another shape or dtype than the bundle says.
        """
        ready = time.perf_counter()
        outputs = self.run([item.prepared for item in loaded])
        model_ms = 1e3 * (time.perf_counter() - ready) / len(loaded)
        verdicts = []
        for output, item, told in zip(outputs, loaded, metadata, strict=True):
            ran = time.perf_counter()
            verdict = self.decide(output, item.prepared)
            post_ms = 1e3 * (time.perf_counter() - ran)
            verdicts.append(self._finished(verdict, item, model_ms, post_ms, dict(told)))
        return verdicts

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

        checked = self._metadata(metadata)
        verdicts: dict[str, decision.Verdict] = {}
        failures: dict[str, str] = {}
        for name, source, template in given_sources.named(sources, templates):
            try:
                verdicts[name] = self.inspect(source, template=template, metadata=checked)
            except errors.ImageError as problem:
                failures[name] = str(problem)
        return decision.CompositeVerdict.of(verdicts, failures)

    @staticmethod
    def _metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
        from inspection_tf.decision import metadata as passed_through

        return passed_through.checked(metadata)

    def _take(self, source: "Source", template: "Source | None") -> given_sources.Taken:
        return given_sources.take(source, template, orientation=self.preprocessing.orientation)

    def _read(self, source: "Source") -> "images.Image":
        from inspection_tf import images

        return images.read(source, orientation=self.preprocessing.orientation)

    def _load(self, taken: given_sources.Taken) -> batches.Loaded:
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
        metadata: dict[str, str],
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
            window_xyxy=loaded.prepared.placement.window_xyxy,
        )

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
        taken = given_sources.each(sources, templates, orientation=self.preprocessing.orientation)
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
        entry = self.manifest.engines.get(self.engine_name)
        engine = None if entry is None else (self.engine_name, entry)
        return golden.check(self, Path(root), self.manifest.files, engine=engine)
