"""A bundle: the folder a deployment team receives. Read with suspicion, written atomically.

Reading checks the schema, then paths, file types, sizes and hashes, then the model's bytes, and
only then lets a parser see anything. See `Manifest` for what a bundle says of itself.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pydantic

from inspection_tf import (
    _onnx_guard,
    config,
    decision,
    errors,
    files,
    images,
    registration,
    thresholds,
)
from inspection_tf.closeups import CloseupSpec

# 2: several graphs and classes, templates; 3: fields and their corners. Older ones are still read.
SCHEMA_VERSION = 3
SEGMENTER, CLASSIFIER = "segmenter", "classifier"
LOCATOR, REFINER = "locator", "refiner"
Task = Literal["segmentation", "two_stage_segmentation", "corners"]
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_FILE_BYTES = 2 * 2**30
_DEEPEST_JSON = 40
# Also takes a string that is cut off, and never has to try twice.
_JSON_STRING = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SUFFIXES = frozenset({".onnx", ".keras", ".json", ".npy", ".png", ".md"})


class Graph(config.Section):
    """One network of a bundle."""

    name: str
    file: str
    when: str = "always"
    """`always`, or what the graph before must say for this one to run: `NG`, or `located`."""


class Input(config.Section):
    """What a graph is fed."""

    name: str
    preprocessing: images.Preprocessing


class Output(config.Section):
    """What a graph returns."""

    name: str
    kind: str
    """`probability_map`, `class_probability`, or `corners`: x and y of each, then a confidence."""
    unit: str
    shape: tuple[int | str, ...]
    graph: str = SEGMENTER
    """The graph that returns it."""


class Data(config.Section):
    """The images a bundle was made from, so that a later conversion can read them again."""

    format: str
    root: str | None = None
    sha256: str
    splits: dict[str, list[str]]
    """Record ids per split."""
    source: dict[str, Any] = pydantic.Field(default_factory=dict)
    """The whole data section of the recipe."""


class Provenance(config.Section):
    """Where a bundle comes from."""

    recipe: str
    config: dict[str, Any]
    seed: int
    commit: str | None = None
    versions: dict[str, str]
    data: Data


class Manifest(config.Section):
    """What a bundle says of itself: `manifest.json`."""

    schema_version: int = pydantic.Field(default=SCHEMA_VERSION, ge=1)
    model_id: str
    task: Task
    classes: tuple[str, ...] = pydantic.Field(min_length=1)
    """Of defects, in the order of the map's channels."""
    graphs: tuple[Graph, ...] = pydantic.Field(min_length=1)
    inputs: tuple[Input, ...] = pydantic.Field(min_length=1)
    outputs: tuple[Output, ...] = pydantic.Field(min_length=1)
    alignment: registration.AlignSpec = registration.AlignSpec()
    """How a template is laid onto its image."""
    operating_point: thresholds.OperatingPoint
    """Of the score that decides; its promise is that of all stages together."""
    stage_points: dict[str, thresholds.OperatingPoint] = pydantic.Field(default_factory=dict)
    """Of the graphs before: an image whose score is under the threshold goes no further."""
    rules: decision.Rules
    field_rules: decision.FieldRules = decision.FieldRules()
    """corners: what a field can look like."""
    closeups: CloseupSpec | None = None
    """corners: what the refiner sees of each corner; none: there is no refiner."""
    mm_per_px: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
    metrics: dict[str, Any] = pydantic.Field(default_factory=dict)
    parity: dict[str, Any] = pydantic.Field(default_factory=dict)
    audit: tuple[dict[str, Any], ...] = ()
    provenance: Provenance
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of every file but this one."""

    @property
    def is_cascade(self) -> bool:
        """Whether a classifier decides which images the segmenter sees."""
        return self.task == "two_stage_segmentation"

    @property
    def is_located(self) -> bool:
        """Whether a field is located, not defects segmented."""
        return self.task == "corners"

    @property
    def main(self) -> str:
        """Name of the graph that finds what the bundle is for: defects or corners."""
        return LOCATOR if self.is_located else SEGMENTER

    @property
    def has_template(self) -> bool:
        """Whether each image is compared with a template."""
        return len(self.inputs) > 1

    def graph(self, name: str) -> Graph:
        """Return a graph by its name."""
        return next(graph for graph in self.graphs if graph.name == name)

    def for_model(self) -> str:
        """Return the part that the model's own metadata repeats, as JSON."""
        return self.model_dump_json(exclude={"files", "metrics", "parity", "audit", "provenance"})


def _refuse(path: Path, requirement: str, received: str, way_out: str) -> errors.BundleError:
    return errors.BundleError(f"{path}: {requirement}. Got {received}. {way_out}.")


def _nesting(text: bytes) -> int:
    """Return how deep a JSON text is nested, without parsing it; brackets in strings are none."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_JSON_STRING.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _parse_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise _refuse(
            root,
            "a bundle must hold manifest.json",
            "none",
            "Give the folder named bundle of a run",
        )
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise _refuse(
            path,
            f"the manifest must be under {MAX_MANIFEST_BYTES} bytes",
            f"{path.stat().st_size}",
            "Use a bundle as it was written",
        )
    text = path.read_bytes()
    if (deepest := _nesting(text)) > _DEEPEST_JSON:
        raise _refuse(
            path,
            "the manifest must be flat",
            f"{deepest} levels of nesting",
            "Use a bundle as it was written",
        )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _refuse(
            path,
            "the manifest must be JSON",
            f"text that does not parse ({problem})",
            "Copy the bundle again",
        ) from problem
    version = values.get("schema_version") if isinstance(values, dict) else None
    if type(version) is not int:  # True is an int, but no version
        raise _refuse(
            path,
            "the manifest must name its schema_version",
            "none" if version is None else repr(version),
            "Use a bundle as it was written",
        )
    if version > SCHEMA_VERSION:
        raise _refuse(
            path,
            f"this version reads bundles up to schema {SCHEMA_VERSION}",
            f"schema {version}",
            "Upgrade inspection-tf",
        )
    return dict(values)


def _check_name(root: Path, name: str) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or not pure.parts:
        raise _refuse(
            root, "files must lie inside the bundle", repr(name), "Do not use this bundle"
        )
    if pure.suffix not in _SUFFIXES:
        raise _refuse(
            root,
            f"files must be of the types {sorted(_SUFFIXES)}",
            repr(name),
            "Do not use this bundle",
        )
    return root.joinpath(*pure.parts)


def _check_files(root: Path, manifest: Manifest) -> None:
    expected = {name: _check_name(root, name) for name in manifest.files}
    found = set()
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _refuse(
                path,
                "a bundle must hold plain files only",
                "a link or device",
                "Copy the bundle again, following links",
            )
        if path.is_file() and path != root / MANIFEST:
            found.add(path.relative_to(root).as_posix())
    for name in sorted(set(expected) - found):
        raise _refuse(
            root, "every file of the manifest must be there", f"no {name}", "Copy the bundle again"
        )
    for name in sorted(found - set(expected)):
        raise _refuse(root, "every file must be in the manifest", f"an extra {name}", "Remove it")
    for name, path in expected.items():
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refuse(
                path,
                f"files must be under {MAX_FILE_BYTES} bytes",
                f"{path.stat().st_size}",
                "Do not use this bundle",
            )
        if files.sha256(path) != manifest.files[name]:
            raise _refuse(
                path,
                "the file must be as it was written",
                "another SHA-256",
                "Copy the bundle again",
            )
    for graph in manifest.graphs:
        if graph.file not in expected:
            raise _refuse(
                root,
                "every graph must be a file of the manifest",
                repr(graph.file),
                "Do not use this bundle",
            )


def _check_graphs(root: Path, manifest: Manifest) -> None:
    names = [graph.name for graph in manifest.graphs]
    inputs = [item.name for item in manifest.inputs]
    graphs = {
        "segmentation": [SEGMENTER],
        "two_stage_segmentation": [CLASSIFIER, SEGMENTER],
        "corners": [LOCATOR, *([REFINER] if manifest.closeups else [])],
    }[manifest.task]
    pairs = [["image"], *([] if manifest.is_located else [["image", "template"]])]
    for what, found, allowed in (
        ("graphs", names, [graphs]),
        ("inputs", inputs, pairs),
        ("stage_points", sorted(manifest.stage_points), [graphs[: graphs.index(manifest.main)]]),
    ):
        if found not in allowed:
            raise _refuse(
                root,
                f"{what} must be {' or '.join(str(one) for one in allowed)}",
                str(found),
                "Use a bundle as it was written",
            )
    if any(item.preprocessing != manifest.inputs[0].preprocessing for item in manifest.inputs):
        raise _refuse(
            root,
            "image and template must have one preprocessing",
            "two",
            "Use a bundle as it was written",
        )


def read(root: str | Path) -> Manifest:
    """Read and check a bundle without running it.

    Args:
        root: the bundle's folder.

    Raises:
        errors.BundleError: it is incomplete, altered, foreign or of a newer schema.
    """
    root = Path(root)
    if not root.is_dir():
        raise _refuse(root, "a bundle must be a folder", "none there", "Check the path")
    try:
        values = _parse_manifest(root)
        manifest = config.validate(Manifest, values, origin=str(root / MANIFEST))
        _check_files(root, manifest)
        _check_graphs(root, manifest)
        for graph in manifest.graphs:
            _onnx_guard.check((root / graph.file).read_bytes(), name=str(root / graph.file))
    except errors.ConfigError as problem:
        raise errors.BundleError(str(problem)) from problem
    except OSError as problem:
        raise _refuse(
            root, "a bundle must be readable", str(problem.strerror), "Check its permissions"
        ) from problem
    return manifest


class Draft:
    """A bundle being written: a temporary folder that nobody takes for a bundle yet."""

    def __init__(self, root: Path) -> None:
        """Start a draft in an empty folder."""
        self.root = root

    def write(self, name: str, data: bytes | str) -> None:
        """Add a file.

        Args:
            name: relative, with forward slashes.
            data: text is written as UTF-8.

        Raises:
            errors.BundleError: the name leaves the bundle or has another type than a bundle holds.
        """
        path = _check_name(self.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    def seal(self, manifest: Manifest) -> Manifest:
        """Hash every file and write the manifest; returns it with the hashes."""
        listed = {
            path.relative_to(self.root).as_posix(): files.sha256(path)
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path != self.root / MANIFEST
        }
        sealed = manifest.model_copy(update={"files": listed})
        files.write(self.root / MANIFEST, sealed.model_dump_json(indent=2) + "\n")
        return sealed


@contextlib.contextmanager
def writing(final: str | Path) -> Iterator[Draft]:
    """Give a draft that becomes the bundle `final` when the block ends well, else vanishes.

    Raises:
        errors.ConfigError: `final` holds something already.
        errors.StorageError: the disk is full; nothing is left behind.
    """
    with files.new_folder(final) as folder:
        yield Draft(folder)
