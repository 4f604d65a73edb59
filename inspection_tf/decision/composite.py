"""Several verdicts in one: of all images of a part, or of several inspectors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inspection_tf import errors
from inspection_tf.decision.verdict import Outcome, Verdict

_GRAVITY = {"OK": 0, "REVIEW": 1, "NG": 2}


@dataclass(frozen=True, slots=True)
class CompositeVerdict:
    """Several inspectors, or several images of one part: the worst decides, and is named."""

    outcome: Outcome
    decided_by: str
    verdicts: Mapping[str, Verdict] = field(hash=False)

    @classmethod
    def of(cls, verdicts: Mapping[str, Verdict]) -> "CompositeVerdict":
        """Combine verdicts by name: NG over REVIEW over OK.

        Of equally grave ones the one furthest over its threshold is named (one without a finite
        score before all), then the first.

        Raises:
            errors.ConfigError: there is none.
        """
        if not verdicts:
            raise errors.ConfigError(
                "A composite needs at least one verdict. Got none. Inspect at least one image."
            )

        def gravity(name: str) -> tuple[int, float]:
            margin = verdicts[name].score - verdicts[name].threshold
            return _GRAVITY[verdicts[name].outcome], math.inf if math.isnan(margin) else margin

        worst = max(verdicts, key=gravity)
        return cls(verdicts[worst].outcome, worst, dict(verdicts))

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of every verdict that is as grave as the worst, each under its name."""
        return tuple(
            f"{name}: {reason}"
            for name, verdict in self.verdicts.items()
            if verdict.outcome == self.outcome
            for reason in verdict.reasons
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but maps and pictures, ready for JSON."""
        return {
            "outcome": self.outcome,
            "decided_by": self.decided_by,
            "reasons": list(self.reasons),
            "verdicts": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
        }
