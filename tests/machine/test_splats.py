"""Each detector on a real complaint of a real kernel: found, named rightly, its culprit known to the line, and the
machine beside it is clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import arches
from lab.drivers.capture import Events
from lab.errors import LabError, MachineLostError
from lab.evidence.kernellog import KernelLog
from lab.evidence.splats import Splat
from lab.evidence.symbols import symbols_of
from lab.machines.fork import Fork
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from tests.support.forks import forked
from tests.support.misbehaving import DEEDS, DRIVER, HANG, Deed
from tests.support.runs import Place

LONG = 60.0  # seconds on hardware; a deed spins for 12 of the clock
# What a kernel notices only after some time.
SPINNING = {"soft-lockup", "rcu-stall", "hung-task"}
# Words that several scenarios of one run use: each must fail, and the quiet one after each pass.
IN_A_RUN = ("oops", "warning", "panic", "refcount", "list", "leak", "hang")
SCENARIOS = """
import pytest
from lab.scenario import logged

CONTROL = pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))

def deed(machine, word):
    machine.run(["sh", "-c", f"echo {word} >/sys/module/misbehaves/parameters/now"], check=False, deadline=2)
"""
PAIR = """
@CONTROL
def test_{number}_{name}_fails(machine, printk):
    deed(machine, "{word}")

@CONTROL
def test_{number}_the_next_is_green(machine, printk):
    assert machine.run(["true"]).status == 0
    assert printk.splats() == []
"""


@pytest.fixture(scope="module", params=["amd64", pytest.param("arm64", marks=pytest.mark.slow)])
def misbehaving(lab: Lab, request: pytest.FixtureRequest) -> Prepared:
    return lab.prepare(Cell(lab.settings.kernel, arches.find(request.param), DRIVER))


@pytest.fixture
def fork(forks: Forks, misbehaving: Prepared) -> Iterator[Fork]:
    with forked(forks, misbehaving) as machine:
        yield machine


def do(fork: Fork, deed: Deed) -> None:
    try:
        fork.run(["sh", "-c", deed.command], check=False, deadline=LONG)
    except MachineLostError:
        assert deed.word == "panic"


def blaming(found: list[Splat], deed: Deed) -> list[Splat]:
    """Those of the deed's kind that blame its function."""
    return [
        splat
        for splat in found
        if splat.kind == deed.kind and splat.details.culprit and splat.details.culprit.function == deed.function
    ]


@pytest.mark.parametrize(
    "deed",
    [pytest.param(deed, id=deed.word, marks=[pytest.mark.slow] if deed.word in SPINNING else []) for deed in DEEDS],
)
def test_a_complaint_is_found_named_and_its_culprit_known_to_the_line(
    fork: Fork, misbehaving: Prepared, deed: Deed
) -> None:
    if deed.word == "atomic" and misbehaving.kernel.option("PREEMPT_COUNT") is None:
        pytest.skip(f"{misbehaving.kernel.release} has no CONFIG_PREEMPT_COUNT: it cannot notice")
    assert KernelLog(fork).complaints() == [], "it complained before"
    do(fork, deed)
    symbols = symbols_of(misbehaving.driver)
    found = [symbols.locate(splat) for splat in KernelLog(fork).complaints()]
    assert found, "nothing was found"
    # arm64's kernels complain of their own idle loop, too, when a task died with interrupts off.
    blamed = blaming(found, deed)
    assert blamed, [splat.summary() for splat in found]
    first = blamed[0]
    assert found[0].kind == deed.kind
    assert first.details.culprit is not None
    assert first.details.culprit.module == "misbehaves"
    assert first.details.culprit.source.startswith("misbehaves.c:")
    assert first.details.comm == "sh"
    assert first.details.pid is not None


@pytest.mark.slow
def test_a_silent_hang_is_a_lost_machine_and_no_splat(fork: Fork) -> None:
    with pytest.raises(MachineLostError, match="the guest hangs"):
        fork.run(["sh", "-c", HANG.command], deadline=0.5)
    assert fork.alive(), "QEMU still runs it"
    with pytest.raises((MachineLostError, LabError)):
        KernelLog(fork).records()


def test_a_fake_panic_from_a_program_is_no_splat(fork: Fork) -> None:
    said = "Kernel panic - not syncing: not at all"
    fork.run(["sh", "-c", f"echo '<1>{said}' >/dev/kmsg; echo 'user: {said}' >/dev/console; echo x >/dev/kmsg"])
    log = KernelLog(fork)
    assert any(said in record.text for record in log.records()), "it was not read at all"
    assert log.complaints() == []


def test_binary_on_the_console_hides_no_complaint(fork: Fork) -> None:
    fork.run(["sh", "-c", "head -c 20000 /dev/urandom >/dev/console; printf 'half a line' >/dev/console"])
    do(fork, DEEDS[2])
    assert [splat.kind for splat in KernelLog(fork).complaints()] == ["WARNING"]


def test_a_flood_of_complaints_is_read_within_bounds(fork: Fork) -> None:
    flood = f"i=0; while [ $i -lt 300 ]; do {DEEDS[2].command}; i=$((i+1)); done"
    fork.run(["sh", "-c", flood], deadline=LONG)
    found = KernelLog(fork).complaints()
    assert len(found) > 100
    assert {splat.kind for splat in found} == {"WARNING"}


def test_events_still_come_after_a_complaint(fork: Fork, misbehaving: Prepared, lab: Lab) -> None:
    do(fork, DEEDS[2])
    with Events(lab.deploy(fork, misbehaving)).capture() as seen:
        fork.run(["cat", "/etc/hostname"])
    assert any(event.params["name"] == b"/etc/hostname" for event in seen.events)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_complaint_is_put_on_its_scenario_and_the_next_is_green(tmp_path: Path, arch: str) -> None:
    place = Place(tmp_path)
    pairs = "".join(
        PAIR.format(number=number, name=word.replace("-", "_"), word=word) for number, word in enumerate(IN_A_RUN)
    )
    (tmp_path / "test_own.py").write_text(SCENARIOS + pairs)
    done = place.run(place.pytest(str(tmp_path / "test_own.py"), "--driver", DRIVER, "--arch", arch))
    rows = [json.loads(line) for path in place.bundles.rglob("results.jsonl") for line in path.read_text().splitlines()]
    verdicts = {row["scenario"].partition("::")[2].partition("[")[0]: row["verdict"] for row in rows}
    for number, word in enumerate(IN_A_RUN):
        expected = "lost" if word in ("panic", "hang") else "failed"
        assert verdicts[f"test_{number}_{word}_fails"] == expected, done.stdout
        assert verdicts[f"test_{number}_the_next_is_green"] == "passed", done.stdout
    kinds = {deed.word: deed.kind for deed in DEEDS}
    for word in ("oops", "warning", "panic", "refcount", "list", "leak"):
        (bundle,) = [path.parent for path in place.bundles.rglob("splats.json") if f"_{word}_fails" in str(path)]
        told = json.loads((bundle / "splats.json").read_text())
        assert told[0]["kind"] == kinds[word]
        assert "misbehaves.c:" in json.dumps(told)
        readme = (bundle / "README").read_text()
        assert f"The kernel said: {kinds[word]}" in readme
        assert f"lab repro {bundle}" in readme
