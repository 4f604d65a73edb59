"""What happens around the steps of a training: validation, checkpoints, pictures, the forecast."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np

from inspection_tf import process
from inspection_tf.losses.keras_types import Dataset
from inspection_tf.training import averaging
from inspection_tf.training.averaging import AveragedWeights
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import History, RunFolder

if TYPE_CHECKING:
    import tqdm

_LOG = logging.getLogger("inspection_tf")
Logs: TypeAlias = dict[str, float] | None
"""What Keras hands to a callback: the running loss and metrics."""


class FiniteGuard(keras.callbacks.Callback):
    """Stops at the first loss that is not finite and goes back to where the epoch began.

    Attributes:
        diverged_at: the epoch, from 0, where it happened, or None.
    """

    def __init__(self) -> None:
        """Start without a state to go back to."""
        super().__init__()
        self.diverged_at: int | None = None
        self._epoch = 0
        self._epoch_start: checkpoints.Values | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Copy the state every epoch starts from."""
        self._epoch = epoch
        self._epoch_start = checkpoints.capture(self.model)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Stop when the running loss is not finite."""
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            self.stop()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Go back when the epoch left the finite numbers, before anything is saved."""
        if not checkpoints.is_finite(checkpoints.capture(self.model)):
            self.stop()
        if self.diverged_at is not None:
            self.go_back()

    def stop(self) -> None:
        """Declare this epoch lost."""
        if self.diverged_at is None:
            self.diverged_at = self._epoch
        self.model.stop_training = True

    def go_back(self) -> None:
        """Put the state in which the epoch began into the model."""
        if self._epoch_start is not None:
            checkpoints.restore(self.model, self._epoch_start)


class Validate(keras.callbacks.Callback):
    """Measures the tune split after an epoch, with the averaged weights where there are any.

    The picture shows what these find, too, or the weights that learn while the average lags far
    behind them: see `averaging`.

    Adds `val_...` to the logs, so it must stand before the callbacks that read them, and after the
    guard: huge but finite weights first show in the loss of this measurement.

    Attributes:
        best: the averaged weights of the best epoch so far.
        best_value: their `monitor`, negative where the lower is the better.
    """

    def __init__(
        self,
        dataset: Dataset | None,
        *,
        monitor: str,
        every: int,
        epochs: int,
        run: RunFolder,
        guard: FiniteGuard,
        picture: Callable[[keras.Model, int], None] | None,
        phase_ends: tuple[int, ...] = (),
        is_lower_better: bool = False,
        prefix: str = "",
    ) -> None:
        """Set what to measure and how often; `picture` is called with the model and the epoch.

        What Keras puts before the metrics of a model with several outputs, `prefix`, is taken off.
        The last of all `epochs` and those that end a phase, from 1, are measured in any case.
        """
        super().__init__()
        self.dataset = dataset
        self.monitor = monitor
        self.every = every
        self.always = {epochs, *phase_ends}
        self.run = run
        self.guard = guard
        self.picture = picture
        self.best: checkpoints.Values | None = None
        self.best_value = -np.inf
        self.sign = -1.0 if is_lower_better else 1.0
        self.prefix = prefix

    def resume(self, done: int) -> None:
        """Take the best epoch from the run's folder, when it is one of the first `done`."""
        path = self.run.path / "checkpoints" / "best.npz"
        if not done or not path.is_file():
            return
        values, epoch = checkpoints.load(path)
        if epoch > done:
            return  # written after the checkpoint that training resumes from; it will come again
        rows = History(self.run.path / "history.csv").rows
        found = [row for row in rows if row["epoch"] == epoch]
        self.best = values
        self.best_value = self._value(found[0], epoch - 1) if found else -np.inf

    def _value(self, row: dict[str, float], epoch: int) -> float:
        """Return what tells the best epoch: of a training that measures nothing, the last."""
        return self.sign * row[self.monitor] if self.monitor in row else float(epoch)

    def _plain(self, logs: dict[str, float]) -> dict[str, float]:
        """Return metrics under the names they have where a model has one output."""
        loss = f"{self.prefix}loss"
        return {
            name if name == loss else name.removeprefix(self.prefix): float(value)
            for name, value in logs.items()
        }

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Evaluate, keep the best, draw the picture."""
        if self.guard.diverged_at is not None or logs is None:
            return
        named = self._plain(logs)
        logs.clear()  # the callbacks after this one get the very same dictionary
        logs.update(named)
        if (epoch + 1) % self.every and epoch + 1 not in self.always:
            return
        with AveragedWeights(self.model):
            if self.dataset is not None:
                measured = self.model.evaluate(self.dataset, verbose=0, return_dict=True)
                logs.update({f"val_{k}": value for k, value in self._plain(measured).items()})
            is_finite = all(np.isfinite(value) for value in logs.values())
            if is_finite:
                self._keep_best(epoch, self._value(logs, epoch))
                if not averaging.lags(self.model):
                    self._draw(epoch)
        if not is_finite:  # outside of the block, which puts the raw weights back
            self.guard.stop()
            self.guard.go_back()
        elif averaging.lags(self.model):
            _LOG.info(
                "the averaged weights, which val_ measures, are to %.0f %% still those of the "
                "first step: they lag behind",
                100 * averaging.share_of_the_first(self.model),
            )
            self._draw(epoch)

    def _draw(self, epoch: int) -> None:
        if self.picture is not None:
            self.picture(self.model, epoch + 1)

    def _keep_best(self, epoch: int, value: float) -> None:
        if value < self.best_value:
            return
        self.best_value = value
        self.best = checkpoints.capture(self.model, optimizer=False)
        path = self.run.path / "checkpoints" / "best.npz"
        checkpoints.save(path, self.best, epoch=epoch + 1)


class Record(keras.callbacks.Callback):
    """Writes history, the last checkpoint and the status after every epoch; forecasts the end."""

    def __init__(
        self,
        run: RunFolder,
        history: History,
        *,
        epochs: int,
        guard: FiniteGuard,
        phase_ends: tuple[int, ...] = (),
    ) -> None:
        """Set where to write; with `phase_ends`, epochs from 1, a row tells its phase."""
        super().__init__()
        self.run = run
        self.history = history
        self.epochs = epochs
        self.guard = guard
        self.phase_ends = phase_ends
        self._started = 0.0
        self._durations: list[float] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget how long epochs took: those of a frozen phase tell nothing of the next."""
        self._durations = []

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write, unless the training has left the finite numbers."""
        if self.guard.diverged_at is not None:
            return
        self._durations.append(time.perf_counter() - self._started)
        row = {"epoch": float(epoch + 1)}
        if self.phase_ends:
            row["phase"] = 1.0 + sum(epoch >= end for end in self.phase_ends)
        row |= {k: float(v) for k, v in (logs or {}).items()}
        self.history.add(row)
        path = self.run.path / "checkpoints" / "last.npz"
        checkpoints.save(path, checkpoints.capture(self.model), epoch=epoch + 1)
        # The first epoch traces the graph; the mean of the others has its share of validations.
        left_s = float(np.mean(self._durations[1:] or self._durations)) * (self.epochs - epoch - 1)
        self.run.update(
            "running",
            fold=self.run.number,
            epoch=epoch + 1,
            epochs=self.epochs,
            seconds_left=round(left_s),
            metrics=row,
        )
        shown = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
        _LOG.info("epoch %d/%d %s; %s left", epoch + 1, self.epochs, shown, _clock(left_s))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a phase with the loss, on a terminal only."""

    def __init__(self, *, first_epoch: int, epochs: int, steps: int) -> None:
        """Set how many steps there are."""
        super().__init__()
        self._total = (epochs - first_epoch) * steps
        self._bar: tqdm.tqdm  # from the beginning of the training

    def on_train_begin(self, logs: Logs = None) -> None:
        """Show the bar."""
        import tqdm

        quiet = not process.is_terminal(sys.stderr)
        self._bar = tqdm.tqdm(total=self._total, unit="step", desc="training", disable=quiet)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move on by one step."""
        self._bar.set_postfix(loss=f"{(logs or {}).get('loss', float('nan')):.4f}", refresh=False)
        self._bar.update(1)

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the bar."""
        self._bar.close()
