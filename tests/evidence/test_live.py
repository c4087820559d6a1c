"""A trace that comes line by line: what is handed on, what is not, and what is said when there can be none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import arches
from lab.errors import LabError, MachineLostError, RequestError, UnsupportedError
from lab.evidence.bpftrace import Found, demand_arch, demand_kernel, look, tracing
from lab.evidence.live import Lines, Live, Wish, following
from lab.machines.result import Result, Sink

LONG = 10.0


class Guest:
    """Answers each script by what it holds; what reads says `said` and `printed`, and ends with `status`."""

    def __init__(
        self, *, said: bytes = b"lab: tracing\n", printed: bytes = b"", status: int = 0, tracer: int = 0
    ) -> None:
        self.said, self.printed, self.status, self.tracer = said, printed, status, tracer
        self.looks = b"x86_64\n6.12\nbtf\n1\n/usr/bin/bpftrace\n"
        self.saved = b""
        self.lost: Exception | None = None
        self.scripts: list[str] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        deadline: float = 10.0,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> Result:
        del check, deadline, stdin
        script = argv[-1] if argv[0] == "cat" else argv[2]
        self.scripts.append(script)
        if stdout is not None and stderr is not None:
            if self.lost:
                raise self.lost
            stderr(self.said)
            stdout(self.printed)
            return Result(tuple(argv), self.status, b"", b"")
        if "current_tracer)" in script:
            return Result(tuple(argv), self.tracer, b"", b"")
        if "saved_cmdlines" in script:
            return Result(tuple(argv), 0, self.saved, b"")
        if "uname -m" in script:
            return Result(tuple(argv), 0, self.looks, b"")
        return Result(tuple(argv), 0, b"3 4 \n", b"")

    def put(self, path: str, file: Path) -> None:
        raise AssertionError(f"{file} for {path}")


def handed_on(*parts: bytes, ready: bytes = b"ready") -> tuple[list[bytes], int]:
    """What lines became of these parts, and how often the ready one was found."""
    seen: list[bytes] = []
    found: list[None] = []
    lines = Lines(seen.append, ready, lambda: found.append(None))
    for part in parts:
        lines.take(part)
    lines.end()
    return seen, len(found)


def test_lines_are_handed_on_whole() -> None:
    assert handed_on(b"a", b"b\nc\nd", b"e") == ([b"ab\nc\n", b"de\n"], 0)


def test_the_labs_own_mark_and_the_line_that_says_ready_are_left_out() -> None:
    parts = (b"ready to go\nready again\nx\n", b" 1) sh-3 | /* lab: end of the trace */\ny\n")
    assert handed_on(b"ready to go\nx\n", b" 1) sh-3 | /* lab: end of the trace */\ny\n") == ([b"x\n", b"y\n"], 1)
    assert handed_on(*parts)[1] == 1


def test_a_line_without_an_end_is_cut() -> None:
    seen, _ = handed_on(*[b"x" * 1000] * 100)
    assert len(seen) > 1
    assert max(map(len, seen)) < 70_000


def test_a_trace_is_switched_off_and_its_losses_are_told() -> None:
    guest, seen = Guest(printed=b"one\ntwo\n"), bytearray()
    with following(guest, Wish(events=("sched:sched_switch",)), seen.extend) as live:
        assert live.wait(LONG)
    assert bytes(seen) == b"one\ntwo\n"
    assert live.lost == 7
    assert any("trace_marker" in script for script in guest.scripts)
    assert "rmdir" in guest.scripts[-1]


def test_tasks_that_lines_do_not_name_are_named_at_the_end() -> None:
    guest = Guest(
        printed=b" 1.2 |   0)   <...>-191    | x();\n 1.3 |   0)   <...>-7    | x();\n 1.4 |   1)   sh-5 | x();\n"
    )
    guest.saved = b"191 cat\n5 sh\n7 <...>\n8 two words\nno line\n"
    with following(guest, Wish(functions=("x",)), lambda _: None) as live:
        assert live.wait(LONG)
    assert live.names == {191: "cat"}


def test_a_trace_is_switched_off_when_its_block_fails() -> None:
    guest = Guest()
    with pytest.raises(KeyboardInterrupt), following(guest, Wish(functions=("vfs_read",)), lambda _: None):
        raise KeyboardInterrupt
    assert "echo nop >current_tracer" in guest.scripts[-1]


def test_whoever_records_graphs_already_is_not_disturbed() -> None:
    guest = Guest(tracer=4)
    wish = Wish(functions=("vfs_read",))
    with pytest.raises(RequestError, match="already"), following(guest, wish, lambda _: None):
        pass
    assert len(guest.scripts) == 1


@pytest.mark.parametrize(
    "wish",
    [
        Wish(),
        Wish(functions=("a b",)),
        Wish(functions=("$(reboot)",)),
        Wish(events=("sched",)),
        Wish(events=("sched:x; reboot",)),
        Wish(events=("a:" + "b" * 200,)),
    ],
)
def test_what_is_no_name_never_reaches_the_guest(wish: Wish) -> None:
    guest = Guest()
    with pytest.raises(RequestError, match="cannot be traced"), following(guest, wish, lambda _: None):
        pass
    assert not any("trace_pipe" in script for script in guest.scripts)


def test_a_trace_that_cannot_be_read_is_an_error_in_its_words() -> None:
    guest = Guest(said=b"sh: no trace_pipe\n", status=1)
    with (
        pytest.raises(LabError, match="could not be read: sh: no trace_pipe"),
        following(guest, Wish(events=("sched:*",)), lambda _: None),
    ):
        pass
    assert "rmdir" in guest.scripts[-1]


def test_what_went_wrong_in_the_reader_is_told_by_who_waits() -> None:
    guest = Guest()
    guest.lost = MachineLostError("the machine died")
    live = Live(guest, ["sh", "-c", "x"], lambda _: None, LONG, ready=b"lab: tracing")
    with pytest.raises(MachineLostError, match="died"):
        live.wait_ready(LONG)


def no_put(_: Found) -> str:
    raise AssertionError("it is there")


def test_bpftraces_lines_are_handed_on_and_it_is_interrupted_at_the_end() -> None:
    guest, seen = Guest(said=b"Attached 1 probe\n", printed=b"@: 3\n"), bytearray()
    with tracing(guest, "BEGIN { exit() }", seen.extend, no_put) as live:
        assert live.wait(LONG)
    assert bytes(seen) == b"@: 3\n"
    assert "kill -INT" in guest.scripts[-1]


def test_a_program_that_bpftrace_does_not_take_is_told_in_its_words() -> None:
    guest = Guest(said=b"stdin:1:1-3: ERROR: syntax\n", status=1)
    with (
        pytest.raises(RequestError, match=r"does not take the program:\nstdin:1:1-3: ERROR: syntax"),
        tracing(guest, "x", lambda _: None, no_put),
    ):
        pass


def test_a_program_of_megabytes_is_refused() -> None:
    with pytest.raises(RequestError, match="64 KiB"), tracing(Guest(), "x" * 70_000, lambda _: None, no_put):
        pass


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (Found(arches.RISCV64, "6.12", True, True, ""), "for amd64 and arm64"),
        (Found(arches.ARM64, "5.10", False, True, ""), "kernel 5.10 has no BTF"),
        (Found(arches.AMD64, "6.12", True, False, ""), "JIT switched off"),
    ],
)
def test_where_bpftrace_cannot_work_is_one_sentence_and_what_can(found: Found, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what) as raised:
        demand_kernel(found)
    assert "--functions and --events" in raised.value.hint


def test_an_architecture_without_bpftrace_is_told_before_anything_is_fetched() -> None:
    demand_arch(arches.AMD64)
    with pytest.raises(UnsupportedError, match="riscv64"):
        demand_arch(arches.RISCV64)


def test_what_the_guest_has_is_read() -> None:
    guest = Guest()
    assert look(guest) == Found(arches.AMD64, "6.12", True, True, "/usr/bin/bpftrace")
    guest.looks = b"aarch64\n5.10\n-\n0\n-\n"
    assert look(guest) == Found(arches.ARM64, "5.10", False, False, "")
    guest.looks = b"aarch64\n"
    with pytest.raises(LabError, match="does not tell what it is"):
        look(guest)
