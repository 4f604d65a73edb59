"""What a classical filter reaches on synthetic surfaces: the floor a network has to beat.

The filter, ten lines: the image is blurred (s1), its local mean (a wider blur, s2) is taken off,
the rest is divided by the local standard deviation. The score of a pixel is the size of that
z-score, the score of an image its maximum.

The comparison is generous to the filter: scales and pixel threshold are the best on the very
images that are scored. Image AP has no threshold.

    python benchmarks/synthetic_baseline.py --bundle runs/dagm_segmentation/TIME/bundle
    python benchmarks/synthetic_baseline.py --count 200 --seed 7

Needs scikit-learn, which the extra `test` brings.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from inspection_tf import bundle, config
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.records import Records

SCALES = ((0.7, 8.0), (1.5, 8.0), (1.5, 20.0), (3.0, 12.0), (3.0, 30.0), (6.0, 24.0))  # px
LEVELS = np.linspace(0, 1, 200)  # quantiles of the scores tried as pixel thresholds


def z_score(image: npt.NDArray[np.uint8], s1: float, s2: float) -> npt.NDArray[np.float32]:
    """Return the size of the local z-score of every pixel; (H, W) float32."""
    gray = image.astype(np.float32)
    narrow = cv2.GaussianBlur(gray, (0, 0), s1)
    mean = cv2.GaussianBlur(gray, (0, 0), s2)
    variance = cv2.GaussianBlur(np.square(gray - mean), (0, 0), s2)
    return np.asarray(np.abs(narrow - mean) / np.sqrt(variance + 1.0), np.float32)


def best_dice(scores: list[npt.NDArray[np.float32]], masks: list[npt.NDArray[np.bool_]]) -> float:
    """Return the highest mean Dice over the defective images at one pixel threshold for all."""
    levels = np.quantile(np.concatenate([score.ravel()[::7] for score in scores]), LEVELS)
    dice = np.zeros((len(scores), levels.size))
    for index, (score, mask) in enumerate(zip(scores, masks, strict=True)):
        every, inside = np.sort(score.ravel()), np.sort(score[mask])
        predicted = every.size - np.searchsorted(every, levels)
        overlap = inside.size - np.searchsorted(inside, levels)
        dice[index] = 2 * overlap / (predicted + inside.size)
    return float(dice.mean(axis=0).max())


def print_filter(chosen: Records) -> None:
    """Print image AP and Dice of the filter at each pair of scales, and the best of each."""
    from sklearn import metrics

    pictures = [record.read_image() for record in chosen]
    masks = [record.read_mask() for record in chosen if record.is_defect]
    print(f"{'s1 px':>6} {'s2 px':>6} {'image AP':>9} {'Dice':>6}")
    results = []
    for s1, s2 in SCALES:
        scores = [z_score(picture, s1, s2) for picture in pictures]
        peaks = [score.max() for score in scores]
        precision = metrics.average_precision_score(chosen.is_defect, peaks)
        bad = [score for score, is_bad in zip(scores, chosen.is_defect, strict=True) if is_bad]
        results.append((precision, best_dice(bad, masks)))
        print(f"{s1:6.1f} {s2:6.1f} {precision:9.3f} {results[-1][1]:6.3f}", flush=True)
    best = np.max(results, axis=0)
    print(f"{'filter, best':>13} {best[0]:9.3f} {best[1]:6.3f}   (limits: AP 0.85, Dice 0.5)")


def main() -> None:
    """Print the filter's figures, and the network's on the same images where there is a bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="of a run on synthetic data: its test split")
    parser.add_argument("--count", type=int, default=200, help="images, half of them defective")
    parser.add_argument("--seed", type=int, default=7, help="seed of the set")
    options = parser.parse_args()
    if options.bundle is None:
        print_filter(data_spec.read(data_spec.DataSpec(count=options.count, seed=options.seed)))
        return
    manifest = bundle.read(options.bundle)
    data = manifest.provenance.data
    spec = config.validate(data_spec.DataSpec, data.source, origin="the bundle's provenance")
    print_filter(data_spec.read(spec).select(data.splits["test"]))
    measured = manifest.metrics["metrics"]
    precision = measured["image_average_precision"]["value"]
    dice = measured["dice_defective"]["value"]
    print(f"{'network':>13} {precision:9.3f} {dice:6.3f}   (limits: AP 0.97, Dice 0.80)")


if __name__ == "__main__":
    main()
