"""The plugin's command-line options and markers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.plugin.profiles import NAMES

_MARKERS = (
    "controls(*controls): the negative controls that prove that the scenario can fail (lab.scenario)",
    "profile(name): from which profile on the scenario runs: smoke, default or full",
    "boots(reason): the scenario needs a machine that was booted for it, whatever --vm says",
    "parallel(reason): the machine's CPUs must run at the same time, also where they are emulated",
    "attack(name): the attack that the scenario makes; a driver's gaps can name it as they name calls",
    "syscall(*names): the system calls that the scenario is about",
)


def add_options(parser: pytest.Parser) -> None:
    """Options of `pytest scenarios/`; docs/reference.md lists them."""
    group = parser.getgroup("lab", "kernel-in-VM lab")
    group.addoption("--kernel", metavar="LIST", help="kernels: 6.12, 5.10-full, ubuntu/5.15, all, '>=6.1,<7', ...")
    group.addoption("--arch", metavar="LIST", help="architectures: amd64 (comma-separated)")
    group.addoption(
        "--driver",
        metavar="LIST",
        help="drivers: NAME[@VERSION][+OPTION]:MODE or PATH/driver.toml...:MODE (comma-separated), NAME:all, all",
    )
    group.addoption(
        "--driver-src",
        type=lambda text: Path(text).absolute(),
        metavar="DIR",
        help="a tree of the driver's sources in place of its manifest's",
    )
    group.addoption(
        "--artifact", action="append", metavar="NAME:MODE=PATH", help="the program that a driver's mode needs"
    )
    group.addoption(
        "--vm",
        choices=("fork", "boot"),
        default="fork",
        help="how scenarios get their machines: forked from one that was saved per cell, or each booted",
    )
    group.addoption(
        "--profile",
        choices=NAMES,
        default="default",
        help="how much runs: smoke (for CI), default, or full (what takes its time)",
    )
    group.addoption(
        "--controls",
        action="store_true",
        help="run every negative control: also under drivers that are built wrong, where scenarios must fail",
    )
    group.addoption("--accel", choices=("auto", "kvm", "tcg"), help="hardware virtualization or emulation")
    group.addoption("--offline", action="store_true", help="never use the network, only what is in the store")
    group.addoption(
        "--bundle-dir", type=Path, default=Path("lab-bundles"), metavar="DIR", help="where evidence of failures goes"
    )
    group.addoption(
        "--fuzz-seed",
        type=int,
        metavar="N",
        help="what chance follows from, in scenarios that have any: as a failure says",
    )
    group.addoption(
        "--keep-on-failure",
        action="store_true",
        help="machines of failed scenarios stay, 4 at most; pytest then waits at its end until `lab keep stop`",
    )
    group.addoption(
        "--resume",
        action="store_true",
        help="leave out cells that are finished in the runs below --bundle-dir: none missing, lost or in error",
    )
    group.addoption(
        "--allow-unsupported", action="store_true", help="a cell in which every scenario is unsupported is no failure"
    )


def add_markers(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
