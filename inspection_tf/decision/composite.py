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

        Of equally grave ones the one furthest over its threshold is named (one without a finite
        score before all), then the first. What could not be inspected counts as REVIEW without a
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

        def gravity(name: str) -> tuple[int, float]:
            if name in failures:
                return _GRAVITY["REVIEW"], math.inf
            margin = verdicts[name].score - verdicts[name].threshold
            return _GRAVITY[verdicts[name].outcome], math.inf if math.isnan(margin) else margin

        worst = max([*verdicts, *failures], key=gravity)
        outcome = "REVIEW" if worst in failures else verdicts[worst].outcome
        return cls(outcome, worst, dict(verdicts), dict(failures))

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
        }
