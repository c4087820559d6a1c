"""Calls as data: what the actor is told to do, on which architecture."""

from __future__ import annotations

import errno

import pytest

from lab.arches import ARCHES, find
from lab.calls.spec import Call, Step, Variant, has, rendered, script, variants
from lab.calls.table import CALLS
from lab.calls.words import PATH_MAX, Prefix, null, number, result, text, words
from lab.drivers.manifest import DRIVERS

AMD64, ARM64 = find("amd64"), find("arm64")
OPENAT = Call(
    "openat",
    tuple(variants("openat", number(-100, "dirfd"), text("/work/x", "name"), path=1, dirfd=0)),
    (Step("openat", (number(-100), text("/work")), label="dir"),),
)


def test_a_call_with_a_path_has_every_way_to_get_one_wrong() -> None:
    assert [variant.name for variant in OPENAT.variants] == [
        "success", "32-bit", "failing", "PATH_MAX", "too long", "no UTF-8", "empty", "NULL", "unreadable", "relative",
    ]  # fmt: skip


def test_a_path_of_the_greatest_length_means_the_same_file() -> None:
    named = {variant.name: variant for variant in OPENAT.variants}
    long = named["PATH_MAX"].expected["name"]
    assert len(long) == PATH_MAX - 1
    assert long.replace(b"/.", b"").replace(b"//", b"/") == b"/work/x"
    wanted = named["too long"].expected["name"]
    assert isinstance(wanted, Prefix)
    assert (len(wanted.of), named["too long"].fails) == (PATH_MAX, errno.ENAMETOOLONG)


def test_a_script_has_the_numbers_of_its_architecture_and_of_32_bit_calls() -> None:
    lines = rendered(script(OPENAT, AMD64), AMD64).decode().splitlines()
    assert lines[0] == f"257 - i:-100 s:{b'/work'.hex()}"
    assert lines[1] == f"257 - i:-100 s:{b'/work/x'.hex()}"
    assert lines[2].startswith("295 c ")
    assert lines[-1].split()[2] == "r:0", "relative to what the first step opened"
    arm = rendered(script(OPENAT, ARM64), ARM64).decode().splitlines()
    assert [line.split()[0] for line in arm] == ["56"] * 10, "and there are no 32-bit calls"


def test_a_call_that_an_architecture_has_not_got_has_no_script_there() -> None:
    assert not any(line.variant for line in script(CALLS["open"], ARM64))
    assert (has("open", AMD64), has("open", ARM64)) == (True, False)


def test_a_label_is_the_latest_step_that_has_it() -> None:
    opens = Step("openat", (null(),), label="file")
    closes = Step("close", (result("file", "fd"),))
    call = Call("close", (Variant("a", closes, before=(opens,)), Variant("b", closes, before=(opens,))))
    assert rendered(script(call, AMD64), AMD64).splitlines() == [b"257 - n", b"3 - r:0", b"257 - n", b"3 - r:2"]


def test_a_list_of_words_is_told_without_the_first() -> None:
    arg = words(["true", "", b"\xff"], "args")
    assert (arg.word, arg.params) == ("v:74727565,,ff", (("args", (b"", b"\xff")),))


def test_every_call_of_the_table_runs_on_the_first_architecture_and_names_its_variants_once() -> None:
    for call in CALLS.values():
        names = [variant.name for variant in call.variants]
        assert len(names) == len(set(names)), call.name
        lines = script(call, AMD64)
        assert sum(line.variant is not None for line in lines) == len(names), call.name
        assert rendered(lines, AMD64).count(b"\n") == len(lines) <= 256


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
def test_every_call_that_an_architecture_has_is_made_there(arch: object) -> None:
    assert isinstance(arch, type(AMD64))
    for call in CALLS.values():
        assert has(call.name, arch) == any(line.variant for line in script(call, arch)), call.name


def test_the_table_has_what_the_labs_own_driver_types() -> None:
    described = (DRIVERS / "tap" / "events.toml").read_text()
    typed = {line.removeprefix("[calls.").rstrip("]") for line in described.splitlines() if line.startswith("[calls.")}
    assert typed == set(CALLS)
