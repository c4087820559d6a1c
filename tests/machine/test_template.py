"""Forks of real machines: quick, right in time, alike in nothing but what they were saved with, and apart."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import arches
from lab.drivers.capture import Events
from lab.drivers.deploy import deploy, resume
from lab.errors import MachineLostError
from lab.machines import template as templates
from lab.machines.agent import Agent
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.machines.record import living
from lab.machines.template import Template, TemplateError
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from lab.store import Store, content_digest
from tests.support.forks import forked

AGE = 3 * 86400  # seconds that the template's clock is behind
FAR = 60.0  # a deadline, in seconds

Start = Callable[[], Fork]


@pytest.fixture(scope="module")
def driven(lab: Lab) -> Prepared:
    return lab.prepare(Cell(lab.settings.kernel, arches.AMD64, "falco:kmod"))


@pytest.fixture(scope="module")
def saved(lab: Lab, driven: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A template with the driver loaded and its consumer running, whose clock says that it was saved days ago."""
    folder = tmp_path_factory.mktemp("template")
    spec = templates.savable(lab.spec(driven), folder)
    assert driven.driver is not None
    with lab.machine(driven, "test", spec) as machine:
        machine.start(anonymous=True)
        machine.run(["date", "-s", f"@{int(time.time()) - AGE}"])
        machine.run(["touch", "/work/before"])
        Events(deploy(machine, driven.driver)).begin()
        return Template("of-the-test", folder, templates.save(machine, folder))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def start(lab: Lab, driven: Prepared, saved: Template, stack: ExitStack) -> Start:
    def start() -> Fork:
        fork = Fork(saved, lab.spec(driven), driven.qemu, lab.settings.run_dir, purpose="test")
        stack.enter_context(fork).start()
        return fork

    return start


def clock_error(fork: Fork) -> float:
    """How far the fork's clock is off at least, in seconds."""
    before = time.time()
    said = float(fork.run(["date", "+%s.%N"]).text)
    return max(0.0, before - said, said - time.time())


def test_a_fork_begins_where_its_template_was_saved(start: Start, driven: Prepared) -> None:
    fork = start()
    assert fork.run(["uname", "-r"]).text.strip() == driven.kernel.release
    assert fork.run(["ls", "/work"]).text.split() == ["before"]
    assert fork.run(["pgrep", "-c", "-x", "sysdig"]).text.strip() == "1"


def test_a_forks_clock_is_the_hosts(start: Start) -> None:
    fork = start()
    assert clock_error(fork) < 1.0
    fork.run(["date", "-s", f"@{int(time.time()) - AGE}"])
    assert clock_error(fork) > AGE - 10, "the clock of a guest cannot be seen to be off"


def test_events_of_a_fork_bear_the_hosts_time_also_when_the_consumer_was_started_again(
    start: Start, driven: Prepared
) -> None:
    fork = start()
    assert driven.driver is not None
    events = Events(resume(fork, driven.driver))
    for name in ("first", "second"):
        with events.capture() as seen:
            begin = time.time()
            fork.run(["sh", "-c", f": > /work/{name}"])
            end = time.time()
        opened = seen.one(type="openat", name=f"/work/{name}".encode())
        assert begin - 1 < opened.ts / 1e9 < end + 1
        assert seen.counters is not None
        assert seen.counters.drops == 0


def test_forks_are_alike_in_nothing_that_tells_machines_apart(start: Start) -> None:
    forks = [start(), start()]
    for what in (
        ["uname", "-n"],
        ["cat", "/etc/machine-id"],
        ["cat", "/proc/sys/kernel/random/boot_id"],
        ["od", "-An", "-N32", "-tx1", "/dev/urandom"],
    ):
        one, other = (fork.run(what).text for fork in forks)
        assert one != other, f"both forks say {one!r} to {what}"
        assert one.strip()


def test_a_host_name_is_the_machines_in_its_kernel_and_in_its_file(start: Start) -> None:
    fork = start()
    assert fork.run(["uname", "-n"]).text == fork.run(["cat", "/etc/hostname"]).text == f"{fork.host_name}\n"


def test_forks_run_at_once_and_neither_sees_the_other_nor_changes_the_template(start: Start, saved: Template) -> None:
    before = content_digest(saved.folder)
    one, other = start(), start()
    for fork, name in ((one, "one"), (other, "other")):
        fork.run(["sh", "-c", f"echo {name} >/etc/lab-wrote; dd if=/dev/urandom of=/work/{name} bs=1M count=32"])
    assert one.run(["cat", "/etc/lab-wrote"]).text == "one\n"
    assert other.run(["cat", "/etc/lab-wrote"]).text == "other\n"
    assert one.run(["ls", "/work"]).text.split() == ["before", "one"]
    assert other.run(["ls", "/work"]).text.split() == ["before", "other"]
    assert one.monitor.ssh_port() != other.monitor.ssh_port()
    one.end()
    assert other.run(["echo", "alive"]).text == "alive\n"
    other.end()
    assert content_digest(saved.folder) == before
    assert start().run(["ls", "/work"]).text.split() == ["before"]


def test_the_cpus_of_a_fork_that_must_run_at_the_same_time_never_share_one_of_the_hosts(
    forks: Forks, bare: Prepared
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this host has one CPU")
    with forked(forks, bare, parallel=True) as fork:
        first, second = (os.sched_getaffinity(thread) for thread in fork.monitor.cpu_threads())
        assert first
        assert second
        assert not first & second
        assert fork.run(["nproc"]).stdout == b"2\n"


def test_a_fork_has_no_keys_and_no_server_until_somebody_wants_a_terminal(start: Start) -> None:
    forks = [start(), start()]
    for fork in forks:
        assert fork.run(["pgrep", "-x", "dropbear"], check=False).status == 1
        assert fork.run(["test", "-e", "/root/.ssh"], check=False).status == 1
        fork.shell()
    one, other = (fork.run(["cat", "/run/lab/hostkey"]).stdout for fork in forks)
    assert one != other


def test_an_ended_fork_leaves_nothing(start: Start, lab: Lab, saved: Template) -> None:
    fork = start()
    (record,) = [record for record in living(lab.settings.run_dir) if record.name == fork.folder.name]
    fork.end()
    assert not Path(f"/proc/{record.pid}").exists()
    assert not fork.folder.path.exists()
    assert saved.console.read_bytes(), "the template's own console went with the fork"


def test_a_template_that_does_not_restore_is_no_lost_machine(
    lab: Lab, driven: Prepared, saved: Template, stack: ExitStack, tmp_path: Path
) -> None:
    shutil.copytree(saved.folder, tmp_path / "copy", copy_function=os.link)
    (tmp_path / "copy" / "state").unlink()
    (tmp_path / "copy" / "state").write_bytes(saved.state.read_bytes()[:100_000])
    damaged = Template("damaged", tmp_path / "copy", cut=False)
    fork = Fork(damaged, lab.spec(driven), driven.qemu, lab.settings.run_dir, purpose="test")
    with pytest.raises(TemplateError, match=r"template damaged cannot be restored: .*\n?.*lab gc template/damaged"):
        stack.enter_context(fork).start()


def test_a_guest_that_does_not_answer_is_a_lost_machine(
    lab: Lab, driven: Prepared, saved: Template, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "greet", lambda _: None)
    fork = Fork(saved, lab.spec(driven), driven.qemu, lab.settings.run_dir, purpose="test")
    with pytest.raises(MachineLostError, match="did not come up within"):
        stack.enter_context(fork).start(deadline=0.5)


@pytest.fixture
def own(lab: Lab, tmp_path: Path) -> tuple[Forks, list[str]]:
    """Forks whose templates lie in a store of the test's, and what the user was told."""
    told: list[str] = []
    made = Lab(lab.settings, told.append)
    made.store = Store(tmp_path / "store", notice=told.append)
    return Forks(made), told


def test_a_template_is_made_once_and_made_again_when_it_no_longer_restores(
    own: tuple[Forks, list[str]], bare: Prepared, stack: ExitStack
) -> None:
    forks, told = own

    def made(machine: Machine) -> None:
        stack.callback(machine.end)

    def started() -> Fork:
        return forks.start(bare, "test", made)

    first = started()
    assert started().template is first.template
    assert told == [f"saving a template of {bare.cell.slug}"]
    first.template.state.chmod(0o644)
    first.template.state.write_bytes(first.template.state.read_bytes()[:1000])
    again = started()
    assert again.run(["echo", "alive"]).text == "alive\n"
    assert again.template.state.stat().st_size > 1000
    assert [text for text in told if "cannot be restored" in text and text.endswith("it is made again")]
    assert told[-1] == f"saving a template of {bare.cell.slug}"
