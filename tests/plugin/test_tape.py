"""A tape answers again what was answered, in order, and tells whether it was altered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event
from lab.errors import ConsumerError
from lab.plugin.tape import Tape, Taped, TapedEvents, TapeError
from lab.scenario import blinded

EVENT = Event("openat", 1, 0, 10, 10, 1, b"cat", b"/usr/bin/cat", 3, {"name": b"/x"})


class Source:
    """A fixture that answers with how often it was asked."""

    kind = "source"

    def __init__(self) -> None:
        self.calls = 0

    def ask(self, question: str = "") -> str:
        self.calls += 1
        if question == "wrong":
            raise ValueError("no such question")
        return f"answer {self.calls}"

    def other(self) -> str:
        return "other"

    def __call__(self, word: str) -> str:
        return word * 2

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        capture = Capture()
        yield capture
        capture.events, capture.counters, capture.closed = (EVENT,), Counters(1, 0), True


@pytest.fixture
def tape() -> Tape:
    return Tape()


@pytest.fixture
def source(tape: Tape) -> Source:
    return cast(Source, Taped(Source(), tape, "source"))


def test_what_was_answered_is_answered_again_without_asking(tape: Tape, source: Source) -> None:
    first = [source.ask(), source.ask()]
    for _ in range(2):
        with tape.replay():
            assert tape.replaying
            assert [source.ask(), source.ask()] == first
    assert not tape.replaying
    assert source.calls == 2


def test_what_was_raised_is_raised_again(tape: Tape, source: Source) -> None:
    with pytest.raises(ValueError, match="no such question"):
        source.ask("wrong")
    with tape.replay(lambda _, result: [*result]), pytest.raises(ValueError, match="no such question"):
        source.ask("wrong")
    assert not tape.changed


def test_another_question_than_recorded_is_an_error(tape: Tape, source: Source) -> None:
    source.ask()
    with tape.replay(), pytest.raises(TapeError, match=r"asked for source\.other, where source\.ask was recorded"):
        source.other()


def test_more_questions_than_recorded_are_an_error(tape: Tape, source: Source) -> None:
    with tape.replay(), pytest.raises(TapeError, match="where nothing more was recorded"):
        source.ask()


def test_an_alteration_is_noticed_and_ends_with_its_block(tape: Tape, source: Source) -> None:
    source.ask()
    with tape.replay(lambda method, _: f"{method} altered"):
        assert source.ask() == "source.ask altered"
    assert tape.changed
    with tape.replay():
        assert source.ask() == "answer 1"
    assert not tape.changed


def test_an_alteration_that_finds_nothing_is_noticed(tape: Tape, source: Source) -> None:
    source.ask()
    with tape.replay(lambda _, result: result):
        source.ask()
    assert not tape.changed


def test_a_replay_ends_when_its_body_fails(tape: Tape, source: Source) -> None:
    source.ask()
    with pytest.raises(AssertionError), tape.replay():
        raise AssertionError
    assert not tape.replaying


def test_what_is_no_method_passes_through(source: Source) -> None:
    assert source.kind == "source"


def test_a_fixture_that_is_called_is_on_tape_too(tape: Tape) -> None:
    actor: Any = Taped(Source(), tape, "actor")
    assert actor("ab") == "abab"
    with tape.replay(lambda method, _: method):
        assert actor("ab") == "actor.call"


def test_a_capture_is_filled_at_its_end_on_replay_too(tape: Tape) -> None:
    events: Any = TapedEvents(Source(), tape, "events")
    with events.capture() as live:
        assert live.events == ()
    with tape.replay():
        with events.capture() as again:
            assert not again.closed
        assert again.one(type="openat") is EVENT
    assert live.one(type="openat") is EVENT


def test_a_capture_altered_on_replay_leaves_the_recording_as_it_was(tape: Tape) -> None:
    events: Any = TapedEvents(Source(), tape, "events")
    with events.capture() as live:
        pass
    with tape.replay(lambda _, result: Capture((), result.counters, True)):
        with events.capture() as again:
            pass
        again.none(type="openat")
    assert tape.changed
    assert live.events == (EVENT,)


class Ended(Source):
    """A fixture whose captures end because the consumer did."""

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        yield Capture()
        raise ConsumerError("its consumer ended")


def test_a_capture_that_broke_off_breaks_off_on_replay_too(tape: Tape) -> None:
    events: Any = TapedEvents(Ended(), tape, "events")
    for _ in range(2):
        with pytest.raises(ConsumerError, match="its consumer ended"), events.capture():
            pass
    with tape.replay(), pytest.raises(ConsumerError, match="its consumer ended"), events.capture():
        pass


def test_a_capture_that_broke_off_may_be_whole_on_replay(tape: Tape) -> None:
    events: Any = TapedEvents(Ended(), tape, "events")
    with pytest.raises(ConsumerError), events.capture():
        pass
    with tape.replay(blinded(type="openat").alter), events.capture() as seen:
        pass
    assert tape.changed
    seen.none(type="openat")


def test_an_error_within_a_captures_block_is_not_the_captures(tape: Tape) -> None:
    events: Any = TapedEvents(Source(), tape, "events")
    with pytest.raises(ConsumerError, match="of the block"), events.capture():
        raise ConsumerError("of the block")
    with tape.replay(), pytest.raises(ConsumerError, match="of the block"), events.capture():
        raise ConsumerError("of the block")
