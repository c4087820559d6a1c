"""The command line without a machine: mistakes, statuses, the doctor on this host."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lab.cli import main as cli
from lab.cli.context import MAX_STDIN
from lab.cli.main import main
from lab.errors import ExitCode, MachineLostError


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAB_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("LAB_SECURITY_MIRROR", "http://127.0.0.1:1")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Put a subcommand that does just that in the place of a real one."""

    def put(name: str, body: Callable[[], object]) -> None:
        monkeypatch.setitem(cli.lab.commands, name, click.Command(name, callback=body))

    return put


def fail(error: BaseException) -> Callable[[], object]:
    def body() -> None:
        raise error

    return body


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("lab ")


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert all(name in said for name in ("bench", "doctor", "gc", "kernel", "lock", "run", "shell"))


@pytest.mark.parametrize("argv", [["nosuch"], ["run"], ["run", "--deadline", "soon", "true"], ["doctor", "--fast"]])
def test_a_usage_error_is_2_and_says_what_is_wrong(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == ExitCode.USAGE
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "status"), [("kernel", ExitCode.MACHINE_LOST), ("run", ExitCode.RUN_FAILED), ("shell", 4)]
)
def test_an_error_of_the_labs_is_its_text_and_its_code(
    name: str,
    status: int,
    command: Callable[[str, Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(name, fail(MachineLostError("the machine died", hint="look", log=Path("/a/log"))))
    assert main([name]) == status
    assert capsys.readouterr().err == "lab: the machine died\nNext: look\nLog: /a/log\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["--offline", "run", "true"],
        ["run", "--offline", "true"],
        ["--offline", "kernel", "list"],
    ],
)
def test_offline_nothing_is_asked_of_an_archive(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) in (ExitCode.RUN_FAILED, ExitCode.CHECK_FAILED)
    said = capsys.readouterr().err
    assert "lab: offline: the list of bullseye for amd64 is not in the store" in said
    assert "cannot be reached" not in said


def test_doctor_offline_asks_no_archive(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--offline", "doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "archive," in line] == ["note", "note"]


def test_ctrl_c_is_130(
    command: Callable[[str, Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("shell", fail(KeyboardInterrupt()))
    assert main(["shell"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "status"), [("shell", ExitCode.USAGE), ("run", ExitCode.RUN_FAILED)])
def test_a_wrong_setting_is_one_sentence(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_CPUS", "many")
    assert main([name, "true"][: 2 if name == "run" else 1]) == status
    assert "cpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--arch", "mips"], "unknown architecture 'mips'"),
        (["--driver", "nosuch:kmod"], "unknown driver 'nosuch'"),
        (["--kernel", "new"], "kernel request 'new' cannot be read"),
        (["--kernel", "6.12"], "cannot be reached"),
    ],
)
def test_what_cannot_be_run_is_125_and_says_why(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *options, "--", "true"]) == ExitCode.RUN_FAILED
    said = capsys.readouterr()
    assert words in said.err
    assert "\nNext: " in said.err
    assert said.out == ""


def test_every_command_removes_what_killed_runs_left(
    tmp_path: Path, command: Callable[[str, Callable[[], object]], None]
) -> None:
    left = tmp_path / "machines" / "0badf00d"
    left.mkdir(parents=True)
    left.parent.chmod(0o700)
    command("shell", lambda: None)
    assert main(["shell"]) == ExitCode.OK
    assert not left.exists()


@pytest.mark.parametrize("argv", [["run", "-i", "--", "cat"], ["shell"]])
def test_standard_input_is_bounded(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(MAX_STDIN + 1))))
    assert main(argv) == (ExitCode.RUN_FAILED if argv[0] == "run" else ExitCode.USAGE)
    assert "1024 KiB" in capsys.readouterr().err


def test_doctor_tells_all_and_what_is_lacking(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == ExitCode.HOST_LACKS
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert [line.split()[0] for line in lines if "archive," in line] == ["lacks", "lacks"]
    assert "LAB_MIRROR" in said
    assert "lab doctor --fetch" in said
    assert all(line.split()[0] in ("ok", "lacks", "note") for line in lines[:-1])
    assert "lacking" in lines[-1]


def test_doctor_tells_a_folder_of_machines_that_is_not_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "machines").mkdir(mode=0o755)
    assert main(["doctor"]) == ExitCode.HOST_LACKS
    assert "is not a private folder of yours  ->  set LAB_RUN_DIR" in capsys.readouterr().out
