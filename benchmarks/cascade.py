"""What the first stage is worth: overkill of cascade and segmenter alone at one escape rate.

python benchmarks/cascade.py --bundle runs/two_stage_defects/TIME/bundle [--split test] [--out DIR]

Every image of the split goes through both networks. The segmenter alone gets, on these very images,
the highest threshold at which it lets no more defective images escape than the cascade does: the
comparison is generous to it, since the cascade's thresholds were chosen on other images.
"""

import sys
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from inspection_tf import errors, plots, runtime
from inspection_tf.cli import data


def overkill_at(score: NDArray[np.float64], is_defect: NDArray[np.bool_], escapes: int) -> int:
    """Return the overkill of one score at the highest threshold with at most so many escapes."""
    threshold = np.sort(score[is_defect])[min(escapes, int(is_defect.sum()) - 1)]
    return int((score[~is_defect] >= threshold).sum())


def main(bundle: Path, *, split: str = "test", out: Path | None = None) -> int:
    """Compare a cascade with its own segmenter.

    Args:
        bundle: of two stages.
        split: of its own data.
        out: folder for a picture of both scores.
    """
    inspector = runtime.Inspector.load(bundle)
    chosen = data.from_provenance(inspector.manifest, split)
    turn = inspector.preprocessing.orientation
    if not chosen.is_defect.any() or chosen.is_defect.all():
        raise errors.DataError(
            f"The comparison needs good and defective images. Got {chosen.counts()}. "
            "Choose another split."
        )
    first, second, is_ng = [], [], []
    for record in chosen:
        prepared = inspector.prepare(*record.read_pair(orientation=turn))
        (output,) = inspector.run([prepared], every_stage=True)
        scores = inspector.task.scores(output, prepared, inspector.context)
        first.append(scores["first_score"])
        second.append(scores["score"])
        is_ng.append(inspector.decide(output, prepared).outcome == "NG")
    defective, ng = chosen.is_defect, np.array(is_ng)
    escapes, overkill = int((~ng & defective).sum()), int((ng & ~defective).sum())
    alone = overkill_at(np.array(second), defective, escapes)
    good = int((~defective).sum())
    print(f"{len(chosen)} images, {int(defective.sum())} defective; {escapes} escapes in both")
    print(f"cascade         {overkill} of {good} good images overkill ({overkill / good:.3f})")
    print(f"segmenter alone {alone} of {good} good images overkill ({alone / good:.3f})")
    print(f"ratio           {overkill / alone if alone else float('nan'):.2f}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        point = inspector.manifest.operating_point
        stage = inspector.manifest.stage_points["classifier"]
        figure = plots.joint_thresholds(first, second, defective, stage.threshold, point.threshold)
        plots.save(figure, out / "joint_thresholds.png")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
