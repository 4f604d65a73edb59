"""Probability map -> `Verdict`: regions, rules, the score that knows them, and reasons in words.

One rule for everyone (evaluation, command line, service): **NG if and only if score >= threshold**.
How the score takes the rules into account is told in `rules`; coordinates in `regions`. A map
with a value that is not finite is REVIEW, never OK. A cascade asks `gate` first: what its first
stage stops never reaches `decide`. Limits of flank wear (`Rules.wear`) come on top of the score:
over one an image is NG whatever its score, and no image becomes OK by them.
"""

from inspection_tf.decision.audit import HiddenDefect, hidden_defects
from inspection_tf.decision.composite import CompositeVerdict
from inspection_tf.decision.decide import decide, gate, outcome_of, score
from inspection_tf.decision.regions import Zone
from inspection_tf.decision.results import Field, Region, Regions, Result
from inspection_tf.decision.rules import Level, Rules
from inspection_tf.decision.tune_scores import OPEN, Rate, Tradeoff, TuneScores
from inspection_tf.decision.verdict import OUTCOMES, Outcome, Verdict
from inspection_tf.decision.wear import FlankWear, WearRules

__all__ = [
    "OPEN",
    "OUTCOMES",
    "CompositeVerdict",
    "Field",
    "FlankWear",
    "HiddenDefect",
    "Level",
    "Outcome",
    "Rate",
    "Region",
    "Regions",
    "Result",
    "Rules",
    "Tradeoff",
    "TuneScores",
    "Verdict",
    "WearRules",
    "Zone",
    "decide",
    "gate",
    "hidden_defects",
    "outcome_of",
    "score",
]
