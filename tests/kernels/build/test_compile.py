"""Compiling by the real steps, sources that are a makefile: interrupted and gone on with, on a full disk, failing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lab.kernels.build.resume import drop_half_made
from lab.store import Store
from tests.support.namespaces import with_small_disk
from tests.support.runs import ROOT, until

# As kbuild does it: an object, then the note of its command.
MAKEFILE = """
OBJECTS = a.o b.o c.o
all:
allnoconfig:
	cp $(KCONFIG_ALLCONFIG) .config
%.o: %.c
	@echo "  CC      $@"
	@$(WORK)
	@cp $< $@
	@echo "savedcmd_$@ := cp" >.$@.cmd
bzImage: $(OBJECTS)
	mkdir -p arch/x86/boot include/config
	cat $(OBJECTS) >arch/x86/boot/bzImage
	cp arch/x86/boot/bzImage vmlinux
	echo 6.12.0-lab >include/config/kernel.release
modules:
	: >Module.symvers
modules_install:
	mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.0-lab
	: >$(INSTALL_MOD_PATH)/lib/modules/6.12.0-lab/modules.builtin
"""
# The compilers' root is the host's own: only make and cp are wanted of it. Arguments: a store, sources.
BUILDING = """
import json, pathlib, sys
from lab import settings
from lab.arches import AMD64
from lab.errors import LabError
from lab.images.builder import Builder
from lab.kernels.build import compile
from lab.kernels.build.wish import parse
from lab.store import Store

compile.builder_root = lambda *_, **__: Builder(pathlib.Path("/"), "host", {})
compile._ROOM_MIB = int(sys.argv[3])
store = Store(pathlib.Path(sys.argv[1]), notice=lambda _: None)
wish = parse("6.12+kgdb", pathlib.Path(sys.argv[2]))
try:
    entry = compile.build_kernel(wish, AMD64, store, settings.load({}), lambda _: None)
except LabError as error:
    print(json.dumps([type(error).__name__, error.what, error.hint, str(error.log)]))
else:
    print(json.dumps(["built", entry.provenance["release"]]))
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "linux"
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE.replace("$(WORK)", "true"))
    (folder / "Kconfig").write_text("config A\n\tbool\n")
    for name in "abc":
        (folder / f"{name}.c").write_text(f"{name}\n")
    return folder


def command(store: Path, sources: Path, room: int = 0) -> list[str]:
    return [sys.executable, "-c", BUILDING, str(store), str(sources), str(room)]


def build(argv: list[str]) -> list[str]:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


def tree_of(store: Path) -> Path:
    (tree,) = store.glob("state/linux/*/tree")
    return tree


def log_of(store: Path) -> str:
    return (tree_of(store).parent / "build.log").read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_an_interrupted_build_leaves_nothing_running_and_goes_on_where_it_was(
    sources: Path, tmp_path: Path, how: signal.Signals
) -> None:
    store = tmp_path / "store"
    waits = "if [ $@ = c.o ]; then echo half >$@; : >waiting; exec sleep 100; fi"
    (sources / "Makefile").write_text(MAKEFILE.replace("$(WORK)", waits))
    process = subprocess.Popen(command(store, sources), cwd=ROOT, stderr=subprocess.DEVNULL)
    until(lambda: bool(list(store.glob("state/linux/*/tree/waiting"))), 60.0)
    process.send_signal(how)
    process.wait(30.0)
    until(lambda: not runs_in(tree_of(store)), 10.0)
    assert Store(store).find("linux", {}) is None
    assert not list((store / "entries").glob("linux/*"))
    # What was half made is not taken for whole, though its note is there, from a build before.
    (tree_of(store) / ".c.o.cmd").write_text("savedcmd_c.o := cp\n")
    os.utime(tree_of(store) / ".c.o.cmd", (0, 0))
    (sources / "Makefile").write_text(MAKEFILE.replace("$(WORK)", "true"))
    assert build(command(store, sources)) == ["built", "6.12.0-lab"]
    assert [line.split()[1] for line in log_of(store).splitlines() if line.startswith("  CC")] == ["c.o"]
    assert (tree_of(store) / "vmlinux").read_text() == "a\nb\nc\n"
    if how == signal.SIGINT:  # after a kill the folder stays for `lab gc`
        assert not list((store / "tmp").iterdir())


def runs_in(tree: Path) -> list[str]:
    """Processes whose folder is the tree."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if (place / "cwd").samefile(tree):
                found.append(place.name)
    return found


def test_only_what_is_newer_than_its_note_was_being_made(tmp_path: Path) -> None:
    for number, (made, note) in enumerate([(1, 2), (2, 1), (1, 1)]):
        for name, moment in ((f"{number}.o", made), (f".{number}.o.cmd", note)):
            (tmp_path / name).write_text("x")
            os.utime(tmp_path / name, (moment, moment))
    (tmp_path / ".gone.o.cmd").write_text("x")
    (tmp_path / "source.c").write_text("x")
    assert drop_half_made(tmp_path) == [tmp_path / "1.o"]
    assert not (tmp_path / "1.o").exists()


def test_a_disk_that_gets_full_while_it_compiles_is_told_as_that_and_room_is_all_it_takes(
    sources: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    work = "if [ $@ = b.o ]; then dd if=/dev/zero of=big bs=1M count=24 && rm big; fi"
    (sources / "Makefile").write_text(MAKEFILE.replace("$(WORK)", work))
    again = ["sh", "-c", '"$@"; mount -o remount,size=64m "$0" && "$@"', str(disk), *command(disk / "store", sources)]
    done = subprocess.run(
        with_small_disk(disk, "size=8m", again), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    full, built = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert full[0] == "NoSpaceError", full
    assert "no space left on the disk" in full[1]
    assert full[3].endswith("build.log")
    assert built == ["built", "6.12.0-lab"], done.stderr


def test_too_little_room_is_told_before_anything_is_laid_out(sources: Path, tmp_path: Path) -> None:
    kind, what, hint, _ = build(command(tmp_path / "store", sources, room=1 << 40))
    assert kind == "NoSpaceError"
    assert f"compiling a kernel takes {1 << 40}" in what
    assert "lab gc" in hint
    assert not list((tmp_path / "store").glob("state/linux/*/tree"))


def test_a_compilers_error_is_told_with_its_log(sources: Path, tmp_path: Path) -> None:
    (sources / "Makefile").write_text(
        MAKEFILE.replace("$(WORK)", "if [ $@ = b.o ]; then echo 'b.c:1:2: error: no' >&2; false; fi")
    )
    kind, what, _, log = build(command(tmp_path / "store", sources))
    assert kind == "BuildError"
    assert what == "kernel 6.12+kgdb for amd64 does not build: b.c:1:2: error: no"
    assert "b.c:1:2: error: no" in Path(log).read_text()
