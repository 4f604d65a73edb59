"""What a manifest says of the outputs of its networks: thresholds and rules, and nothing is run."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import _engine, _locating

if TYPE_CHECKING:
    from inspection_tf import bundle, decision


class Judge:
    """Applies the thresholds and rules of a bundle; `runtime.Inspector` also runs its networks.

    Attributes:
        manifest: of the bundle.
    """

    manifest: "bundle.Manifest"

    def locate(self, located: NDArray[Any], size: tuple[int, int]) -> "decision.Verdict":
        """Apply the bundle's thresholds and rules to the corners of an image.

        Args:
            located: of `located`.
            size: (height, width) of the source, px.
        """
        from inspection_tf import decision

        return decision.locate(
            _locating.to_px(located, size),
            float(located[8]),
            self.manifest.operating_point,
            self.manifest.field_rules,
            image_size=size,
            classes=self.manifest.classes,
        )

    def stopped(self, first: float, size: tuple[int, int]) -> "decision.Verdict | None":
        """Return the verdict on an image that the first stage's score keeps from the second.

        Args:
            first: of `ng_score`.
            size: (height, width) of the source, px.
        """
        from inspection_tf import bundle, decision

        return decision.gate(
            first,
            self.manifest.stage_points[bundle.CLASSIFIER],
            self.manifest.operating_point,
            stage=bundle.CLASSIFIER,
            image_size=size,
            classes=self.manifest.classes,
        )

    def decide(
        self, probability: NDArray[Any], *, first: NDArray[Any] | None = None
    ) -> "decision.Verdict":
        """Apply the bundle's thresholds and rules to a map in the source's size.

        Args:
            probability: of `probability`.
            first: of `class_probability`, if the first stage ran: its score is noted in the
                verdict, not judged; with `Rules.class_by` both it helps to name the regions.
        """
        from inspection_tf import bundle, decision

        rules, classes = self.manifest.rules, self.manifest.classes
        by_both = first is not None and rules.class_by == "both" and len(classes) > 1
        return decision.decide(
            probability,
            self.manifest.operating_point,
            rules,
            mm_per_px=self.manifest.mm_per_px,
            classes=classes,
            stage="" if first is None else bundle.SEGMENTER,
            earlier=None if first is None else {bundle.CLASSIFIER: _engine.ng_score(first)},
            class_weight=first[1:] if first is not None and by_both else None,
        )

    def hidden_defects(
        self, probability: NDArray[Any], mask: NDArray[np.bool_]
    ) -> "tuple[decision.HiddenDefect, ...]":
        """Audit the bundle's rules on a labelled image; see `decision.hidden_defects`."""
        from inspection_tf import decision

        return decision.hidden_defects(
            probability,
            self.manifest.rules,
            mask,
            mask_threshold=self.manifest.operating_point.mask_threshold,
            mm_per_px=self.manifest.mm_per_px,
            classes=self.manifest.classes,
        )
