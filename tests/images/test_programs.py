"""The one line of a build's output that a user needs, and what is said of programs that are not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.arches import AMD64
from lab.errors import RequestError
from lab.images import programs
from lab.images.builder import Builder
from lab.images.programs import build_program, first_error, headers
from lab.images.recipe import RECIPES
from lab.process import Completed
from lab.settings import Settings
from lab.store import Store

MAKE = """\
make: Entering directory '/usr/src/linux-headers-6.12'
  CC [M]  /build/scap.o
/build/scap.c:3:2: warning: unused variable 'x' [-Wunused-variable]
/build/scap.c:7:9: error: implicit declaration of function 'gone' [-Wimplicit-function-declaration]
/build/scap.c:9:1: error: expected ';'
make[2]: *** [scripts/Makefile.build:229: /build/scap.o] Error 1
"""


def test_the_first_error_is_the_compilers_first() -> None:
    assert first_error(MAKE).startswith("/build/scap.c:7:9: error: implicit declaration")


def test_a_linkers_error_counts() -> None:
    text = "/usr/bin/ld: /tmp/x.o: in function `main':\nx.c:(.text+0x5): undefined reference to `gone'\ncollect2: ...\n"
    assert "undefined reference to `gone'" in first_error(text)


def test_a_failure_that_make_went_on_after_is_a_probe_and_not_the_cause() -> None:
    probe = "[configure] test.c:28:16: error: no member named 'parent'\nmake[4]: *** [Makefile:3: test.o] Error 1\n"
    helper = "expr: syntax error: unexpected argument '1'\n"
    assert first_error(probe + helper + MAKE).startswith("/build/scap.c:7:9: error: implicit declaration")


def test_what_modpost_refuses_counts() -> None:
    text = 'WARNING: modpost: no description\nERROR: modpost: "gone" [/build/x.ko] undefined!\nmake: *** [x] Error 2\n'
    assert first_error(text) == 'ERROR: modpost: "gone" [/build/x.ko] undefined!'


def test_without_an_error_the_last_line_is_told() -> None:
    assert first_error("one\ntwo\n\n") == "two"


def test_a_build_that_says_nothing_is_told_as_such() -> None:
    assert first_error("\n") == "the build printed nothing"


def test_an_unknown_program_is_answered_with_those_there_are(tmp_path: Path) -> None:
    for name in ("beta.c", "alpha.c", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(RequestError, match="there is no program 'gamma'") as caught:
        build_program(tmp_path / "gamma.c", AMD64, Store(tmp_path / "store"), Settings(), print)
    assert caught.value.hint == "there are: alpha, beta"


def test_a_programs_own_headers_are_those_it_includes_and_those_they_do(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "one.h"\n#include <stdio.h>\n#include "gone.h"\n')
    (tmp_path / "one.h").write_text('#include "two.h"\n#include "one.h"\n')
    (tmp_path / "two.h").write_text("int two;\n")
    (tmp_path / "other.h").touch()
    assert [path.name for path in headers(tmp_path / "main.c")] == ["one.h", "two.h"]


def test_a_header_is_none_of_a_programs_when_it_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "../secret.h"\n')
    assert headers(tmp_path / "main.c") == []


class _Compiler(Builder):
    """What it makes of a program are the texts that it finds beside it."""

    def run(self, argv: Sequence[str], *, work: Path, **_: object) -> Completed:
        made = work / argv[argv.index("-o") + 1]
        made.write_text("".join(path.read_text() for path in sorted(work.glob("*.[ch]"))))
        return Completed(tuple(argv), 0, b"", b"")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    compiler = _Compiler(tmp_path, "compiler", {})
    monkeypatch.setattr(programs, "builder_root", lambda *_, **__: compiler)
    store = Store(tmp_path / "store")
    return lambda source: build_program(source, AMD64, store, Settings(), print)


def test_a_program_is_built_again_when_a_header_of_its_changes_and_only_then(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    source, own = tmp_path / "main.c", tmp_path / "own.h"
    source.write_text('#include "own.h"\n')
    own.write_text("first\n")
    first = build(source)
    assert first.read_text().endswith("first\n"), "the compiler has the header"
    (tmp_path / "other.h").write_text("another's\n")
    assert build(source) == first
    own.write_text("second\n")
    assert build(source) != first
    assert build(source).read_text().endswith("second\n")


@pytest.mark.parametrize("folder", ["images/programs", "scenarios/actors"])
def test_each_header_beside_the_programs_is_some_programs(folder: str) -> None:
    beside = RECIPES.parent / folder
    used = {header.name for source in beside.glob("*.c") for header in headers(source)}
    assert used == {path.name for path in beside.glob("*.h")}
