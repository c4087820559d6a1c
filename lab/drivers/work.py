"""One build of a driver: what is built for what, with what, and how its compiler is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch, host
from lab.drivers.manifest import DriverMode
from lab.drivers.sources import Tree
from lab.errors import BuildError
from lab.images.builder import Builder
from lab.images.programs import first_error
from lab.kernels.headers import BuildTree
from lab.kernels.kernel import Kernel

_BUILD_DEADLINE = 900.0
_STRIP_DEADLINE = 60.0

# Gets what the compiler prints, as it comes.
Output = Callable[[bytes], None]


@dataclass(frozen=True)
class Work:
    """What for what, with what, into which folder of the store. `tree` is None where no kernel's headers are needed."""

    driver: DriverMode
    kernel: Kernel
    sources: Tree
    tree: BuildTree | None
    builder: Builder
    folder: Path
    log: Path
    output: Output | None = None

    @property
    def place(self) -> Path:
        """Where the sources are copied to: /build in the builder."""
        return self.folder / "build"

    @property
    def inside(self) -> str:
        """What is built, by its path in the builder."""
        return f"/build/{self.sources.subfolder}".rstrip("/")

    def compile(self, argv: Sequence[str], made: str) -> Path:
        """Run what builds `made` (a path below what is built); BuildError quotes the first error, its log kept."""
        mounts = self.tree.mounts if self.tree else {}
        done = self.builder.run(
            argv, work=self.place, deadline=_BUILD_DEADLINE, log=self.log, mounts=mounts, output=self.output
        )
        built = self.place / self.sources.subfolder / made
        if done.status != 0 or not built.is_file():
            raise BuildError(
                f"{self.driver.name} does not build for {self.kernel.release}: {first_error(done.text)}",
                hint="read the log; drivers that the kernel's changes broke need a newer version",
                log=self.log,
            )
        return built

    def strip(self, argv: Sequence[str], built: Path) -> None:
        """Take out of a built file what no guest needs: it travels into every machine."""
        inside = f"/build/{built.relative_to(self.place)}"
        done = self.builder.run([*argv, inside], work=self.place, deadline=_STRIP_DEADLINE)
        if done.status != 0:
            raise BuildError(f"{argv[0]} failed: {done.stderr.decode(errors='replace')}")


def compiler_package(tree: BuildTree, arch: Arch) -> str:
    """The package that compiles for `arch` on this host, in the version that the tree wants."""
    return tree.compiler if arch == host() else arch.cross_package(tree.compiler)


def make_variables(arch: Arch, compiler: str) -> dict[str, str]:
    """What kbuild is told, so that it compiles for `arch` with that compiler ("gcc-14") and runs its own programs."""
    cross = "" if arch == host() else arch.prefix
    return {"ARCH": arch.kbuild, "CROSS_COMPILE": cross, "CC": f"{cross}{compiler}"}


def words_of(variables: dict[str, str]) -> list[str]:
    """Variables as make's words."""
    return [f"{name}={value}" for name, value in variables.items()]
