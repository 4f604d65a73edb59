"""What the runtime, the gates and the command line ask."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pydantic

from inspection_tf import config, decision, thresholds
from inspection_tf.tasks import preparation
from inspection_tf.tasks.base import (
    GraphSpec,
    Limit,
    OperatingPoints,
    OutputSpec,
    output_as,
)
from inspection_tf.tasks.whole import SeesWholeImages
from tests.toy_task import papers
from tests.toy_task.results import Brightness

NETWORK = "photometer"
WHITE = 255.0


class Settings(config.Section):
    """What an image should be like."""

    nominal: float = pydantic.Field(default=128.0, ge=0, le=WHITE)
    """Mean grey value of an image as it should be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What the network says of an image, shares of white: (1,) of all of it, (rows,) of bands."""

    of_white: np.ndarray
    of_bands: np.ndarray

    @property
    def numbers(self):
        return np.concatenate([self.of_white, self.of_bands])


class MeanBrightness(SeesWholeImages):
    """One network returns the mean grey value of an image and of its bands, shares of white."""

    name = "mean_brightness"
    main = NETWORK
    settings = Settings
    learning = ("tests.toy_task.learning",)
    keras_modules = ("tests.toy_task.network",)
    compares = False
    label_kind = "classes"
    output_axes: ClassVar = {"brightness": ("batch", "numbers"), "bands": ("batch", "rows")}
    limits: ClassVar = {"brightness_difference": Limit(0.05, "mean grey values", "of 255")}
    golden_counts = (2, 2)
    assets: tuple[str, ...] = ()

    def graphs(self, settings, preprocessing, classes):
        return (
            GraphSpec(
                NETWORK,
                "brightness",
                "brightness",
                "share of white",
                ("batch", 1),
                file="photometer.onnx",
                source="source/photometer.keras",
                is_exact=True,
                further=(
                    OutputSpec("bands", "band_brightness", "share of white", ("batch", "rows")),
                ),
            ),
        )

    def prepare(self, image, template, context):
        preparation.require_template(template, context)
        return preparation.one_image(image, context.preprocessing)

    def run(self, networks, batch, context, *, every_stage=False):
        image, _ = preparation.batched(batch)
        brightness, bands = networks[NETWORK].run_all(image)
        return [Share(*rows) for rows in zip(brightness, bands, strict=True)]

    def decide(self, output, prepared, context):
        found = output_as(output, Share)
        (share,) = found.of_white.tolist()
        point, nominal = context.operating_point, context.settings_as(Settings).nominal
        brightness = WHITE * share
        score = min(abs(brightness - nominal) / WHITE, 1.0) if math.isfinite(share) else math.nan
        outcome = "NG" if score >= point.threshold else "OK"
        if math.isnan(score) or (outcome == "OK" and score >= (point.review_from or math.inf)):
            outcome = "REVIEW"
        low, high = (nominal + sign * WHITE * point.threshold for sign in (-1, 1))
        return decision.Verdict(
            outcome=outcome,
            score=score,
            threshold=point.threshold,
            reasons=(f"brightness {brightness:.1f}, limits {low:.1f} and {high:.1f}",),
            result=Brightness(
                brightness if math.isfinite(share) else None,
                (low, high),
                int(np.argmax(np.abs(WHITE * found.of_bands - nominal))),
            ),
            review_from=point.review_from,
            image_size=prepared.placement.source_size,
            classes=context.classes,
        )

    def as_array(self, output, prepared, context):
        return output_as(output, Share).numbers

    def subjects(self, *, of_parts):
        return f"{'parts' if of_parts else 'images'} of the wrong brightness"

    def scores(self, output, prepared, context):
        return {"score": self.decide(output, prepared, context).score}

    def arrays(self, output):
        return dataclasses.astuple(output_as(output, Share))

    def follow(self, networks, prepared, leader, context):
        (output,) = self.run(networks, [prepared], context)
        return output, output

    def distances(self, first, second, prepared, context):
        off = WHITE * float(np.abs(first.numbers - second.numbers).max())
        return {"brightness_difference": off if math.isfinite(off) else math.inf}

    def run_on_labels(self, networks, record, prepared, context):
        pass

    def choose(self, tuned, spec, context):
        pairs = [
            (self.judge(networks, record, context).score, record.is_defect)
            for networks, chosen in tuned
            for record in chosen
        ]
        score, is_defect = (np.array(values) for values in zip(*pairs, strict=True))
        groups = preparation.parts_of(tuned)
        return OperatingPoints(
            thresholds.choose(score, is_defect, spec, mask_threshold=0.5, groups=groups)
        )

    def judge(self, networks, record, context):
        prepared = preparation.from_record(record, context)
        (output,) = self.run(networks, [prepared], context)
        return self.decide(output, prepared, context)

    def pixel_threshold(self, chosen, threshold):
        return chosen

    def papers(self, context):
        return papers.papers(context, context.settings_as(Settings).nominal)

    @property
    def measures(self):
        from tests.toy_task.measures import MEASURES

        return MEASURES

    def labels(self, record, context):
        return float(record.read_image(orientation=context.preprocessing.orientation).mean())

    def compare(self, record, verdict, context, *, audit=False):
        from tests.toy_task import measures

        return measures.compare(record, verdict, self.labels(record, context))

    def pictures(self, rows, show, report):
        from tests.toy_task import pictures

        return {"brightness.png": lambda: pictures.found_and_true(rows, show)}


TASK = MeanBrightness()
