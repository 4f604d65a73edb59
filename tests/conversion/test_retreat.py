"""The search for the int8 that decides alike."""

import itertools
from types import SimpleNamespace

import pytest

from inspection_tf.conversion import retreat
from inspection_tf.conversion.retreat import Attempt, Operator

OPERATORS = [Operator(f"conv{number}") for number in range(16)]
STEPS = retreat.rungs(OPERATORS)


class Bench:
    """Quantizes to the attempt itself, and judges by a table; the rest is refused."""

    def __init__(self, passing, differences=()):
        self.passing, self.differences = passing, dict(differences)
        self.made, self.judged = [], []

    def find(self, search, graph="segmenter", operators=OPERATORS, **options):
        def quantize(attempt):
            self.made.append((graph, attempt))
            return attempt

        def judge(changed):
            ((name, attempt),) = changed.items()
            self.judged.append((name, attempt))
            passed = (name, attempt) in self.passing
            return SimpleNamespace(
                passed=passed,
                failures=() if passed else ("a verdict",),
                mean_output_difference=self.differences.get(attempt.ranges, 0.1),
            )

        return search.find(graph, operators, quantize, lambda made: made, judge, **options)


def test_rungs_bring_back_the_ends_first_and_never_all():
    assert STEPS[:3] == [(), ("conv0",), ("conv0", "conv1", "conv15")]
    assert all(set(less) < set(more) for less, more in itertools.pairwise(STEPS))
    assert len(STEPS[-1]) == 12  # three eighths from each end
    mixed = [*OPERATORS[:8], Operator("deep", is_depthwise=True), *OPERATORS[8:]]
    assert retreat.rungs(mixed)[3] == ("conv0", "conv1", "deep", "conv15")
    assert retreat.rungs(OPERATORS[:1]) == [()]


def test_all_int8_is_tried_in_every_range_before_anything_stays_in_float32():
    bench = Bench({("segmenter", Attempt((), "typical"))})
    search = retreat.Search()
    made, how = bench.find(search)
    assert made == how == Attempt((), "typical")
    assert search.left_in_float("segmenter") == set()
    assert [attempt for _, attempt in bench.judged] == [Attempt((), "widest"), how]


@pytest.mark.parametrize(
    ("differences", "better"),
    [
        ({"widest": 0.2, "typical": 0.1}, "typical"),
        ({"widest": 0.1, "typical": 0.2}, "widest"),
        ({"widest": None, "typical": 0.9}, "typical"),  # an output was not finite
    ],
)
def test_what_returns_to_float32_does_so_in_the_range_that_was_nearer(differences, better):
    bench = Bench({("segmenter", Attempt(STEPS[2], better))}, differences)
    _, how = bench.find(retreat.Search())
    assert how == Attempt(STEPS[2], better)
    assert [attempt.ranges for _, attempt in bench.judged] == ["widest", "typical", better, better]


def test_the_last_attempt_is_given_back_where_none_decides_alike():
    bench, search = Bench(set()), retreat.Search()
    _, how = bench.find(search)
    assert search.left_in_float("segmenter") == set()  # alone, it is for the gate to refuse
    # Both ranges were as near: the first is retreated in first, and then the other.
    assert how == Attempt(STEPS[-1], "typical")
    assert len(set(bench.judged)) == len(bench.judged) == 2 * len(STEPS)
    assert not search.goes_on()
    # Each is judged once, and the last one made again for whoever needs it.
    again = Bench(set())
    assert again.find(search)[1] == how
    assert again.judged == []
    assert again.made == [("segmenter", how)]


def test_after_a_refusal_on_all_images_nothing_is_tried_twice():
    first, third = Attempt(), Attempt(STEPS[1], "widest")
    bench = Bench({("segmenter", first), ("segmenter", third)})
    search = retreat.Search()
    assert bench.find(search)[1] == first
    assert search.goes_on()
    assert bench.find(search)[1] == third
    assert [attempt for _, attempt in bench.judged] == [first, Attempt((), "typical"), third]
    assert search.goes_on()
    assert bench.find(search)[1] == Attempt(STEPS[-1], "typical")
    assert len(set(bench.judged)) == len(bench.judged) == 2 * len(STEPS)
    assert not search.goes_on()


def test_of_two_networks_the_one_that_has_most_left_moves_on():
    passing = {
        ("classifier", Attempt()),
        ("classifier", Attempt((), "typical")),
        ("segmenter", Attempt(STEPS[1], "widest")),
    }
    bench, search = Bench(passing), retreat.Search()
    assert [bench.find(search, graph)[1] for graph in ("classifier", "segmenter")] == [
        Attempt(),
        Attempt(STEPS[1], "widest"),
    ]
    assert search.goes_on()
    assert [bench.find(search, graph)[1] for graph in ("classifier", "segmenter")] == [
        Attempt((), "typical"),
        Attempt(STEPS[1], "widest"),  # known to decide alike: not judged again
    ]
    assert len(bench.judged) == 5


def test_a_network_of_one_operator_has_its_ranges_and_no_more():
    bench, search = Bench(set()), retreat.Search()
    bench.find(search, operators=OPERATORS[:1])
    assert [attempt.ranges for _, attempt in bench.judged] == ["widest", "typical"]
    assert not search.goes_on()


def test_the_other_range_is_retreated_in_where_the_nearer_one_does_not_do():
    right = Attempt(STEPS[2], "widest")
    bench = Bench({("segmenter", right)}, {"widest": 0.2, "typical": 0.1})
    _, how = bench.find(retreat.Search())
    assert how == right
    assert len(bench.judged) == 2 + (len(STEPS) - 1) + 2


def test_of_three_ranges_the_two_nearer_ones_are_retreated_in():
    bench = Bench(set(), {"widest": 0.3, "typical": 0.2, "wide": 0.1})
    search = retreat.Search()
    _, how = bench.find(search, ranges=(*retreat.RANGES, "wide"))
    tried = [attempt.ranges for _, attempt in bench.judged]
    steps = len(STEPS) - 1
    assert tried == ["widest", "typical", "wide", *["wide"] * steps, *["typical"] * steps]
    assert how == Attempt(STEPS[-1], "typical")
    assert not search.goes_on()


@pytest.mark.parametrize("main", ["classifier", "segmenter"])
def test_a_network_that_fails_stays_in_float32_beside_one_that_does_not(main):
    bench, search = Bench({("classifier", Attempt())}), retreat.Search()
    bench.find(search, "classifier")
    bench.find(search, "segmenter")
    assert search.left_in_float(main) == {"segmenter"}
    assert search.goes_on()  # the gate on all images may ask for less int8 in the other one
    bench.find(search, "classifier")
    bench.find(search, "segmenter")
    # Now none is int8: the main one is shown to the gate as it was tried last.
    assert search.left_in_float(main) == {"classifier", "segmenter"} - {main}
    assert not search.goes_on()


def test_nothing_is_left_to_try_where_nothing_was():
    assert not retreat.Search().goes_on()
