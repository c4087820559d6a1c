"""Lines of source for functions, out of a file that was compiled here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.evidence.details import Frame
from lab.evidence.splats import Splat
from lab.evidence.symbols import Symbols, symbols_of

SOURCE = "int other(int a)\n{\n\treturn a + 1;\n}\n\nint wrong(int *where)\n{\n\treturn *where;\n}\n"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cc"):
        pytest.skip("no C compiler on this host")
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "driver.c").write_text(SOURCE)
    subprocess.run(["cc", "-g", "-O1", "-c", "driver.c"], cwd=folder, check=True)
    return folder / "driver.o"


def splat(*lines: str) -> Splat:
    return Splat("oops", "BUG: x", lines, None)


def test_a_place_gets_its_line(compiled: Path) -> None:
    found = Symbols({"driver": compiled}).locate(splat("RIP: 0010:wrong+0x0/0x7 [driver]", "Call Trace:", " f+0x1/0x2"))
    assert str(found.details.culprit) == "wrong+0x0/0x7 [driver] (driver.c:8)"
    assert found.details.trace[0] == Frame("f", 1, 2), "no file is known for the kernel"


@pytest.mark.parametrize("place", ["nosuch+0x1/0x7", "wrong+0x9000/0x7", "wrong+0x7/0x7"])
def test_what_is_not_there_keeps_function_and_offset(compiled: Path, place: str) -> None:
    found = Symbols({"driver": compiled}).locate(splat(f"RIP: 0010:{place} [driver]"))
    assert found.details.culprit is not None
    assert found.details.culprit.source == ""


def test_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    found = Symbols({"driver": tmp_path / "gone.ko"}).locate(splat("RIP: 0010:wrong+0x1/0x7 [driver]"))
    assert str(found.details.culprit) == "wrong+0x1/0x7 [driver]"


def test_a_driver_without_a_module_has_none() -> None:
    plain = splat("RIP: 0010:wrong+0x1/0x7 [driver]")
    assert symbols_of(None).locate(plain).details == plain.details
