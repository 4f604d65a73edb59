"""A bundle: the folder a deployment team receives. Read with suspicion, written atomically.

Reading checks the schema, then paths, file types, sizes and hashes, then the model's bytes, and
only then lets a parser see anything. See `Manifest` for what a bundle says of itself.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
import pydantic_core

from inspection_tf import config, errors, files, images, tasks, thresholds
from inspection_tf.bundle import lift
from inspection_tf.bundle.listed_files import (
    MANIFEST,
    check_files,
    check_models,
    check_name,
    parse_manifest,
    read_listed,
    refuse,
)
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.names import FOLDER, is_name
from inspection_tf.images import registration
from inspection_tf.tasks.base import Context, GraphSpec

# 2: several graphs and classes, templates; 3: fields and their corners; 4: engines and tiles;
# 5: the settings of the task. Older ones are still read: see `lift`.
SCHEMA_VERSION = 5
# By these names the `model.py` of Triton repositories of schema 4 asks for networks.
CLASSIFIER, REFINER = "classifier", "refiner"


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
    """What it is, as the task calls it: such as `probability_map` or `class_probability`."""
    unit: str
    shape: tuple[int | str, ...]
    graph: str
    """The graph that returns it; of several outputs of one graph the first decides."""


class Data(config.Section):
    """The images a bundle was made from, so that a later conversion can read them again."""

    format: str
    root: str | None = None
    """As it was given."""
    absolute_root: str | None = None
    """Where that led; None in bundles of earlier versions."""
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


def _require_written(section: type[config.Section], settings: Mapping[str, object]) -> None:
    """Refuse settings that lack one: a default is for who trains, not for who inspects.

    Raises:
        pydantic.ValidationError: one is absent, and its default is not None, for what is not done.
    """
    for name, field in section.model_fields.items():
        if name not in settings and field.get_default() is not None:
            absent = pydantic_core.InitErrorDetails(type="missing", loc=(name,), input=settings)
            raise pydantic.ValidationError.from_exception_data(section.__name__, [absent])


class Manifest(config.Section):
    """What a bundle says of itself: `manifest.json`."""

    schema_version: int = pydantic.Field(default=SCHEMA_VERSION, ge=1)
    model_id: str
    task: str
    """Key of `tasks.TASKS`."""
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
    settings: pydantic.SerializeAsAny[config.Section]
    """Of the task: rules and whatever else it decides by."""
    mm_per_px: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
    metrics: dict[str, Any] = pydantic.Field(default_factory=dict)
    parity: dict[str, Any] = pydantic.Field(default_factory=dict)
    audit: tuple[dict[str, Any], ...] = ()
    """Edits after the export."""
    engines: dict[str, EngineEntry] = pydantic.Field(default_factory=dict)
    """What the bundle was converted to."""
    provenance: Provenance
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of every file but this one."""
    _assets: dict[str, bytes] = pydantic.PrivateAttr(default_factory=dict)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _in_the_newest_schema(cls, values: object) -> object:
        """Lift an earlier schema."""
        return lift.lifted(values) if isinstance(values, Mapping) else values

    @pydantic.field_validator("settings", mode="before")
    @classmethod
    def _of_its_task(cls, settings: object, info: pydantic.ValidationInfo) -> object:
        """Read the settings as those of the task, which is a field before them."""
        if "task" not in info.data:
            return config.Section()  # that no task is named is what the message is about
        if isinstance(settings, config.Section):
            return settings
        section = tasks.get(info.data["task"]).settings
        if isinstance(settings, Mapping):
            _require_written(section, settings)
        return section.model_validate(settings)

    @classmethod
    def within(cls, field: str, values: object) -> type[pydantic.BaseModel] | None:
        """Return the section that one of the fields holds; the task says which the settings are."""
        if field == "settings" and isinstance(values, Mapping):
            return tasks.get(str(values["task"])).settings
        return super().within(field, values)

    def with_assets(self, assets: Mapping[str, bytes]) -> "Manifest":
        """Return it with what further files of the bundle hold, which the task decides by.

        Args:
            assets: the content of each of `Task.assets`.
        """
        copy = self.model_copy()
        copy._assets = dict(assets)
        return copy

    def with_assets_of(self, root: Path) -> "Manifest":
        """Return it with what further files of the bundle hold, read where they lie.

        Args:
            root: the folder that they lie in.

        Raises:
            errors.BundleError: one is absent, or not as it was written.
        """
        names = tasks.get(self.task).assets
        return self.with_assets({name: read_listed(root, self.files, name) for name in names})

    @property
    def context(self) -> Context:
        """What the task decides by."""
        return Context(
            classes=self.classes,
            preprocessing=self.inputs[0].preprocessing,
            settings=self.settings,
            operating_point=self.operating_point,
            stage_points=self.stage_points,
            mm_per_px=self.mm_per_px,
            alignment=self.alignment if self.has_template else None,
            assets=self._assets,
        )

    @property
    def graph_specs(self) -> tuple[GraphSpec, ...]:
        """The networks of the bundle as its task describes them."""
        spec = self.inputs[0].preprocessing
        return tasks.get(self.task).graphs(self.settings, spec, self.classes)

    def graph_spec(self, name: str) -> GraphSpec:
        """Return what the task says of one network."""
        return next(spec for spec in self.graph_specs if spec.name == name)

    def output_names(self, graph: str) -> tuple[str, ...]:
        """Return the names of what a graph returns, the first output first."""
        return tuple(item.name for item in self.outputs if item.graph == graph)

    @property
    def main(self) -> str:
        """Name of the graph that finds what the bundle is for."""
        return tasks.get(self.task).main

    @property
    def has_template(self) -> bool:
        """Whether each image is compared with a template."""
        return len(self.inputs) > 1

    def graph(self, name: str) -> Graph:
        """Return a graph by its name."""
        return next(graph for graph in self.graphs if graph.name == name)

    @property
    def unit_of_promise(self) -> str:
        """What must not escape, in the plural, such as defective parts or images."""
        return tasks.get(self.task).subjects(of_parts="groups" in self.operating_point.counts)

    @property
    def promise(self) -> str:
        """What is promised about escapes, and on how many of what it rests; "" if nothing is."""
        promise = self.operating_point.promise
        return "" if promise is None else promise.in_words(defective=self.unit_of_promise)

    def for_model(self) -> str:
        """Return the part that the model's own metadata repeats, as JSON."""
        return self.model_dump_json(
            exclude={"files", "metrics", "parity", "audit", "engines", "provenance"}
        )


def _check_graphs(root: Path, manifest: Manifest) -> None:
    for graph in manifest.graphs:
        if graph.file not in manifest.files or not graph.file.endswith(".onnx"):
            raise refuse(
                root,
                "every graph must be an ONNX file of the manifest",
                repr(graph.file),
                "Do not use this bundle",
            )
    task = tasks.get(manifest.task)
    known = [spec.name for spec in manifest.graph_specs]
    pairs = [["image"], *([["image", "template"]] if task.compares else [])]
    before = known[: known.index(task.main)]
    for what, found, allowed in (
        ("graphs", [graph.name for graph in manifest.graphs], [known]),
        ("inputs", [item.name for item in manifest.inputs], pairs),
        ("stage_points", sorted(manifest.stage_points), [before]),
    ):
        if found not in allowed:
            raise refuse(
                root,
                f"{what} must be {' or '.join(str(one) for one in allowed)}",
                str(found),
                "Use a bundle as it was written",
            )
    for spec in manifest.graph_specs:
        names = tuple(output.name for output in spec.outputs)
        if manifest.output_names(spec.name) != names:
            raise refuse(
                root,
                f"the outputs of the {spec.name} must be {', '.join(names)}",
                ", ".join(manifest.output_names(spec.name)) or "none",
                "Use a bundle as it was written",
            )
    problem = task.problem(manifest.context)
    if problem:
        raise refuse(
            root, problem, str(manifest.settings.model_dump()), "Use a bundle as it was written"
        )
    if manifest.has_template and manifest.inputs[0].preprocessing.focus.is_wanted:
        raise refuse(
            root,
            "a bundle that compares images with templates must see all of them",
            "a focus",
            "Use a bundle as it was written",
        )
    if any(item.preprocessing != manifest.inputs[0].preprocessing for item in manifest.inputs):
        raise refuse(
            root,
            "image and template must have one preprocessing",
            "two",
            "Use a bundle as it was written",
        )


def _check_engines(root: Path, manifest: Manifest) -> None:
    names = sorted(graph.name for graph in manifest.graphs)
    for name, entry in manifest.engines.items():
        if not is_name(name):
            raise refuse(
                root,
                "an engine's name must be of lower-case letters, digits, - and _",
                repr(name),
                "Do not use this bundle",
            )
        own = f"{FOLDER}/{name}/"
        used = [*entry.files.values(), *(sample.output for sample in entry.golden)]
        allowed = entry.of_kind.options
        for option, value in entry.options.items():
            if allowed is not None and value not in allowed.get(option, ()):
                raise refuse(
                    root,
                    f"the engine {name} may set {' and '.join(allowed)} alone",
                    f"{option}: {value!r}",
                    "Do not use this bundle",
                )
        suffix = entry.of_kind.starts_from
        other = next((file for file in entry.files.values() if not file.endswith(suffix)), None)
        if other is not None:
            raise refuse(
                root,
                f"the engine {name}, of {entry.kind}, must start from files {suffix}",
                repr(other),
                "Do not use this bundle",
            )
        for file in used:
            if not file.startswith(own) or file not in manifest.files:
                raise refuse(
                    root,
                    f"files of the engine {name} must be in the manifest and lie in {own}",
                    repr(file),
                    "Do not use this bundle",
                )
        if entry.may_run and sorted(entry.files) != names:
            raise refuse(
                root,
                f"the engine {name} must have the graphs {', '.join(names)}",
                ", ".join(sorted(entry.files)) or "none",
                "Use a bundle as it was written",
            )
    for file in manifest.files:
        parts = file.split("/")
        if parts[0] == FOLDER and parts[1] not in manifest.engines:
            raise refuse(
                root, "every engine must be in the manifest", repr(file), "Do not use this bundle"
            )


def _parse(root: Path) -> Manifest:
    values = parse_manifest(root, newest=SCHEMA_VERSION)
    found = config.validate(Manifest, values, origin=str(root / MANIFEST))
    return found.with_assets_of(root)


def read(root: str | Path) -> Manifest:
    """Read and check a bundle without running it.

    Args:
        root: the bundle's folder.

    Raises:
        errors.BundleError: it is incomplete, altered, foreign or of a newer schema.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            raise refuse(root, "a bundle must be a folder", "none there", "Check the path")
        manifest = _parse(root)
        check_files(root, manifest.files)
        _check_graphs(root, manifest)
        _check_engines(root, manifest)
        check_models(root, manifest.files)
    except errors.ConfigError as problem:
        raise errors.BundleError(str(problem)) from problem
    except OSError as problem:
        raise refuse(
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
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    def path(self, name: str) -> Path:
        """Return where a file of the bundle goes; see `write`."""
        return check_name(self.root, name)

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


@contextlib.contextmanager
def editing(root: str | Path, known: Manifest) -> Iterator[Draft]:
    """Give a copy of a bundle that takes its place when the block ends well, else vanishes.

    Args:
        root: the bundle's folder.
        known: its manifest when the work on it began.

    Raises:
        errors.BundleError: somebody else has changed it since.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    root = Path(root)
    _require_same(root, read(root), known)
    with files.edited_folder(root, check=lambda: _require_same(root, _parse(root), known)) as copy:
        yield Draft(copy)


def _require_same(root: Path, found: Manifest, known: Manifest) -> None:
    """Refuse to go over what somebody else has changed."""
    if found != known:
        raise refuse(
            root,
            "a bundle must stay as it is while it is worked on",
            "another manifest than at the beginning",
            "Run the command again",
        )
