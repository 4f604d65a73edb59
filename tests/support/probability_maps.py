"""Maps and operating points that tests of decisions begin with."""

import numpy as np

from inspection_tf import thresholds


def blank(height=20, width=31, value=0.1):
    return np.full((height, width), value, np.float32)


def with_boxes(*boxes, size=(20, 31)):
    """Paint (x0, y0, x1, y1, probability) on a quiet map."""
    probability = blank(*size)
    for x0, y0, x1, y1, value in boxes:
        probability[y0:y1, x0:x1] = value
    return probability


def point(threshold=0.6, mask_threshold=0.5, review_from=None):
    return thresholds.OperatingPoint(
        threshold=threshold, mask_threshold=mask_threshold, review_from=review_from
    )
