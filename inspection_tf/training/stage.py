"""One training of one network: how, on which batches, from which seed and into which folder."""

import dataclasses
from typing import Annotated, Literal

import pydantic
import pydantic_core
import tyro

from inspection_tf import config
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.training import outputs
from inspection_tf.training.phases import Phase
from inspection_tf.training.runs.run_folder import RunFolder

# The names and not STR. No `Literal`: a task may add losses of its own later.
_HELP_OF_LOSS = tyro.conf.arg(metavar=f"{{{','.join(outputs.loss_names())}}}")


class TrainSpec(config.Section):
    """How a model is fitted."""

    epochs: int = pydantic.Field(default=30, ge=1)
    """Passes; an epoch shows `loader.images_per_epoch` images. With phases, the sum of theirs."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """Of AdamW, after the warm-up."""
    warmup_epochs: float = pydantic.Field(default=1.0, ge=0)
    """Epochs in which the learning rate rises from a twentieth."""
    final_learning_rate_share: float = pydantic.Field(default=0.01, ge=0, le=1)
    """Where the cosine decay ends, share of the learning rate."""
    weight_decay: float = pydantic.Field(default=1e-3, ge=0)
    """Of AdamW."""
    clip_norm: float = pydantic.Field(default=1.0, gt=0)
    """Largest norm of the whole gradient."""
    averaging: float = pydantic.Field(default=0.99, ge=0, lt=1)
    """Momentum of the moving average of the weights that is validated and shipped; 0: none. A run
    of few steps takes at most `1 - 5 / steps`, so that it does not ship its own beginning."""
    loss: Annotated[str, _HELP_OF_LOSS] = "bce_dice"
    """A loss of what the network returns: a map, a class or corners."""
    loss_options: dict[str, float | bool | tuple[float, ...]] = pydantic.Field(default_factory=dict)
    """Arguments of the loss: numbers, true or false, lists of numbers."""
    select: Literal["best", "last"] = "last"
    """Weights that are shipped. `best` looks at the tune split, which then promises too much. In a
    cross-validation it is `last`: what is watched there also judges."""
    validate_every: int = pydantic.Field(default=1, ge=1)
    """Epochs between validations."""
    pictures: int = pydantic.Field(default=4, ge=0)
    """Images in the grid that each validation draws; 0: none. It shows the averaged weights or,
    while these still lag far behind, those that learn."""
    deterministic: bool = True
    """Same seed, same weights, bit by bit, on one machine."""
    phases: tuple[Phase, ...] = ()
    """Of fine-tuning, one after the other, each from the averaged weights of the one before; none:
    one training of everything."""

    @pydantic.field_validator("loss", mode="before")
    @classmethod
    def _loss_is_known(cls, value: object) -> object:
        names = outputs.loss_names()
        if value not in names:
            *most, last = map(repr, names)
            raise pydantic_core.PydanticCustomError(
                "literal_error",
                "Input should be {expected}",
                {"expected": f"{', '.join(most)} or {last}"},
            )
        return value

    @pydantic.model_validator(mode="after")
    def _phases_add_up(self) -> "TrainSpec":
        total = sum(phase.epochs for phase in self.phases)
        if self.phases and total != self.epochs:
            raise ValueError(
                f"epochs must be the sum of the epochs of its phases, {total}, got {self.epochs}"
            )
        return self


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """What `fit.fit` must know besides the model and its images.

    Attributes:
        spec: schedule, loss and selection.
        loading: batch size and sampling.
        augmentation: ranges.
        seed: fixes order and augmentation.
        folder: receives history, checkpoints, pictures and status.
    """

    spec: TrainSpec
    loading: loader.LoaderSpec
    augmentation: augment.AugmentSpec
    seed: int
    folder: RunFolder

    def within(self, name: str, spec: TrainSpec) -> "Stage":
        """Return the stage of one network of several, in a folder inside this one.

        Args:
            name: of the network, such as teacher.
            spec: how it is fitted; the rest is the same.
        """
        return dataclasses.replace(self, spec=spec, folder=self.folder.within(name))
