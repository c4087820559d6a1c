"""Kernels that the lab compiles: what is asked for, the configuration, the sources, and what is kept."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from lab import settings
from lab.arches import AMD64, ARM64, RISCV64
from lab.errors import BuildError, RequestError
from lab.kernels.build.compile import note_name
from lab.kernels.build.config import Wanted, demand_taken, fragments, known_options, merged, text_of, values_in
from lab.kernels.build.provider import BuiltKernels
from lab.kernels.build.sources import LinuxSource, find_source, lay_out
from lab.kernels.build.wish import SUITES, VARIANTS, parse
from lab.kernels.resolve import KernelSource
from lab.store import Store


def quiet(_: str) -> None:
    pass


def test_variants_may_stand_in_any_order_and_twice() -> None:
    wish = parse("build:6.12+kgdb+kasan+kgdb")
    assert (wish.series, wish.variants, wish.name) == ("6.12", ("kasan", "kgdb"), "6.12+kasan+kgdb")
    assert wish == parse("6.12+kasan+kgdb")
    assert parse(wish.request) == wish


@pytest.mark.parametrize("text", ["", "6", "6.12+", "6.12+kgdb+", "6.12-kgdb", "6.12+KGDB", "6.12@", "../6.12"])
def test_what_is_no_kernel_to_be_built_is_refused_with_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert "such as 6.12+kgdb" in caught.value.hint


def test_an_unknown_variant_and_a_series_without_sources_are_told_with_those_that_there_are() -> None:
    with pytest.raises(RequestError, match="no variant 'ubsan'") as caught:
        parse("6.12+ubsan")
    assert "kmemleak" in caught.value.hint
    with pytest.raises(RequestError, match=r"no sources of 6\.8") as caught:
        parse("6.8+kgdb")
    assert "--source DIR" in caught.value.hint


def test_own_sources_are_built_by_the_compilers_of_the_next_older_series() -> None:
    assert parse("6.8@/tmp").suite == SUITES["6.1"]
    assert parse("4.19@/tmp").suite == SUITES["5.10"]
    assert parse("6.12", Path("/tmp")).request == "build:6.12@/tmp"


@pytest.mark.parametrize("arch", [AMD64, ARM64], ids=lambda arch: arch.name)
def test_every_variant_has_a_fragment_and_they_are_read(arch: object) -> None:
    wish = parse("6.12+" + "+".join(VARIANTS))
    options = merged(wish, arch).options  # type: ignore[arg-type]
    assert options["CONFIG_KGDB"] == options["CONFIG_KASAN"] == options["CONFIG_PROVE_LOCKING"] == "y"
    assert options["CONFIG_DEBUG_KMEMLEAK"] == options["CONFIG_FAULT_INJECTION"] == "y"
    assert options["CONFIG_LOCALVERSION"] == '"-lab-fault-kasan-kgdb-kmemleak-lockdep"'


def test_every_fragment_says_what_it_is_for() -> None:
    for path in fragments(parse("6.12+" + "+".join(VARIANTS)), AMD64):
        assert path.read_text().startswith("# "), path


def test_there_is_no_configuration_for_riscv64() -> None:
    with pytest.raises(RequestError, match="builds no kernel for riscv64"):
        fragments(parse("6.12"), RISCV64)


def test_a_line_that_is_no_option_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "base.config").write_text("# why\n\nCONFIG_A=y\nB=y\n")
    (tmp_path / "amd64.config").write_text("")
    with pytest.raises(RequestError, match=r"base\.config:4 is no CONFIG_NAME=VALUE: 'B=y'"):
        merged(parse("6.12"), AMD64, tmp_path)


def test_an_option_that_was_not_taken_is_an_error_and_one_that_does_not_exist_is_told() -> None:
    wanted = Wanted({"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_OLD": "y"})
    taken = "CONFIG_A=y\n# CONFIG_B is not set\n"
    assert demand_taken(wanted, taken, ["A", "B"]) == ("CONFIG_OLD",)
    with pytest.raises(BuildError, match=r"1 options .* CONFIG_A=n instead of y"):
        demand_taken(wanted, "", ["A", "B"])
    with pytest.raises(BuildError, match="CONFIG_B=y instead of n"):
        demand_taken(wanted, taken + "CONFIG_B=y\n", ["A", "B"])


def test_an_option_that_only_some_series_have_may_be_lacking_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "base.config").write_text("CONFIG_A?=y\nCONFIG_B?=y\nCONFIG_C?=y\n")
    (tmp_path / "amd64.config").write_text("CONFIG_B=y\n")
    wanted = merged(parse("6.12"), AMD64, tmp_path)
    assert wanted.optional == {"CONFIG_A", "CONFIG_C"}
    taken = f"CONFIG_B=y\nCONFIG_C=y\nCONFIG_LOCALVERSION={wanted.options['CONFIG_LOCALVERSION']}\n"
    assert demand_taken(wanted, taken, ["A", "B", "C"]) == ("CONFIG_A",)
    with pytest.raises(BuildError, match="CONFIG_B=n instead of y"):
        demand_taken(wanted, taken.replace("CONFIG_B=y\n", ""), ["A", "B", "C"])


def test_options_are_written_in_kconfigs_form() -> None:
    text = text_of({"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"x"'})
    assert text == "# ".join(["CONFIG_A=y\n", 'CONFIG_B is not set\nCONFIG_C="x"\n'])
    assert values_in(text) == {"CONFIG_A": "y", "CONFIG_C": '"x"'}


def sources(folder: Path) -> Path:
    (folder / "drivers").mkdir(parents=True)
    (folder / "Makefile").write_text("all:\n")
    (folder / "Kconfig").write_text("config A\n\tbool\n")
    (folder / "drivers/Kconfig").write_text("menuconfig B_2\n  bool\n")
    return folder


def test_the_options_that_sources_know_are_found(tmp_path: Path) -> None:
    assert known_options(sources(tmp_path / "linux")) == {"A", "B_2"}


def source(wish: str, place: Path, tmp_path: Path) -> LinuxSource:
    return find_source(parse(wish, place), Store(tmp_path / "store"), settings.load({}), quiet)


def test_a_users_folder_is_copied_and_only_what_changed_is_copied_again(tmp_path: Path) -> None:
    own, tree = sources(tmp_path / "linux"), tmp_path / "tree"
    lay_out(source("6.12", own, tmp_path), tree)
    (tree / "drivers/a.o").write_text("compiled")
    before = (tree / "Makefile").stat().st_ino
    (own / "Kconfig").write_text("config A\n\tbool\nconfig NEW\n\tbool\n")
    (own / "drivers/Kconfig").unlink()
    lay_out(source("6.12", own, tmp_path), tree)
    assert "NEW" in (tree / "Kconfig").read_text()
    assert not (tree / "drivers/Kconfig").exists()
    assert (tree / "drivers/a.o").exists(), "what was compiled is gone"
    assert (tree / "Makefile").stat().st_ino == before, "what had not changed was copied again"


def test_a_tarball_is_unpacked_once_and_anew_when_it_is_another(tmp_path: Path) -> None:
    tarball, tree = tmp_path / "linux.tar.xz", tmp_path / "tree"
    with tarfile.open(tarball, "w:xz") as out:
        out.add(sources(tmp_path / "linux-6.12"), "linux-6.12")
    lay_out(source("6.12", tarball, tmp_path), tree)
    (tree / "a.o").write_text("compiled")
    lay_out(source("6.12", tarball, tmp_path), tree)
    assert (tree / "a.o").exists()
    with tarfile.open(tarball, "w:xz") as out:
        out.add(tmp_path / "linux-6.12", "linux-6.12.1")
    lay_out(source("6.12", tarball, tmp_path), tree)
    assert not (tree / "a.o").exists()
    assert not list(tmp_path.glob("*.part"))


def test_what_holds_no_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="holds no sources of a kernel"):
        source("6.12", tmp_path / "empty", tmp_path)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(RequestError, match="neither a folder nor a tarball"):
        source("6.12", tmp_path / "file.txt", tmp_path)
    with tarfile.open(tmp_path / "else.tar", "w") as out:
        out.add(tmp_path / "empty", "else")
    with pytest.raises(RequestError, match="holds no sources of a kernel"):
        lay_out(source("6.12", tmp_path / "else.tar", tmp_path), tmp_path / "tree")


def test_a_kernel_that_was_not_built_is_refused_with_the_command_that_builds_it(tmp_path: Path) -> None:
    chosen = settings.load({"LAB_STORE": str(tmp_path), "LAB_OFFLINE": "1"})
    source = KernelSource(Store(tmp_path), chosen, quiet)
    with pytest.raises(RequestError, match=r"kernel 6\.12\+kgdb has not been built for arm64") as caught:
        source.resolve("build:6.12+kgdb", ARM64)
    assert caught.value.hint == "lab kernel build 6.12+kgdb --arch arm64"


def test_a_damaged_note_counts_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.state("built")
    with pytest.raises(RequestError):
        BuiltKernels(store, settings.load({}), quiet).resolve("build:6.12", AMD64)
    note = folder / f"{note_name(parse('6.12'), AMD64)}.json"
    note.write_text("{")
    with pytest.raises(RequestError, match="has not been built"):
        BuiltKernels(store, settings.load({}), quiet).resolve("build:6.12", AMD64)
