import dataclasses

import pytest

from inspection_tf.tasks import once

DONE = []


@dataclasses.dataclass(frozen=True)
class Doubling:
    number: int

    @property
    def key(self):
        return bytes([self.number])

    def done(self):
        DONE.append(self.number)
        return 2 * self.number

    def size_of(self, result):
        return 10


@pytest.fixture(autouse=True)
def nothing_done():
    DONE.clear()


def doubled(*numbers):
    return once.results([Doubling(number) for number in numbers])


def test_without_a_block_work_is_done_whenever_it_is_asked_for():
    assert doubled(3, 3) + doubled(3) == [6, 6, 6]
    assert DONE == [3, 3, 3]


def test_within_a_block_the_same_work_is_done_once():
    with once.keeping():
        assert doubled(3, 4, 3) == [6, 8, 6]
        assert doubled(5, 4) == [10, 8]
    assert DONE == [3, 4, 5]
    assert doubled(4) == [8]
    assert DONE == [3, 4, 5, 4]


def test_a_block_inside_another_is_a_part_of_it():
    with once.keeping():
        with once.keeping():
            doubled(3)
        doubled(3)
    assert DONE == [3]


def test_a_block_that_fails_is_closed():
    def fail():
        with once.keeping():
            doubled(3)
            raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        fail()
    doubled(3)
    assert DONE == [3, 3]


def test_what_is_kept_takes_no_more_room_than_allowed():
    with once.keeping(25):
        for numbers in ((1,), (1,), (2,), (3,), (3,), (1, 2)):
            assert doubled(*numbers) == [2 * number for number in numbers]
    assert DONE == [1, 2, 3, 3]  # there is room for two


def test_no_work_is_no_result():
    with once.keeping(processes=2):
        assert once.results([]) == []
