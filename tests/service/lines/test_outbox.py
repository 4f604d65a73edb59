"""What must still be told survives, in order, within its bound."""

import pytest

from inspection_tf import errors
from inspection_tf.service.lines.outbox import FILE, Outbox, Seen


@pytest.fixture
def outbox(tmp_path):
    found = Outbox(tmp_path, most=3)
    yield found
    found.close()


def test_the_oldest_comes_first_and_says_how_often_it_was_told(outbox):
    outbox.put(["a", "b"], {"1": "{}"})
    outbox.put(["a"], {"2": "{}"})
    first = outbox.next("a")
    assert (first.event, first.tries) == ("1", 0)
    again = outbox.next("a")
    assert (again.event, again.tries) == ("1", 1)
    outbox.taken("a", again)
    assert outbox.next("a").event == "2"
    assert outbox.next("b").event == "1"
    assert outbox.next("c") is None
    assert (outbox.waiting("a"), outbox.waiting("b"), outbox.waiting("c")) == (1, 1, 0)


def test_what_was_stored_is_there_after_a_restart(tmp_path):
    first = Outbox(tmp_path, most=3)
    seen = Seen("folder:x", "a.png", "1 2")
    first.put(["a"], {"1": '{"score": 1}'}, seen=seen)
    first.next("a")
    first.close()
    second = Outbox(tmp_path, most=3)
    found = second.next("a")
    assert (found.event, found.body, found.tries) == ("1", '{"score": 1}', 1)
    assert second.waiting("a") == 1
    assert second.was_seen(seen)
    assert not second.was_seen(Seen("folder:x", "a.png", "1 3"))
    assert not second.was_seen(Seen("folder:y", "a.png", "1 2"))
    second.close()


def test_of_more_than_may_wait_the_oldest_are_dropped_and_counted(outbox):
    for event in "12345":
        outbox.put(["a"], {event: "{}"})
    outbox.put(["b"], {"6": "{}"})
    assert outbox.dropped == 2
    assert outbox.next("a").event == "3"
    assert outbox.waiting("b") == 1


def test_two_services_do_not_share_one(tmp_path, outbox):
    with pytest.raises(errors.StorageError, match=r"one service alone writes\. Got"):
        Outbox(tmp_path, most=3)


def test_a_file_that_is_none_is_refused_and_stays(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / FILE).write_bytes(b"something else" * 100)
    with pytest.raises(errors.StorageError, match="outbox must be a file"):
        Outbox(folder, most=3)
    assert (folder / FILE).read_bytes() == b"something else" * 100
