"""Builder roots: a suite's compilers, unpacked, and entered without touching the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import arches
from lab.archives.bootstrap import RootRecipe, extract_root
from lab.archives.sources import Sources
from lab.images.recipe import RECIPES, read_recipe
from lab.process import Completed, run, which
from lab.settings import Settings
from lab.store import Store


@dataclass(frozen=True)
class Builder:
    """A root with compilers: `root` is its folder, `packages` what is in it."""

    root: Path
    key: str
    packages: dict[str, str]

    def run(self, argv: Sequence[str], *, work: Path, deadline: float, log: Path | None = None) -> Completed:
        """Run a program in the root, in `work`, which is /build there; the status is the caller's to judge."""
        return run(command_in(self.root, argv, work), deadline=deadline, log=log, check=False)


def command_in(root: Path, argv: Sequence[str], work: Path) -> list[str]:
    """bwrap's command line: the root read-only, no network, no way to other processes, and /proc, which objtool reads
    from 7.2 on."""
    fixed = ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108 - the builder's own
    environment: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/build"}
    variables = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    return [
        which("bwrap", package="bubblewrap"),
        *("--ro-bind", str(root), "/"),
        *fixed,
        *("--bind", str(work), "/build", "--chdir", "/build"),
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", *variables, "--"),
        *argv,
    ]


def builder_root(
    recipe_name: str,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    *,
    suite: str = "",
    extra: tuple[str, ...] = (),
) -> Builder:
    """The builder of recipe `images/builders/NAME.toml`, for the recipe's suite or `suite`, with `extra` packages
    ("name" or "name=version")."""
    recipe = read_recipe(RECIPES / "builders" / f"{recipe_name}.toml")
    suite = suite or recipe.suite
    packages = tuple(sorted({*recipe.package_names(), *extra}))
    host = arches.host()
    inputs = {"suite": suite, "packages": packages, "host": host.name, "layout": 1}

    def fill(folder: Path) -> dict[str, Any]:
        notice(f"unpacking the compilers of {suite}")
        root = folder / "root"
        root.mkdir()
        wanted = RootRecipe(Sources(settings).family(suite), packages, host)
        done = extract_root(wanted, root, settings=settings, log=folder / "bootstrap.log", notice=notice)
        (root / "build").mkdir(exist_ok=True)
        return {"packages": done}

    entry = store.get("builder", inputs, fill)
    return Builder(entry.files / "root", entry.key, entry.provenance["packages"])
