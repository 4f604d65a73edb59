"""What a manifest says of each engine that a bundle was converted to."""

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from inspection_tf import config
from inspection_tf.engines.kinds import KINDS, EngineKind
from inspection_tf.engines.names import ALL, PASSED

if TYPE_CHECKING:
    KindName = str
else:  # a schema that names them all, without a second list
    KindName = Literal[tuple(KINDS)]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
Ranges = Literal["widest", "typical", "wide"]


class Calibration(config.Section):
    """The images that set the scales of an int8 engine; all of them taught the network."""

    rule: str
    seed: int
    split: str
    ids: tuple[str, ...] = pydantic.Field(min_length=1)


class BatchProfile(config.Section):
    """Images a call that an engine was built for."""

    smallest: int = pydantic.Field(default=1, ge=1)
    usual: int = pydantic.Field(default=4, ge=1)
    largest: int = pydantic.Field(default=16, ge=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> "BatchProfile":
        if not self.smallest <= self.usual <= self.largest:
            raise ValueError("smallest, usual and largest must not fall")
        return self


class GoldenSample(config.Section):
    """What an engine said of a golden sample of the bundle when it was let through."""

    outcome: str
    score: float | None
    output: str
    """File of what its networks returned, before thresholds."""


class EngineEntry(config.Section):
    """One engine of a bundle: `engines/NAME/`."""

    kind: KindName
    precision: Precision
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """Graph to the file that it starts from, relative to the bundle."""
    target: str = "CPU"
    """Device, or compute capability, that it was built for."""
    options: dict[str, str] = pydantic.Field(default_factory=dict)
    """Of the software that runs it."""
    batch: BatchProfile | None = None
    """None: any number of images a call."""
    versions: dict[str, str] = pydantic.Field(default_factory=dict)
    calibration: Calibration | None = None
    float_operators: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    """int8 and bfloat16: by graph, what stays in float32; `all` where the whole graph does."""
    ranges: dict[str, Ranges] = pydantic.Field(default_factory=dict)
    """int8: by graph, whether the scales of its activations cover the widest that the calibration
    images reach, what they typically do, or what is wide and lies between."""
    state: Literal["passed", "built, not run", "must pass the gate again"] = "built, not run"
    parity: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Of the gate; empty if it did not run."""
    speed: dict[str, Any] = pydantic.Field(default_factory=dict)
    """On the machine that built it."""
    golden: tuple[GoldenSample, ...] = ()
    score_tolerance: float = pydantic.Field(default=1e-3, gt=0)
    """How far a golden score may be off on another machine."""
    output_tolerance: float = pydantic.Field(default=1e-3, gt=0)
    """How far the output may be off: the largest difference of float32 and of corners, else the
    mean."""

    def is_float32(self, graph: str) -> bool:
        """Whether a graph stays in float32 as a whole."""
        return self.precision == "float32" or self.float_operators.get(graph) == (ALL,)

    @property
    def of_kind(self) -> EngineKind:
        """What is known of its kind."""
        return KINDS[self.kind]

    @property
    def may_run(self) -> bool:
        """Whether the gate let it through and the runtime can start it."""
        return self.state == PASSED and self.of_kind.is_runnable
