"""bpftool, ftrace, exec, console and kept machines, on real guests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import arches
from lab.errors import RequestError, UnsupportedError
from lab.evidence.bpf import Entry
from lab.evidence.bpftool import Bpftool
from lab.evidence.ftrace import Ftrace
from lab.machines.fork import Fork
from lab.matrix.provision import Lab
from tests.support.runs import ROOT, Place, until

LEAVES = ROOT / "tests" / "support" / "programs" / "leaves_bpf.c"
LONG = 60.0
FAILING = """
import pytest
from lab.scenario import logged

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_it(machine, printk):
    machine.run(["touch", "/work/left-behind"])
    assert printk.matching("nobody says this"), "it was not said"
"""
USING = """
import pytest
from lab.scenario import answered, logged

@pytest.mark.controls(
    logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"),
    answered("bpftool.programs", ["one"], word="one"),
)
def test_all_fixtures(machine, driver, printk, bpftool, ftrace):
    mark = printk.mark()
    with ftrace.graph("module:scap") as graph:
        machine.run(["cat", "/etc/hostname"])
    assert any(call.module == "scap" for call in graph.calls)
    with ftrace.events("sched:sched_process_exec") as trace:
        machine.run(["cat", "/etc/hostname"])
    assert any("cat" in event.fields.get("filename", "") for event in trace.events)
    programs = bpftool.programs()
    assert programs == [], f"there are {programs}"
    driver.unload()
    assert not bpftool.left_behind()
    machine.run(["sh", "-c", "echo hello >/dev/kmsg"])
    assert [record.text for record in printk.since(mark) if record.facility == 1] == ["hello"]
    assert printk.splats(since=mark) == []
    assert "W" not in printk.taint()
"""


def lab_command(fork: Fork, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`lab ...`, for the machine's folder."""
    return run_lab(fork.folder.path.parent, *words, stdin=stdin)


def run_lab(run_dir: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    code = "import sys; from lab.cli.main import entrypoint; sys.argv[0] = 'lab'; entrypoint()"
    environment = {**os.environ, "LAB_RUN_DIR": str(run_dir)}
    argv = [sys.executable, "-c", code, *words]
    return subprocess.run(argv, cwd=ROOT, env=environment, input=stdin, capture_output=True, timeout=120, check=False)


def test_what_was_left_in_the_kernel_is_found_with_its_contents(fork: Fork, lab: Lab) -> None:
    bpftool = Bpftool(fork)
    before = bpftool.snapshot()
    assert not before
    fork.write("/run/lab/leaves", lab.program(LEAVES, arches.AMD64).read_bytes())
    fork.run(["sh", "-c", "chmod 755 /run/lab/leaves && /run/lab/leaves"])
    bpftool.count_runs()
    fork.run(["cat", "/etc/hostname"])
    left = bpftool.left_behind(before)
    (program,), (map_,), (link,) = left.programs, left.maps, left.links
    assert (program.name, program.type) == ("left_program", "raw_tracepoint")
    assert program.run_count > 10
    assert program.run_ns > 0
    assert (map_.name, map_.type, map_.pinned) == ("left_map", "hash", ("/sys/fs/bpf/left_map",))
    assert bpftool.entries(map_) == [Entry(7, {"count": 3, "last": 9})]
    assert (link.program_id, link.details["tp_name"]) == (program.id, "sys_enter")
    assert [found.map_ids for found in left.btf] == [(map_.id,)]
    assert "left_program" in str(left)
    fork.run(["sh", "-c", "rm /sys/fs/bpf/left*"])
    assert not bpftool.left_behind(before)


def test_the_kernels_own_btf_and_features_are_told(fork: Fork) -> None:
    bpftool = Bpftool(fork)
    assert [found.name for found in bpftool.btf() if found.kernel and found.id == 1] == ["vmlinux"]
    assert bpftool.features()["syscall_config"]["have_bpf_syscall"] is True
    assert bpftool.net() == []
    assert bpftool.perf() == []


@pytest.mark.slow
def test_a_graph_has_the_calls_of_a_function_and_what_it_calls(fork: Fork) -> None:
    with Ftrace(fork).graph("vfs_read", depth=2) as graph:
        fork.run(["cat", "/etc/hostname"])
    (first, *_) = graph.of("vfs_read", comm="cat")
    assert first.depth == 0
    assert first.took is not None
    assert any(call.depth == 1 and call.pid == first.pid for call in graph.calls)
    assert max(call.depth for call in graph.calls) == 1
    assert fork.run(["cat", "/sys/kernel/tracing/current_tracer"]).text == "nop\n"


def test_trace_events_are_records(fork: Fork) -> None:
    with Ftrace(fork).events("sched:sched_process_exec") as trace:
        fork.run(["cat", "/etc/hostname"])
    assert any(event.fields["filename"].endswith("/cat") for event in trace.events)
    assert fork.run(["ls", "/sys/kernel/tracing/instances"]).text == ""


def test_a_function_that_is_none_is_refused_by_name(fork: Fork) -> None:
    with pytest.raises(RequestError, match="cannot trace 'no_such_function'"), Ftrace(fork).graph("no_such_function"):
        pass
    with pytest.raises(RequestError, match="cannot be traced"), Ftrace(fork).graph("a; reboot"):
        pass


def test_without_tracefs_it_is_unsupported(fork: Fork) -> None:
    fork.run(["sh", "-c", "umount /sys/kernel/tracing; umount /sys/kernel/debug; mount -t tmpfs none /sys/kernel"])
    with pytest.raises(UnsupportedError, match="has no function graphs"), Ftrace(fork).graph("vfs_read"):
        pass
    with pytest.raises(UnsupportedError, match="has no trace events"), Ftrace(fork).events("sched:sched_switch"):
        pass


def test_exec_gives_output_status_and_input(fork: Fork) -> None:
    name = fork.folder.name
    done = lab_command(fork, "exec", "-i", name, "--", "sh", "-c", "cat; echo wrong >&2; exit 7", stdin=b"\xff given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\xff given", b"wrong\n")
    assert lab_command(fork, "exec", name[:6], "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert lab_command(fork, "exec", name, "--", "no-such-program").returncode == 127


def test_exec_says_in_a_sentence_what_the_lab_could_not_do(fork: Fork) -> None:
    done = lab_command(fork, "exec", "nosuch", "--", "true")
    assert done.returncode == 125
    assert re.search(rf"no machine 'nosuch' runs; running: .*{fork.folder.name}", done.stderr.decode())
    late = lab_command(fork, "exec", "--deadline", "1", fork.folder.name, "--", "sleep", "1000")
    assert late.returncode == 125
    assert b"did not end within" in late.stderr
    assert b"Traceback" not in late.stderr + done.stderr


def test_several_execs_at_once_are_served(fork: Fork) -> None:
    fork.run(["mkfifo", "/work/pipe"])
    with ThreadPoolExecutor() as others:
        reader = others.submit(lab_command, fork, "exec", fork.folder.name, "--", "cat", "/work/pipe")
        writer = others.submit(lab_command, fork, "exec", fork.folder.name, "--", "sh", "-c", "echo hi >/work/pipe")
        assert writer.result(LONG).returncode == 0
        assert reader.result(LONG).stdout == b"hi\n"


def test_the_console_shows_all_from_the_first_line_and_takes_what_is_typed(fork: Fork, tmp_path: Path) -> None:
    fork.run(["sh", "-c", "echo 'said before' >/dev/kmsg"])
    log = tmp_path / "scroll-back"
    done = lab_command(fork, "console", "--no-follow", "--log", str(log), fork.folder.name)
    assert b"said before" in done.stdout
    assert log.read_bytes() == done.stdout
    lab_command(fork, "console", "--shell", fork.folder.name, stdin=b"echo typed-$((6 * 7))\n")
    until(lambda: b"typed-42" in fork.console.read(), LONG)


def test_a_run_uses_all_fixtures_and_their_controls_hold(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "test_own.py").write_text(USING)
    done = place.run(place.pytest(str(tmp_path / "test_own.py"), "--driver", "falco:kmod"))
    assert "1 passed" in done.stdout, done.stdout
    assert "controls that failed as they should: 2" in done.stdout


def test_a_failed_scenarios_machine_is_kept_until_it_is_stopped(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "test_own.py").write_text(FAILING)
    run = place.start(place.pytest(str(tmp_path / "test_own.py"), "--driver", "falco:kmod", "--keep-on-failure"))

    def kept() -> list[dict[str, object]]:
        done = run_lab(place.machines, "keep", "list", "--json")
        return [record for record in json.loads(done.stdout or b"[]") if record["kept"]]

    try:
        until(lambda: bool(kept()) or run.poll() is not None, 300)
        (record,) = kept()
        name = str(record["name"])
        assert "test_it" in str(record["purpose"])
        assert run_lab(place.machines, "exec", name, "--", "ls", "/work").stdout == b"left-behind\n"
        attached = run_lab(place.machines, "keep", "attach", name, stdin=b"cd /work\nls\n")
        assert attached.stdout == b"left-behind\n"
        assert run_lab(place.machines, "keep", "stop", name).returncode == 0
        output, _ = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 1
    assert f"lab keep stop {name}" in output
    assert place.folders() == []


def test_a_bundle_is_run_again_by_one_command(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "test_own.py").write_text(FAILING)
    place.run(place.pytest(str(tmp_path / "test_own.py"), "--driver", "falco:kmod"))
    (bundle,) = [path.parent for path in place.bundles.rglob("repro.json")]
    assert {"splats.json", "bpf.json", "modules.txt", "module.txt"} <= {path.name for path in bundle.iterdir()}
    assert "scap" in (bundle / "modules.txt").read_text()
    assert "initstate=live" in (bundle / "module.txt").read_text()
    assert isinstance(json.loads((bundle / "bpf.json").read_text())["prog"], list)
    done = run_lab(place.machines, "repro", str(bundle), "--", "--bundle-dir", str(tmp_path / "again"))
    assert done.returncode == 1
    assert b"1 failed" in done.stdout
    assert b"it was not said" in done.stdout
