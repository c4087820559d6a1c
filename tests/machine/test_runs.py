"""Whole runs, as a user starts them: a driver's own scenarios, drivers that are wrong, runs that are cut off."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs import DRIVERS, ROOT, Place, until

# A driver's own repository: its scenarios lie outside the lab's tree.
OWN_SCENARIO = """
import pytest
from lab.scenario import logged

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_first(machine, printk):
    assert machine.run(["uname", "-s"]).text == "Linux\\n"
    assert printk.splats() == []

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_second(machine, printk):
    assert printk.splats() == []
"""
CRASHING_SCENARIO = """
import pytest
from lab.scenario import logged

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_a_crash(machine, printk):
    machine.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_b_after_the_crash(machine, printk):
    assert machine.run(["true"]).status == 0
    assert printk.splats() == []
"""
DYING_CONSUMER = """
import pytest
from lab.scenario import missing

OPENED = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}

@pytest.mark.parametrize("command", ["kill -9 $(cat /run/lab/consumer.pid)", "true"])
@pytest.mark.controls(missing(**OPENED))
def test_an_open(machine, events, command):
    with events.capture() as seen:
        machine.run(["cat", "/etc/hostname"])
        machine.run(["sh", "-c", command])
    assert seen.all(**OPENED), f"no {OPENED['type']} with {OPENED}"
"""
ONE = "scenarios/capture/test_open.py::test_an_open_of_a_missing_file_is_reported_with_its_error"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.folders() == [], "a machine's folder stayed"


def own_scenarios(place: Place, text: str) -> str:
    folder = place.root / "my-scenarios"
    folder.mkdir()
    (folder / "test_own.py").write_text(text)
    return str(folder)


def driver(name: str) -> str:
    return f"{(DRIVERS / name / 'driver.toml').relative_to(ROOT)}:kmod"


def test_a_driver_that_does_not_build_is_an_error_with_the_compilers_first_word(place: Place) -> None:
    done = place.run(place.pytest(own_scenarios(place, OWN_SCENARIO), "--driver", driver("broken-build")))
    assert done.returncode == 1
    assert "2 error" in done.stdout
    assert "this_function_does_not_exist" in done.stdout
    assert "Traceback" not in done.stdout
    logs = list(place.bundles.rglob("build.log"))
    assert logs
    assert "this_function_does_not_exist" in logs[0].read_text()


def test_a_module_that_refuses_to_load_is_an_error_with_the_kernels_last_lines(place: Place) -> None:
    done = place.run(
        place.pytest(own_scenarios(place, OWN_SCENARIO), "-k", "first", "--driver", driver("refuses-load"))
    )
    assert done.returncode == 1
    assert "1 error" in done.stdout
    assert "does not load" in done.stdout
    assert "refusing" in done.stdout


def test_a_module_that_panics_is_a_lost_machine(place: Place) -> None:
    done = place.run(place.pytest(own_scenarios(place, OWN_SCENARIO), "-k", "first", "--driver", driver("panics")))
    assert done.returncode == 1
    assert "1 lost" in done.stdout
    assert "asked to panic" in done.stdout
    assert any("asked to panic" in path.read_text() for path in place.bundles.rglob("console.log"))


@pytest.mark.slow
def test_a_splat_fails_the_scenario_whatever_it_asserted(place: Place) -> None:
    scenario = OWN_SCENARIO.replace("assert printk.splats() == []", "printk.records()")
    done = place.run(place.pytest(own_scenarios(place, scenario), "-k", "first", "--driver", driver("warns")))
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "the kernel complained (WARNING" in done.stdout


@pytest.mark.slow
def test_after_a_crash_the_next_scenario_has_a_new_machine(place: Place) -> None:
    done = place.run(place.pytest(own_scenarios(place, CRASHING_SCENARIO), "--driver", "falco:kmod"))
    assert done.returncode == 1
    assert "1 passed, 1 lost" in done.stdout
    assert "sysrq triggered crash" in done.stdout


def test_a_consumer_that_dies_is_an_error_and_the_next_scenario_has_another(place: Place) -> None:
    mine = f"{(DRIVERS / 'kprobe' / 'driver.toml').relative_to(ROOT)}:trace"
    done = place.run(place.pytest(own_scenarios(place, DYING_CONSUMER), "--driver", mine))
    assert done.returncode == 1
    assert "1 passed, 1 error" in done.stdout
    assert (
        "did not report the end of the capture: its consumer ended: signal 9 (Killed): it said nothing" in done.stdout
    )
    assert "Next: run what `consumer.command` in driver.toml says by hand" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_failure_names_its_bundle_and_the_bundle_the_command_that_runs_it_again(place: Place) -> None:
    scenario = OWN_SCENARIO.replace('"Linux\\n"', '"Minix\\n"')
    done = place.run(place.pytest(own_scenarios(place, scenario), "-k", "first", "--driver", "falco:kmod"))
    bundle = next(path.parent for path in place.bundles.rglob("rerun"))
    assert str(bundle) in done.stdout
    assert "--driver falco:kmod" in (bundle / "rerun").read_text()
    names = {path.name for path in bundle.iterdir()}
    assert {"console.log", "kernel.log", "versions.json", "qemu-command", "README", "failure.txt"} <= names


def test_an_unknown_kernel_is_one_sentence_that_lists_what_exists(place: Place) -> None:
    done = place.run(place.pytest("scenarios", "--kernel", "9.99"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "9.99" in done.stdout
    assert "6.12" in done.stdout
    assert "Traceback" not in done.stdout


def test_ctrl_c_ends_the_machine_and_leaves_nothing(place: Place) -> None:
    run = place.start(place.pytest(ONE))
    with run:
        until(lambda: bool(list(place.machines.glob("*/record.json"))), 120)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=120)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "missing" in output


def test_ctrl_c_while_a_scenario_waits_leaves_nothing(place: Place) -> None:
    marker = place.root / "waiting"
    body = f"open({str(marker)!r}, 'w').close(); machine.run(['sleep', '1000'], deadline=100)"
    scenario = OWN_SCENARIO.replace('assert machine.run(["uname", "-s"]).text == "Linux\\n"', body)
    run = place.start(place.pytest(own_scenarios(place, scenario), "-k", "first"))
    with run:
        until(marker.exists, 120)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=120)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "missing" in output


def test_after_kill_9_no_machine_runs_and_the_next_start_removes_the_rest(place: Place) -> None:
    run = place.start(place.pytest(ONE))
    with run:
        until(lambda: bool(list(place.machines.glob("*/record.json"))), 120)
        record = next(place.machines.glob("*/record.json"))
        pid = int(record.read_text().partition('"pid": ')[2].partition(",")[0])
        run.kill()
        run.wait(30)
    until(lambda: not Path(f"/proc/{pid}").exists(), 30)
    assert place.folders()
    done = place.run(place.pytest(ONE))
    assert done.returncode == 0, done.stdout


def test_two_runs_at_once_share_the_store(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Place(tmp_path_factory.mktemp("other"))
    with place.start(place.pytest(ONE)) as first, other.start(other.pytest(ONE)) as second:
        outputs = [run.communicate(timeout=300)[0] for run in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
