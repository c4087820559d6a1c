"""A program that the user gives, with a real one: Debian's sysdig, which was built without the modern engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import arches
from lab.arches import Arch
from lab.archives.aptroot import AptRoot
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.drivers.deploy import deploy
from lab.errors import LoadError, UnsupportedError
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support.runs import Place

MODE = "falco:modern-bpf"
# By it the lab knows a program that has the engine. Behind the end of a program it changes nothing of it.
ENGINE = b"tp_btf/sys_exit"


def sysdig(lab: Lab, arch: Arch, folder: Path) -> Path:
    """The program of Debian's package."""
    archive = AptRoot(Sources(lab.settings).suite("forky"), arch, lab.store, lab.settings, lab.notice)
    archive.refresh()
    (package,) = (found for found in archive.packages("sysdig") if found.name == "sysdig")
    unpack_deb(archive.download(package, folder), folder / "unpacked")
    return folder / "unpacked" / "usr" / "bin" / "sysdig"


def with_artifact(lab: Lab, path: Path) -> Lab:
    return Lab(lab.settings.model_copy(update={"artifact": (f"{MODE}={path}",)}), lab.notice)


def claiming_the_engine(path: Path) -> Path:
    path.write_bytes(path.read_bytes() + b"\0" + ENGINE + b"\0")
    return path


@pytest.mark.parametrize("arch", [arches.AMD64, arches.RISCV64], ids=lambda arch: arch.name)
def test_debians_sysdig_is_refused_in_a_sentence_before_anything_runs(lab: Lab, tmp_path: Path, arch: Arch) -> None:
    program = sysdig(lab, arch, tmp_path)
    place = Place(tmp_path)
    done = place.run(
        place.pytest("scenarios/", "--profile", "smoke", "--driver", MODE, "--artifact", f"{MODE}={program}")
    )
    assert done.returncode == 4, "a usage error"
    assert f"{program} lacks the modern engine (no eBPF object for tp_btf/sys_exit is in it)" in done.stdout
    assert "Traceback" not in done.stdout
    assert not place.bundles.exists()


def test_a_program_for_another_architecture_is_unsupported_by_both_names(lab: Lab, tmp_path: Path) -> None:
    given = with_artifact(lab, claiming_the_engine(sysdig(lab, arches.ARM64, tmp_path)))
    with pytest.raises(UnsupportedError, match=f"given to {MODE} is for arm64, and the guest is amd64"):
        given.prepare(Cell(lab.settings.kernel, arches.AMD64, MODE))


def test_a_program_that_only_claims_the_engine_runs_in_the_guest_and_its_own_words_are_told(
    lab: Lab, tmp_path: Path
) -> None:
    given = with_artifact(lab, claiming_the_engine(sysdig(lab, arches.AMD64, tmp_path)))
    prepared = given.prepare(Cell(lab.settings.kernel, arches.AMD64, MODE))
    assert prepared.driver is not None
    with given.machine(prepared, "test") as machine:
        machine.start()
        # It was copied into the guest, is linked with what is there, and answers as the manifest's command asks it.
        with pytest.raises(LoadError, match="ended: status 1: MODERN_BPF engine is not supported in this build"):
            deploy(machine, prepared.driver)
