"""Images perturbed in seven ways, and how verdicts fare on them: accuracy against strength."""

from inspection_tf.evaluation.robustness.perturbations import PERTURBATIONS, Perturbation, perturb
from inspection_tf.evaluation.robustness.report import table, write
from inspection_tf.evaluation.robustness.trial import ACCURACY, Plan, Point, trial

__all__ = [
    "ACCURACY",
    "PERTURBATIONS",
    "Perturbation",
    "Plan",
    "Point",
    "perturb",
    "table",
    "trial",
    "write",
]
