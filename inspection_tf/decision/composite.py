"""Several verdicts in one: of a part's images, of a tool's inserts, or of several inspectors."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inspection_tf import errors
from inspection_tf.decision.verdict import OUTCOMES, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class CompositeVerdict:
    """Several inspectors, or several images of one part: the worst decides, and is named.

    Attributes:
        outcome: the gravest of all.
        decided_by: the name of the image, or of the inspector, that it comes from.
        verdicts: by name.
        failures: name of what could not be inspected, to why.
    """

    outcome: Outcome
    decided_by: str
    verdicts: Mapping[str, Verdict] = field(hash=False)
    failures: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(
        cls, verdicts: Mapping[str, Verdict], failures: Mapping[str, str] | None = None
    ) -> "CompositeVerdict":
        """Combine verdicts by name: NG over REVIEW over OK.

        Of equally grave ones the one with the widest flank wear is named, where it was measured;
        then the one furthest over its threshold (one without a finite score before all), then the
        first. What could not be inspected counts as REVIEW without a
        score: the whole is never OK, and NG only by a verdict.

        Args:
            verdicts: by name.
            failures: name of what could not be inspected, to why.

        Raises:
            errors.ConfigError: there is neither a verdict nor a failure, or a name has both.
        """
        failures = failures or {}
        if not verdicts and not failures:
            raise errors.ConfigError(
                "A composite needs at least one verdict. Got none. Inspect at least one image."
            )
        if verdicts.keys() & failures.keys():
            raise errors.ConfigError(
                "Each part of a composite must have a name of its own. Got "
                f"{sorted(verdicts.keys() & failures.keys())} twice. Give them other names."
            )

        worst = max([*verdicts, *failures], key=lambda name: _gravity(verdicts.get(name)))
        outcome = "REVIEW" if worst in failures else verdicts[worst].outcome
        return cls(outcome, worst, dict(verdicts), dict(failures))

    @classmethod
    def by_position(
        cls, verdicts: Iterable[Verdict], *, key: str = "position"
    ) -> "CompositeVerdict":
        """Combine the verdicts on all inserts of a tool head, the worst first.

        Args:
            verdicts: one of each insert.
            key: of the metadata that says where in the head an insert sits.

        Raises:
            errors.ConfigError: there is none, one says no position, or two say the same.
        """
        named: dict[str, Verdict] = {}
        for verdict in verdicts:
            position = verdict.metadata.get(key)
            if position is None or str(position) in named:
                raise errors.ConfigError(
                    f"Each verdict must say another {key} in its metadata. Got "
                    f"{'none' if position is None else f'{position} twice'}. Pass it on when "
                    f"inspecting, as metadata={{{key!r}: '3'}}."
                )
            named[str(position)] = verdict
        return cls.of(named).worst_first()

    def worst_first(self) -> "CompositeVerdict":
        """Return it with its verdicts in the order in which `of` names the worst."""
        ordered = sorted(
            self.verdicts, key=lambda name: _gravity(self.verdicts[name]), reverse=True
        )
        return replace(self, verdicts={name: self.verdicts[name] for name in ordered})

    @property
    def wear(self) -> dict[str, dict[str, object]]:
        """Outcome, level and widths of flank wear, by the names of what it was measured on."""
        return {
            name: {
                "outcome": verdict.outcome,
                "level": verdict.level,
                "vb_mean_um": verdict.wear.vb_mean_um,
                "vb_max_um": verdict.wear.vb_max_um,
                "chipping_um": verdict.wear.chipping_um,
            }
            for name, verdict in self.verdicts.items()
            if verdict.wear is not None
        }

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of every verdict as grave as the worst, and all failures, by name."""
        return (
            *(
                f"{name}: {reason}"
                for name, verdict in self.verdicts.items()
                if verdict.outcome == self.outcome
                for reason in verdict.reasons
            ),
            *(f"{name}: not inspected: {why}" for name, why in self.failures.items()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but maps and pictures, ready for JSON."""
        return {
            "outcome": self.outcome,
            "decided_by": self.decided_by,
            "reasons": list(self.reasons),
            "verdicts": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
            "failures": dict(self.failures),
            **({"wear": self.wear} if self.wear else {}),
        }


def _gravity(verdict: Verdict | None) -> tuple[int, float, float]:
    """Return what grows with how bad a verdict is; None: what could not be inspected."""
    if verdict is None:
        return OUTCOMES.index("REVIEW"), math.inf, math.inf
    margin = verdict.score - verdict.threshold
    if math.isnan(margin):
        return OUTCOMES.index(verdict.outcome), math.inf, math.inf
    return OUTCOMES.index(verdict.outcome), _width(verdict), margin


def _width(verdict: Verdict) -> float:
    """Return VB_B, um, or px where there is no scale; 0 where no wear was measured."""
    if verdict.wear is None:
        return 0.0
    return verdict.wear.vb_mean_px if verdict.wear.vb_mean_um is None else verdict.wear.vb_mean_um
