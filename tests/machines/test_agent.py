"""Commands as the real agent runs them, here on this host: what they are given, what comes back, and how they end."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CommandTimeoutError, LabError, MachineLostError, RequestError
from lab.machines import command as command_module
from lab.machines.agent import ROOT
from lab.machines.frames import OUTPUT_WINDOW, STDIN_WINDOW
from lab.machines.result import Result
from tests.support import agents, wait
from tests.support.agents import Guest

LONG = 60.0
ALL_BYTES = bytes(range(256))


@pytest.fixture
def guest(tmp_path: Path, agent_program: Path) -> Iterator[Guest]:
    with agents.guest(tmp_path, agent_program) as made:
        made.start()
        yield made


@pytest.fixture
def run(guest: Guest) -> Callable[..., Result]:
    def run(*argv: str, **options: object) -> Result:
        return guest.agent.run(argv, LONG, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    """Threads for commands that run beside the test's own."""
    with ThreadPoolExecutor(64) as pool:
        yield pool


def sh(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


def test_a_command_has_its_arguments_output_and_status(run: Callable[..., Result]) -> None:
    result = run(*sh('printf "%s|" "$@"; echo oops >&2; exit 7', "a 'b\" $c", "", "\udcff"))
    assert (result.stdout, result.stderr, result.status) == (b"a 'b\" $c||\xff|", b"oops\n", 7)


def test_a_command_starts_as_root_who_logs_in_and_with_nothing_of_the_agents(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    environment = dict(line.split("=", 1) for line in run("env").text.splitlines())
    assert environment == {
        "HOME": "/root",
        "LOGNAME": "root",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL": "/bin/sh",
        "USER": "root",
    }
    assert run(*sh("pwd -P; umask")).text.split() == [str(tmp_path.resolve()), "0022"]
    assert run("ls", "/proc/self/fd").text.split() == ["0", "1", "2", "3"], "3 is ls's own"
    blocked = run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").text.split()
    assert int(blocked[1], 16) == 0
    assert not int(blocked[3], 16) & 1 << 12, "SIGPIPE is ignored"


def test_a_command_is_a_session_of_its_own(run: Callable[..., Result]) -> None:
    pid, session = run(*sh("echo $$; cut -d' ' -f6 /proc/$$/stat")).text.split()
    assert pid == session


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("no-such-program", 127, b"no-such-program: No such file or directory\n"),
        ("/etc/passwd", 126, b"/etc/passwd: Permission denied\n"),
        ("/", 126, b"/: Permission denied\n"),
    ],
)
def test_a_program_that_does_not_run_is_told_as_shells_do(
    run: Callable[..., Result], word: str, status: int, said: bytes
) -> None:
    result = run(word)
    assert (result.status, result.stdout, result.stderr) == (status, b"", said)


def test_a_script_without_a_first_line_runs(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "script").write_text("echo ran\n")
    (tmp_path / "script").chmod(0o755)
    assert run(str(tmp_path / "script")).text == "ran\n"


def test_a_command_ended_by_a_signal_has_its_number(run: Callable[..., Result]) -> None:
    assert run(*sh("kill -9 $$")).status == -9
    assert run(*sh("kill -TERM $$")).status == -15


@pytest.mark.parametrize("size", [0, 1, STDIN_WINDOW - 1, STDIN_WINDOW, STDIN_WINDOW + 1, 3 << 20])
def test_input_arrives_whole_and_is_answered_while_it_is_fed(run: Callable[..., Result], size: int) -> None:
    data = (ALL_BYTES * (size // 256 + 1))[:size]
    assert run("cat", stdin=data).stdout == data


def test_a_program_that_reads_late_gets_all_of_its_input(run: Callable[..., Result]) -> None:
    data = ALL_BYTES * (3 << 12)
    assert run(*sh("sleep 0.2; exec cat"), stdin=data).stdout == data


def test_a_program_need_not_read_its_input(run: Callable[..., Result]) -> None:
    data = bytes(1 << 20)
    assert run("true", stdin=data).status == 0
    assert run(*sh("exec <&-; sleep 0.1; echo lived"), stdin=data).text == "lived\n"
    assert run("head", "-c", "3", stdin=data).stdout == bytes(3)


def test_no_input_is_an_end_at_once(run: Callable[..., Result]) -> None:
    assert run("cat").stdout == b""


def test_what_is_printed_goes_to_sinks_as_it_comes_and_apart(guest: Guest, tmp_path: Path) -> None:
    out, err = bytearray(), bytearray()
    os.mkfifo(tmp_path / "go")

    def take(data: bytes) -> None:
        out.extend(data)
        if out == b"first\n":  # and only then may it go on
            (tmp_path / "go").write_text("go\n")

    script = sh('echo first; read word <"$1"; echo second; echo error >&2', str(tmp_path / "go"))
    result = guest.agent.run(script, LONG, stdout=take, stderr=err.extend)
    assert (bytes(out), bytes(err)) == (b"first\nsecond\n", b"error\n")
    assert (result.stdout, result.stderr, result.status) == (b"", b"", 0)


def test_two_commands_run_at_once(guest: Guest, others: ThreadPoolExecutor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = others.submit(guest.agent.run, ["cat", str(tmp_path / "pipe")], LONG)
    guest.agent.run(sh('echo hello >"$1"', str(tmp_path / "pipe")), LONG)
    assert reader.result(LONG).text == "hello\n"


def test_as_many_run_as_the_agent_has_room_for_and_each_has_its_own_output(
    guest: Guest, others: ThreadPoolExecutor, tmp_path: Path
) -> None:
    for index in range(32):
        os.mkfifo(tmp_path / str(index))
    ready = [threading.Event() for _ in range(32)]

    def one(index: int) -> Result:
        sink: list[bytes] = []

        def take(data: bytes) -> None:
            ready[index].set()
            sink.append(data)

        script = sh('echo $1; read word <"$2"; seq $1 20000 | tail -n 1000', str(index), str(tmp_path / str(index)))
        done = guest.agent.run(script, LONG, stdout=take)
        return Result(done.argv, done.status, b"".join(sink), done.stderr)

    running = [others.submit(one, index) for index in range(32)]
    assert all(event.wait(LONG) for event in ready)
    with pytest.raises(CommandTimeoutError, match="did not take true within 0 s"):
        guest.agent.run(["true"], 0.1)
    waiting = others.submit(guest.agent.run, ["true"], LONG)
    for index in range(32):
        (tmp_path / str(index)).write_text("go\n")
    for index, future in enumerate(running):
        lines = future.result(LONG).text.split()
        assert lines == [str(index), *(str(number) for number in range(19001, 20001))]
    assert waiting.result(LONG).status == 0


def test_a_host_that_does_not_take_output_holds_up_that_command_alone(guest: Guest, others: ThreadPoolExecutor) -> None:
    hold, came = threading.Event(), threading.Event()
    taken = []

    def take(data: bytes) -> None:
        came.set()
        hold.wait(LONG)
        taken.append(len(data))

    flood = others.submit(guest.agent.run, ["head", "-c", "3000000", "/dev/zero"], LONG, stdout=take)
    assert came.wait(LONG)
    for _ in range(5):
        assert guest.agent.run(["cat"], LONG, stdin=bytes(1 << 18)).stdout == bytes(1 << 18)
    (held,) = guest.agent._commands.values()
    assert held.unread <= OUTPUT_WINDOW
    hold.set()
    assert flood.result(LONG).status == 0
    assert sum(taken) == 3_000_000


def test_a_program_that_does_not_read_holds_up_nobody(guest: Guest, others: ThreadPoolExecutor, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    data = ALL_BYTES * (1 << 13)
    late = others.submit(guest.agent.run, sh('read word <"$1"; exec cat', str(gate)), LONG, stdin=data)
    for _ in range(5):
        assert guest.agent.run(["cat"], LONG, stdin=data).stdout == data
    gate.write_text("go\n")
    assert late.result(LONG).stdout == data


def test_a_flood_is_cut_at_the_bound_and_its_program_ended(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "_MAX_OUTPUT", 1 << 20)
    with pytest.raises(CommandTimeoutError, match="yes printed more than 1 MiB"):
        guest.agent.run(["yes"], LONG)
    assert guest.agent.run(["true"], LONG).status == 0
    wait.until(lambda: not guest.agent._commands, "the flood's end")


def pids_of(guest: Guest, script: str, deadline: float) -> list[int]:
    """Run a script that prints pids, past its deadline."""
    printed = bytearray()
    with pytest.raises(CommandTimeoutError, match=r"did not end within"):
        guest.agent.run(sh(script), deadline, stdout=printed.extend)
    return [int(word) for word in printed.split()]


def test_a_command_past_its_deadline_is_killed_with_its_children(guest: Guest) -> None:
    pids = pids_of(guest, "sleep 1000 & echo $!; (trap '' TERM; sleep 1000) & echo $! $$; wait", 0.5)
    assert len(pids) == 3
    for pid in pids:
        wait.until(lambda: wait.gone(pid), f"the end of {pid}")  # noqa: B023 - asked at once


def test_the_deadline_holds_for_a_command_that_never_stops_printing(guest: Guest) -> None:
    start = time.monotonic()
    with pytest.raises(CommandTimeoutError, match="yes did not end within 0 s"):
        guest.agent.run(["yes"], 0.3, stdout=lambda _: None)
    assert time.monotonic() - start < 5


def test_a_sink_that_raises_ends_the_command(guest: Guest) -> None:
    def refuse(data: bytes) -> None:
        raise KeyError(int(data))

    with pytest.raises(KeyError) as caught:
        guest.agent.run(sh("echo $$; exec sleep 1000"), LONG, stdout=refuse)
    wait.until(lambda: wait.gone(caught.value.args[0]), "the command's end")


def test_what_a_background_process_keeps_open_does_not_hold_the_end(run: Callable[..., Result]) -> None:
    start = time.monotonic()
    result = run(*sh("sleep 1000 & echo $!; exit 3"))
    assert time.monotonic() - start < 5
    os.kill(int(result.stdout), 9)
    assert result.status == 3


def test_what_lay_in_the_pipe_at_the_end_is_told_however_late_it_is_taken(guest: Guest) -> None:
    """A window is under way and the rest in the pipe when the printer ends, while another keeps the pipe open."""
    size = OUTPUT_WINDOW + (32 << 10)
    got = bytearray()

    def take(data: bytes) -> None:
        if not got:
            time.sleep(0.5)  # longer than pipes are waited for
        got.extend(data)

    assert guest.agent.run(sh(f"sleep 1000 & echo $!; head -c {size} /dev/zero"), LONG, stdout=take).status == 0
    pid, _, rest = bytes(got).partition(b"\n")
    os.kill(int(pid), 9)
    assert len(rest) == size


def test_a_daemon_outlives_its_command_and_its_deadline(run: Callable[..., Result], tmp_path: Path) -> None:
    script = 'echo $$ >"$1"; exec sleep 1000'
    redirected = f"setsid -f sh -c {shlex.quote(script)} sh {tmp_path / 'pid'} >/dev/null 2>&1 </dev/null"
    run(*sh(redirected))
    wait.until(lambda: bool((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()), "the daemon's pid")
    pid = int((tmp_path / "pid").read_text())
    assert not wait.gone(pid)
    os.kill(pid, 9)


def test_a_killed_agent_is_told_from_a_dead_guest_and_its_successor_answers(
    guest: Guest, others: ThreadPoolExecutor
) -> None:
    came: list[bytes] = []
    lost = others.submit(guest.agent.run, sh("echo $$; exec sleep 1000"), LONG, stdout=came.append)
    wait.until(lambda: bool(came), "the command's start")
    guest.started[0].kill()
    guest.started[0].wait(10)
    guest.start()
    with pytest.raises(MachineLostError, match=r"agent in the guest was killed while .*the guest itself lives"):
        lost.result(LONG)
    assert guest.agent.run(["echo", "alive"], LONG).text == "alive\n"
    os.kill(int(came[0]), 9)


def test_a_new_agent_takes_nothing_that_was_meant_for_the_one_before(
    guest: Guest, others: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Half a frame of input is under way when the agent dies; it must not become a frame of the next."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    assert guest.agent.wait_ready(LONG)
    os.kill(guest.started[0].pid, 19)
    lost = [
        others.submit(guest.agent.run, sh('cat "$1"', str(gate)), LONG, stdin=ALL_BYTES * (1 << 12)) for _ in range(8)
    ]
    wait.until(lambda: len(guest.agent._commands) == 8, "the commands")
    guest.started[0].kill()
    guest.started[0].wait(10)
    guest.port.recv(1000)  # as a port loses what lay in it
    guest.start()
    for future in lost:
        with pytest.raises(MachineLostError, match="was killed"):
            future.result(LONG)
    assert guest.agent.run(["cat"], LONG, stdin=ALL_BYTES).stdout == ALL_BYTES


def test_an_agent_that_is_greeted_begins_anew(guest: Guest, others: ThreadPoolExecutor) -> None:
    came: list[bytes] = []
    lost = others.submit(guest.agent.run, sh("echo $$; exec sleep 1000"), LONG, stdout=came.append)
    wait.until(lambda: bool(came), "the command's start")
    guest.agent.greet()
    with pytest.raises(MachineLostError, match="was killed"):
        lost.result(LONG)
    assert guest.agent.run(["echo", "alive"], LONG).text == "alive\n"
    wait.until(lambda: wait.gone(int(came[0])), "the end of what ran before")


def test_when_the_host_is_gone_the_agent_ends_with_all_that_it_runs(guest: Guest, others: ThreadPoolExecutor) -> None:
    came: list[bytes] = []
    lost = others.submit(guest.agent.run, sh("echo $$; exec sleep 1000"), LONG, stdout=came.append)
    wait.until(lambda: bool(came), "the command's start")
    guest.agent.close()
    with pytest.raises(MachineLostError, match="QEMU closed the port"):
        lost.result(LONG)
    assert guest.started[0].wait(10) == 0
    wait.until(lambda: wait.gone(int(came[0])), "the command's end")


def test_arguments_that_are_too_long_are_refused_before_they_are_sent(guest: Guest) -> None:
    with pytest.raises(RequestError, match="may have 32760 bytes") as caught:
        guest.agent.run(["echo", "x" * 40_000], LONG)
    assert "standard input" in caught.value.hint
    assert len(guest.agent.run(["echo", "x" * 30_000], LONG).stdout) == 30_001


def test_a_folder_that_is_not_there_is_the_guests_fault(tmp_path: Path, agent_program: Path) -> None:
    (tmp_path / "here").mkdir()
    with agents.guest(tmp_path / "here", agent_program) as guest:
        guest.start()
        guest.agent._login = replace(ROOT, folder=str(tmp_path / "absent"))
        with pytest.raises(LabError, match="the guest could not start true: No such file"):
            guest.agent.run(["true"], LONG)


def test_many_commands_one_after_the_other_leave_nothing(guest: Guest) -> None:
    fds = Path(f"/proc/{guest.started[0].pid}/fd")
    guest.agent.run(["true"], LONG)
    before = len(list(fds.iterdir()))
    for number in range(200):
        assert guest.agent.run(["echo", str(number)], LONG).text == f"{number}\n"
    assert len(list(fds.iterdir())) == before
    children = Path(f"/proc/{guest.started[0].pid}/task/{guest.started[0].pid}/children")
    assert children.read_text() == ""
