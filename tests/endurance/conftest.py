"""What takes too long for `make test`: `make endurance` runs it, and this folder alone collects it."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pytest

from lab import arches, settings
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab

FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("endurance", "how much is endured; --kernel and --arch choose what is forked")
    group.addoption("--forks", type=int, default=200, metavar="N", help="forks in a row")
    group.addoption("--rounds", type=int, default=50, metavar="N", help="rounds of four forks at a time")
    group.addoption("--kills", type=_span, default="50", metavar="N|FROM-TO", help="kills, or which of them")
    group.addoption("--seed", type=int, default=secrets.randbelow(1 << 32), metavar="N", help="where kills fall")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_report_header(config: pytest.Config) -> str:
    return f"endurance: --seed {config.getoption('seed')}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill" in metafunc.fixturenames:
        metafunc.parametrize("kill", metafunc.config.getoption("kills"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash[FIGURES]:
        terminalreporter.section("figures")
        for line in config.stash[FIGURES]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are shown in the end."""
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(settings.load(), lambda _: None)


@pytest.fixture(scope="session")
def forked(lab: Lab, pytestconfig: pytest.Config) -> Cell:
    """The cell whose machines are forked."""
    arch = arches.find(pytestconfig.getoption("arch") or arches.host().name)
    return Cell(pytestconfig.getoption("kernel") or lab.settings.kernel, arch, "falco:kmod")


def _span(text: str) -> range:
    """ "50" is the first fifty, "13-25" the thirteenth to the twenty-fifth."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    if found is None:
        raise ValueError(text)
    return range(int(found[1] or 1), int(found[2]) + 1)
