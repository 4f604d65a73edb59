import pytest
from jobs import DONE, Doubling, Failing

from inspection_tf import errors
from inspection_tf.tasks import once


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
        doubled(1)
        assert once.has_room()
        doubled(1, 2, 3)
        assert not once.has_room()
        doubled(*range(1, 40))
        doubled(1, 2, 39)  # the first ones, and the latest
        doubled(3)
    assert [1, 2, 3, *range(4, 40), 3] == DONE
    assert not once.has_room()


def test_what_fails_in_another_process_is_said_as_here():
    with once.keeping(processes=2), pytest.raises(errors.DataError, match=r"Got none\. Give it"):
        once.results([Failing(1), Failing(2)])


def test_a_process_that_was_ended_is_a_want_of_memory():
    with once.keeping(processes=2), pytest.raises(MemoryError, match="ended by the system"):
        once.results([Failing(1, kills=True), Failing(2, kills=True)])


def test_no_work_is_no_result():
    with once.keeping(processes=2):
        assert once.results([]) == []
