"""Strategies compared on the same images, and learning curves."""

import io
import itertools

import numpy as np
import pytest
import rich.console

from inspection_tf import errors
from inspection_tf.datasets import records
from inspection_tf.evaluation import strategies
from inspection_tf.evaluation.strategies import Resampling, Scores, paired

FEW = Resampling(resamples=200, permutations=500)


def of(true, score, *, predicted=None, groups=None):
    score = np.asarray(score, float)
    return Scores.of(
        [f"i{n:03}" for n in range(len(true))],
        groups or [""] * len(true),
        true=true,
        score=score,
        predicted=(score >= 0.5).astype(int) if predicted is None else predicted,
    )


# Four images, two defective: the first strategy ranks all pairs rightly, the second three of four.
TRUE = [0, 0, 1, 1]
RIGHT = of(TRUE, [0.1, 0.2, 0.8, 0.9])
NEARLY = of(TRUE, [0.1, 0.7, 0.6, 0.9])


def test_metrics_of_a_strategy():
    found = strategies.estimates(NEARLY, how=FEW)
    assert list(found) == list(strategies.METRICS)
    # 0.6 and 0.9 against 0.1 and 0.7: three of four pairs; at 0.5 one good image is wrong.
    assert {name: one.value for name, one in found.items()} == {
        "image_auroc": 0.75,
        "accuracy": 0.75,
        "balanced_accuracy": 0.75,
    }
    assert found["image_auroc"].low <= 0.75 <= found["image_auroc"].high


def test_repeats_are_averaged():
    both = NEARLY.joined(RIGHT)
    assert both.repeats == 2
    assert strategies.estimates(both, how=FEW)["image_auroc"].value == (0.75 + 1) / 2


@pytest.mark.parametrize("metric", strategies.METRICS)
def test_equal_strategies_do_not_differ(metric):
    found = strategies.compare(NEARLY, NEARLY, metric=metric, how=FEW)
    assert (found.estimate.value, found.p_value, found.is_real) == (0.0, 1.0, False)
    repeated = NEARLY.joined(RIGHT)
    assert strategies.compare(repeated, repeated, metric=metric, how=FEW).p_value == 1.0


def swapped(first, second, groups):
    """Both strategies by ranks, with what they say of some groups exchanged."""
    one, two = (np.argsort(np.argsort(s.score[0])).astype(float) for s in (first, second))
    chosen = np.isin(first.groups, list(groups))
    return np.where(chosen, two, one), np.where(chosen, one, two)


def auroc(score, true):
    good, bad = score[np.asarray(true) == 0], score[np.asarray(true) == 1]
    return np.mean([(b > g) + (b == g) / 2 for b in bad for g in good])


def test_the_permutation_of_ranks_is_that_of_all_swaps():
    rng = np.random.default_rng(3)
    true = rng.integers(2, size=14)
    groups = [f"g{n}" for n in rng.integers(6, size=14)]
    first, second = (
        of(true, rng.permutation(14) + offset * true, groups=groups) for offset in (6.5, 1.5)
    )
    names = sorted(set(groups))
    seen = auroc(first.score[0], true) - auroc(second.score[0], true)
    every = []
    for count in range(len(names) + 1):
        for chosen in itertools.combinations(names, count):
            one, two = swapped(first, second, chosen)
            every.append(auroc(one, true) - auroc(two, true))
    expected = np.mean([abs(value) >= abs(seen) - 1e-12 for value in every])
    found = strategies.compare(first, second, how=FEW)
    assert found.estimate.value == pytest.approx(seen)
    assert found.p_value == pytest.approx(expected)


def test_three_groups_that_all_speak_for_one_strategy():
    # Right in three of four groups where the other is wrong: of 2^3 signs two are as far.
    groups = ["a", "a", "b", "b", "c", "c", "d"]
    true = [0, 1, 0, 1, 0, 1, 0]
    right = of(true, [0.0] * 7, predicted=true, groups=groups)
    wrong = of(true, [0.0] * 7, predicted=[1, 1, 1, 1, 1, 1, 0], groups=groups)
    found = strategies.compare(right, wrong, metric="accuracy", how=FEW)
    assert found.estimate.value == pytest.approx(3 / 7)
    assert found.p_value == 2 / 8
    # Balanced: recall of the good 4/4 against 1/4, of the defective 1 and 1.
    found = strategies.compare(right, wrong, metric="balanced_accuracy", how=FEW)
    assert found.estimate.value == pytest.approx(3 / 8)
    assert found.p_value == 2 / 8


def test_a_clearly_better_strategy_has_a_small_p_value():
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1], 30)
    good = of(true, true + rng.normal(0, 0.3, 60))
    bad = of(true, rng.normal(0.5, 0.5, 60))
    for metric in strategies.METRICS:
        found = strategies.compare(good, bad, metric=metric, how=FEW)
        assert found.p_value <= 2 / 501
        assert found.estimate.low > 0.1
        assert found.is_real
        reversed_ = strategies.compare(bad, good, metric=metric, how=FEW)
        assert reversed_.estimate.value == pytest.approx(-found.estimate.value)


def test_scores_on_other_scales_are_compared_by_rank():
    rng = np.random.default_rng(1)
    true = np.repeat([0, 1], 8)
    score = true + rng.normal(0, 0.8, 16)
    one, stretched = of(true, score), of(true, 1e3 * score**3 - 5)
    assert strategies.compare(one, stretched, how=FEW).p_value == 1.0


def test_draws_depend_on_their_seed_alone():
    contributions = np.random.default_rng(4).normal(0.1, 0.2, 20)
    first, again, other = (
        paired.sign_flip_p_value(contributions, how=Resampling(seed=seed, permutations=400))
        for seed in (1, 1, 2)
    )
    assert first == again != other
    # Of 20 groups 2^20 signs: as many as here are near to all of them.
    many = paired.sign_flip_p_value(contributions, how=Resampling(permutations=50_000))
    assert first == pytest.approx(many, abs=0.06)


def test_holm_multiplies_by_what_is_left():
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 -> at least 0.06, 0.9 x 1
    assert strategies.holm([0.03, 0.01, 0.9, 0.02]).tolist() == pytest.approx(
        [0.06, 0.04, 0.9, 0.06]
    )
    assert strategies.holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert strategies.holm([]).tolist() == []


def test_all_strategies_are_compared_with_each_other():
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1], 30)
    results = {
        "good": of(true, true + rng.normal(0, 0.3, 60)),
        "alike": of(true, true + rng.normal(0, 0.3, 60)),
        "[bad]": of(true, rng.normal(0.5, 0.5, 60)),
    }
    found = strategies.compare_all(results, how=FEW)
    assert [(one.first, one.second) for one in found] == [
        ("good", "alike"), ("good", "[bad]"), ("alike", "[bad]"),
    ]  # fmt: skip
    assert [one.is_real for one in found] == [False, True, True]
    assert [one.adjusted for one in found] == strategies.holm([o.p_value for o in found]).tolist()
    assert found == strategies.compare_all(results, how=FEW)
    stream = io.StringIO()
    rich.console.Console(file=stream, width=120, markup=False).print(strategies.table(found))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "good - [bad]" in lines[2]
    assert lines[1].split()[-2:] == ["not", "shown"]
    assert lines[2].split()[-1] == "real"
    assert found[1].to_dict()["is_real"] is True


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(errors.DataError, match="on the same images"):
        strategies.compare(RIGHT, of(TRUE[:3], [0, 0, 1]))
    with pytest.raises(errors.DataError, match="on the same images"):
        strategies.compare(RIGHT, of([0, 1, 1, 1], [0, 0, 1, 1]))
    with pytest.raises(errors.DataError, match="good and defective"):
        strategies.compare(of([1, 1], [0, 1]), of([1, 1], [0, 1]))
    with pytest.raises(errors.ConfigError, match="Got 'f1'"):
        strategies.compare(RIGHT, NEARLY, metric="f1")
    with pytest.raises(errors.DataError, match=r"at least two strategies. Got 1"):
        strategies.compare_all({"one": RIGHT})
    with pytest.raises(errors.DataError, match=r"A score must be a number. Got 1"):
        of(TRUE, [0, 1, np.nan, 1], predicted=TRUE)
    with pytest.raises(errors.DataError, match=r"4 ids \(3 different\)"):
        Scores.of(list("aabc"), [""] * 4, true=TRUE, score=TRUE, predicted=TRUE)
    with pytest.raises(errors.DataError, match=r"shapes \(4,\), \(1, 3\)"):
        Scores.of(list("abcd"), [""] * 4, true=TRUE, score=TRUE[:3], predicted=TRUE)


# Learning curves


class Source:
    def read_image(self, *, orientation="apply"):
        return np.zeros((3, 5), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((3, 5), bool)

    def identity(self):
        return b""


# Ten groups of four images: a of one rare class, b and c of the other, seven good.
TRAIN = records.Records.of(
    [
        records.Record(f"{group}{n}", kind > 0, Source(), group, None, kind or 1)
        for group, kind in zip("abcdefghij", (2, 1, 1, 0, 0, 0, 0, 0, 0, 0), strict=True)
        for n in range(4)
    ],
    classes=("worn", "broken"),
)


def test_what_a_classifier_says_becomes_scores():
    three = TRAIN.select(["a0", "b0", "d0"])  # broken, worn, good
    probability = [[0.2, 0.3, 0.5], [0.4, 0.35, 0.25], [0.9, 0.1, 0.0]]
    found = Scores.of_probabilities(three, probability)
    assert found.true.tolist() == [2, 1, 0]
    assert found.score[0] == pytest.approx([0.8, 0.6, 0.1])
    assert found.predicted.tolist() == [[2, 0, 0]]
    assert found.groups == ("a", "b", "d")
    assert Scores.of_probabilities(three, [probability] * 4).repeats == 4
    with pytest.raises(errors.DataError, match=r"3 x 3. Got \(3, 2\)"):
        Scores.of_probabilities(three, np.ones((3, 2)) / 2)


def test_a_learning_curve_keeps_groups_whole_and_each_class():
    seen = []

    def score(train):
        seen.append(train)
        noise = np.random.default_rng(len(train)).normal(0, 8 / len(train), 40)
        true = np.repeat([0, 1], 20)
        return of(true, true + noise)

    points = strategies.learning_curve(TRAIN, score, shares=(0.1, 0.5, 1.0), repeats=3, how=FEW)
    # A tenth of 40 images is one group, but each of three classes needs one; of all there is one
    # draw.
    assert [point.images for point in points] == [12, 20, 40]
    assert [len(point.values) for point in points] == [3, 3, 1]
    for train in seen:
        assert {record.class_ids() for record in train} == {(), (1,), (2,)}
        assert all(train.groups.count(group) == 4 for group in train.groups)
    # Within a repeat a larger share holds the smaller one.
    assert all(set(one.ids) < set(two.ids) for one, two in zip(seen[:3], seen[3:6], strict=True))
    assert points[2].values[0] == 1.0
    assert points[0].estimate.value < points[2].estimate.value
    assert points[0].estimate.value == pytest.approx(np.mean(points[0].values))


def test_the_seed_decides_which_images_train():
    def ids(seed):
        seen = []
        strategies.learning_curve(
            TRAIN, lambda train: seen.append(train.ids) or RIGHT, shares=(0.4,),
            how=Resampling(seed=seed, resamples=20),
        )  # fmt: skip
        return seen

    assert ids(0) == ids(0) != ids(1)


def test_a_curve_that_cannot_be_is_refused():
    for shares in ((), (0.5, 0.2), (0.0, 0.5), (0.5, 1.1)):
        with pytest.raises(errors.ConfigError, match="shares must rise"):
            strategies.learning_curve(TRAIN, lambda train: RIGHT, shares=shares)
    with pytest.raises(errors.ConfigError, match="repeats must be at least 1"):
        strategies.learning_curve(TRAIN, lambda train: RIGHT, repeats=0)
    with pytest.raises(errors.DataError, match="Got none"):
        strategies.learning_curve(TRAIN[:0], lambda train: RIGHT)
