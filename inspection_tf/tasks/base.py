"""What a task is: all that is particular to what a bundle is for, behind one protocol.

The other rooms ask a task and never its name. To add one: a folder beside this file, and a line in
`tasks.TASKS`. Everything here is NumPy; what needs Keras is loaded for training alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines.network import Network

# Sections bring pydantic, which the runtime imports when it is first needed.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, decision, evaluation, images, plots, thresholds
    from inspection_tf.datasets.readers.layouts import LabelKind
    from inspection_tf.datasets.records import Record, Records
    from inspection_tf.images.registration import AlignSpec
    from inspection_tf.images.tile_plan import TilePlan

SettingsT = TypeVar("SettingsT", bound="config.Section")
OutputT = TypeVar("OutputT")
Networks: TypeAlias = Mapping[str, Network]
"""Networks by the names of their graphs."""
Output: TypeAlias = object
"""What the networks of a task return for one image, before any threshold: a value of the task's."""
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""A decoded image: (height, width) grey or (height, width, 3) RGB."""


def output_as(output: Output, kind: type[OutputT]) -> OutputT:
    """Return an output, which is of the task that asks.

    Raises:
        TypeError: it is of another task.
    """
    if not isinstance(output, kind):
        raise TypeError(f"an output of {kind.__module__}, got {output!r}")
    return output


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a network.

    Attributes:
        name: how the network and the manifest call it.
        kind: what it is, for integrators.
        unit: of its numbers.
        shape: of the array; `batch` stands for any number of inputs.
    """

    name: str
    kind: str
    unit: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One network of a bundle.

    Attributes:
        name: how the manifest calls it.
        output: name of what it returns, the first output where it has several.
        kind: what that is, for integrators.
        unit: of its numbers.
        shape: of its output; `batch` stands for any number of inputs.
        file: ONNX file in the bundle.
        source: Keras file in the bundle that it was exported from.
        when: `always`, or what the network before must say for this one to run.
        size: (height, width) px of what it sees; None: the size of the preprocessing.
        per_image: how many inputs it sees of one image.
        must_take: how many inputs a call it must be able to take: tiles of one image.
        is_exact: every number of its answer counts, as of coordinates: int8 and float16 leave what
            computes it in float32, and none may be off, where of a map the mean counts.
        further: what it returns besides, such as a map that shows why; `Network.run_all` gives
            all outputs in this order.
    """

    name: str
    output: str
    kind: str
    unit: str
    shape: tuple[int | str, ...]
    file: str = "model.onnx"
    source: str = "source/model.keras"
    when: str = "always"
    size: tuple[int, int] | None = None
    per_image: int = 1
    must_take: int = 1
    is_exact: bool = False
    further: tuple[OutputSpec, ...] = ()

    @property
    def outputs(self) -> tuple[OutputSpec, ...]:
        """All that it returns, the first output first."""
        return OutputSpec(self.output, self.kind, self.unit, self.shape), *self.further


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image, and its template if there is one, as the networks take them.

    Attributes:
        image: (1, height, width, channels), uint8; where an image is cut into tiles, all of it.
        template: likewise, or None.
        placement: where the source lies in it.
        pixels: (H, W) or (H, W, 3) uint8, the source in the channels of the networks, for a network
            that sees parts of it; None where none does.
        source: the image as it came, for what measures with all of its grey values; None where
            nothing does.
    """

    image: NDArray[np.uint8]
    template: NDArray[np.uint8] | None
    placement: "images.Placement"
    pixels: NDArray[np.uint8] | None = None
    source: Pixels | None = None


@dataclass(frozen=True)
class Context:
    """What a task decides by, besides what its networks return.

    Attributes:
        classes: of what can be wrong with an image.
        preprocessing: of every image.
        settings: of the task.
        operating_point: thresholds of the score that decides.
        stage_points: thresholds of the networks before it, by name.
        mm_per_px: scale of the source images; None: it is not known.
        alignment: how a template is laid onto its image; None: images have no template.
        assets: what the task's own files hold, by their names in the bundle.
    """

    classes: tuple[str, ...]
    preprocessing: "images.Preprocessing"
    settings: "config.Section"
    operating_point: "thresholds.OperatingPoint"
    stage_points: "Mapping[str, thresholds.OperatingPoint]" = field(default_factory=dict)
    mm_per_px: float | None = None
    alignment: "AlignSpec | None" = None
    assets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def settings_as(self, section: type[SettingsT]) -> SettingsT:
        """Return the settings, which are those of the task that asks.

        Raises:
            TypeError: they are those of another task.
        """
        if not isinstance(self.settings, section):
            raise TypeError(f"settings of {section.__module__}, got {self.settings!r}")
        return self.settings


@dataclass(frozen=True)
class OperatingPoints:
    """The thresholds of a bundle.

    Attributes:
        whole: of the score that decides; promises for all networks together.
        stages: of the networks before it, by name.
    """

    whole: "thresholds.OperatingPoint"
    stages: "Mapping[str, thresholds.OperatingPoint]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limit:
    """How far the export of a trained model may be off from it in one respect.

    Attributes:
        at_most: the largest difference.
        words: what differs, in the plural, such as `corners`.
        unit: of the difference, such as `px`.
    """

    at_most: float
    words: str
    unit: str


@dataclass(frozen=True, slots=True)
class Papers:
    """What a task says in the papers of a bundle.

    Attributes:
        card: the model card, in which the fields that all tasks have stand in braces.
        rules: what is decided by, by name.
        decision: when an image is NG, for integrators.
        before: what networks before the one that decides say, for integrators; follows `decision`.
        stages: what the networks before or after the main one do, for the card.
        input_note: what integrators must know of inputs beside the preprocessing.
        output_note: what integrators must know of outputs beside their shapes.
    """

    card: str
    rules: Mapping[str, object]
    decision: str
    before: str = ""
    stages: str = ""
    input_note: str = ""
    output_note: str = ""


class Task(Protocol):
    """What a bundle can be for.

    Attributes:
        name: of the task, as the manifest has it.
        settings: the section of a manifest that holds its rules and whatever else it decides by.
        main: name of the network that finds what the bundle is for.
        compares: whether images may be compared with templates.
        label_kind: what it is measured on; folders of images are read accordingly.
        output_axes: what its networks may return, by name, each with the names of its axes; what a
            network returns besides its first output stands behind that one.
        limits: how far the export of a trained model may be off, by names of `distances`.
        learning: modules whose `LEARNING` says how its networks learn; imported for training alone.
        keras_modules: modules whose Keras classes saved networks may hold, beside those of
            `models`, `losses` and `metrics`; imported only where a network is loaded.
        golden_counts: images that should be NG and that should be OK among the golden samples.
        assets: names of further files of a bundle, which the task decides by; most have none.
    """

    name: str
    main: str
    compares: bool
    label_kind: "LabelKind"
    output_axes: Mapping[str, tuple[str, ...]]
    limits: Mapping[str, Limit]
    learning: tuple[str, ...]
    keras_modules: tuple[str, ...]
    golden_counts: tuple[int, int]
    assets: tuple[str, ...]

    @property
    def settings(self) -> "type[config.Section]":
        """The section of a manifest that holds what it decides by: rules, tolerances."""
        ...

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the networks of a bundle, in the order in which they run.

        Args:
            settings: of the bundle.
            preprocessing: of its images.
            classes: of what can be wrong.
        """
        ...

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring a decoded image to what the networks take; what comes out may share its memory.

        Args:
            image: of the source.
            template: what it should look like, where the context has an alignment.
            context: of the bundle.

        Raises:
            errors.ImageError: the image does not fit the bundle.
        """
        ...

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run a batch of images through the networks.

        Args:
            networks: of the bundle.
            batch: at least one image.
            context: of the bundle.
            every_stage: through all networks, also where an early one could stop an image.

        Raises:
            errors.BundleError: a network returns another shape or dtype than the bundle says.
        """
        ...

    def decide(self, output: Output, prepared: Prepared, context: Context) -> "decision.Verdict":
        """Apply thresholds and rules to what the networks returned for an image."""
        ...

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return an output of every stage as one array, as golden samples keep it.

        It does not hang on the size that the networks take.
        """
        ...

    def problem(self, context: Context) -> str:
        """Return what of a bundle does not fit together, in a sentence's words; "" if all does."""
        ...

    def subjects(self, *, of_parts: bool) -> str:
        """Return in the plural what must not escape, such as `defective images`.

        Args:
            of_parts: several images show one part, and parts are counted.
        """
        ...

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return every network's own score of an output of every stage.

        `score` is that of the network that decides, whether or not one before stops the image;
        scores of others have names of their own.
        """
        ...

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return the numbers of an output as the networks returned them.

        Of every network that ran all its outputs, network by network.
        """
        ...

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run other networks on an image beside an output of every stage.

        Args:
            networks: those that follow.
            prepared: the image.
            leader: what the networks that are compared with say of it.
            context: of the bundle.

        Returns:
            What they say of the image, and what they say where later networks see the very same as
            those of the leader did; both are one where nothing hangs on what was found before.
        """
        ...

    def distances(
        self, first: Output, second: Output, prepared: Prepared, context: Context
    ) -> dict[str, float]:
        """Return how far two outputs are from each other, by the names of `limits`.

        Infinite where one is not finite.
        """
        ...

    def run_on_labels(
        self, networks: Networks, record: "Record", prepared: Prepared, context: Context
    ) -> None:
        """Run networks that saw nothing of an image on what its labels say that they would see."""
        ...

    def choose(
        self,
        tuned: "Sequence[tuple[Networks, Records]]",
        spec: "thresholds.ThresholdSpec",
        context: Context,
    ) -> OperatingPoints:
        """Choose the thresholds of a bundle.

        Args:
            tuned: networks and images whose scores they may give.
            spec: the method.
            context: of the bundle to be, whose thresholds do not matter yet.

        Raises:
            errors.DataError: the images do not allow the method.
            errors.StorageError: what the networks return does not fit on the disk.
        """
        ...

    def pixel_threshold(self, chosen: float, threshold: float) -> float:
        """Return the pixel threshold beside a threshold that is set by hand.

        Args:
            chosen: the pixel threshold that was chosen at the export.
            threshold: of the score.
        """
        ...

    def tiled(self, settings: "config.Section", plan: "TilePlan") -> "config.Section | None":
        """Return settings under which images are cut into tiles; None: this task has no tiles."""
        ...

    def at_batch_size(self, context: Context, size: int) -> Context:
        """Return a context in which a network is given so many parts of one image a call."""
        ...

    def papers(self, context: Context) -> Papers:
        """Return what stands in a bundle's model card and on its page for integrators."""
        ...

    def labels(self, record: "Record", context: Context) -> "evaluation.Labels":
        """Read what is true of an image: a value of the task's.

        Raises:
            errors.ImageError: the labels cannot be read.
        """
        ...

    def compare(
        self,
        record: "Record",
        verdict: "decision.Verdict",
        context: Context,
        *,
        audit: bool = False,
    ) -> "evaluation.ImageResult":
        """Compare a verdict with the labels of its image.

        Args:
            record: of the image.
            verdict: on it.
            context: of the bundle.
            audit: also find out which true defects the rules hide, where there are such rules.

        Raises:
            errors.ImageError: the labels cannot be read.
            errors.DataError: the labels do not fit the image, or are those of another task.
        """
        ...

    @property
    def measures(self) -> "evaluation.Measures":
        """What is measured on results of `compare`: metrics, their meanings, and columns."""
        ...

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the pictures of an evaluation that this task adds, by file name.

        Args:
            rows: of `compare`.
            show: gives image, labels and verdict of an image by its id.
            report: of the evaluation; empty: it was not made.

        Returns:
            What draws each of them; None: these images do not define it.
        """
        ...
