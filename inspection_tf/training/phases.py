"""Fine-tuning in phases: what learns in each, and what one hands to the next.

A network that was pretrained in part first trains the rest of itself, so that the gradients of its
random layers do not spoil what the pretrained ones know; then everything learns at a lower rate.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import keras
import pydantic

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Layer, Optimizer
from inspection_tf.models.backbones import parts

BACKBONE = "backbone"


class Phase(config.Section):
    """One part of a training: a compiled model with a learning rate schedule of its own."""

    epochs: int = pydantic.Field(default=1, ge=1)
    """Passes."""
    learning_rate: float | None = pydantic.Field(default=None, gt=0)
    """After the warm-up; none: that of the training."""
    warmup_epochs: float | None = pydantic.Field(default=None, ge=0)
    """Epochs in which the learning rate rises from a twentieth; none: those of the training."""
    backbone: Literal["frozen", "trained"] = "trained"
    """Whether the weights of the layer `backbone` learn."""
    batch_norm: Literal["inference", "trained"] = "inference"
    """Of the backbone. inference: normalises with the statistics it came with and learns nothing;
    trained: learns, even in a frozen backbone."""
    optimizer_state: Literal["carry", "reset"] = "reset"
    """carry: the moments of what the phase before trained go on; reset: all start from 0."""
    trainable_from: str | None = None
    """Layer of the backbone, or beginning of the names of a block's layers such as block_13, from
    which on it learns; what lies before stays frozen, batch norm too. None: all of it learns."""

    @pydantic.model_validator(mode="after")
    def _part_of_a_trained_backbone(self) -> "Phase":
        if self.trainable_from is not None and self.backbone == "frozen":
            raise ValueError("trainable_from must go with backbone: trained, got frozen")
        return self


@dataclasses.dataclass(frozen=True, slots=True)
class ScheduledPhase:
    """A phase and the epochs in which it trains.

    Attributes:
        number: from 1.
        first: epochs that end before it.
        last: epochs that have ended when it has.
        phase: None for a training without phases, which sets no flag of the model.
    """

    number: int
    first: int
    last: int
    phase: Phase | None = None


def ends(phases: Iterable[Phase]) -> Iterator[int]:
    """Give the epoch, from 1, that ends each phase."""
    return itertools.accumulate(phase.epochs for phase in phases)


def plan(phases: Sequence[Phase], *, epochs: int) -> tuple[ScheduledPhase, ...]:
    """Return the phases of a training in their order; without any one, of all its `epochs`."""
    if not phases:
        return (ScheduledPhase(1, 0, epochs),)
    return tuple(
        ScheduledPhase(number, last - phase.epochs, last, phase)
        for number, (phase, last) in enumerate(zip(phases, ends(phases), strict=True), start=1)
    )


def _backbone(model: keras.Model) -> Layer | None:
    return next((layer for layer in model.layers if layer.name == BACKBONE), None)


def check(model: keras.Model, phases: Iterable[Phase]) -> None:
    """Refuse to freeze what a model does not have.

    Raises:
        errors.ConfigError: a phase is frozen, wholly or in part, and no layer is named `backbone`,
            or the backbone has no layer or block of the name from which on it is to learn.
    """
    backbone = _backbone(model)
    for phase in phases:
        if backbone is not None:
            _frozen_layers(backbone, phase)
        elif phase.backbone == "frozen" or phase.trainable_from is not None:
            raise errors.ConfigError(
                f"A frozen phase needs a model with a layer named {BACKBONE!r}. Got the model "
                f"{model.name!r}, which has none. Set backbone: trained in train.phases and leave "
                "out trainable_from, or choose a model with a backbone."
            )


def _frozen_layers(backbone: keras.Model, phase: Phase) -> list[Layer]:
    """Return the layers of a trained backbone that stay frozen nevertheless."""
    if phase.trainable_from is None:
        return []
    return parts.layers_before(backbone, phase.trainable_from)


def set_trainable(model: keras.Model, phase: Phase) -> None:
    """Freeze the backbone or what lies before a part of it, release the rest; compile after it.

    Raises:
        errors.ConfigError: as `check`.
    """
    backbone = _backbone(model)
    if backbone is None:
        return
    for layer in backbone._flatten_layers():
        # One by one: Keras passes on to the layers inside a flag that changes, and no other.
        layer.trainable = phase.backbone == "trained"
    for layer in backbone._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras: one that is not trainable also normalises as at inference.
            layer.trainable = phase.batch_norm == "trained"
    for layer in _frozen_layers(backbone, phase):
        layer.trainable = False


def carry(before: Optimizer, after: Optimizer) -> None:
    """Give an optimizer the moments of the variables that the one before it has trained.

    Adam's correction of the first steps starts anew with the schedule, for all variables alike: it
    makes the carried ones take short steps at first (a third at the hundredth, all of it after some
    thousand), which is a longer warm-up for what is trained already.

    Args:
        before: built AdamW of the phase that has ended.
        after: built AdamW of the one that begins.
    """
    carried = {
        id(variable): moments
        for variable, *moments in zip(
            before._trainable_variables, before._momentums, before._velocities, strict=True
        )
    }
    for variable, *moments in zip(
        after._trainable_variables, after._momentums, after._velocities, strict=True
    ):
        for moment, earlier in zip(moments, carried.get(id(variable), moments), strict=True):
            moment.assign(earlier)
