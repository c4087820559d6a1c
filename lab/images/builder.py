"""Builder roots: a suite's compilers, unpacked, and entered without touching the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab import arches
from lab.images.recipe import RECIPES, read_recipe
from lab.images.roots import RootWish, get_root
from lab.process import Completed, run, run_shown, which
from lab.settings import Settings
from lab.store import Store

_NOTHING: Mapping[str, Path] = MappingProxyType({})
_PROVIDED = frozenset({"dev", "proc", "tmp", "build", "sys", "run"})


@dataclass(frozen=True)
class Builder:
    """A root with compilers: `root` is its folder, `packages` what is in it."""

    root: Path
    key: str
    packages: dict[str, str]

    def run(
        self,
        argv: Sequence[str],
        *,
        work: Path,
        deadline: float,
        log: Path | None = None,
        mounts: Mapping[str, Path] = _NOTHING,
        output: Callable[[bytes], None] | None = None,
    ) -> Completed:
        """Run a program in the root, in `work`, which is /build there; the status is the caller's to judge.

        `mounts` (path there -> folder here) are read-only; `output` gets what goes into the log, as it comes.
        """
        command = command_in(self.root, argv, work, mounts)
        if log and output:
            return run_shown(command, deadline=deadline, log=log, output=output)
        return run(command, deadline=deadline, log=log, check=False)


def command_in(
    root: Path,
    argv: Sequence[str],
    work: Path,
    mounts: Mapping[str, Path] = _NOTHING,
    *,
    writable: Mapping[str, Path] = _NOTHING,
) -> list[str]:
    """bwrap's command line: the root read-only, no network, no way to other processes, and /proc, which objtool reads
    from 7.2 on. `mounts` are read-only, `writable` ones are not.

    What lies in the root is mounted piece by piece: so mounts may lie where the root has nothing, in /home too.
    """
    missing = [Path(place) for place in mounts if not root.joinpath(*Path(place).parts[1:]).is_dir()]
    parts = [part for part in _parts(root, Path("/"), missing) if str(part[0].relative_to(root)) not in _PROVIDED]
    pieces = [_piece(path, there) for path, there in parts]
    more = [word for place, folder in mounts.items() for word in ("--ro-bind", str(folder), place)]
    fixed = ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108 - the builder's own
    environment: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/build"}
    variables = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    return [
        which("bwrap", package="bubblewrap"),
        *(word for piece in pieces for word in piece),
        *fixed,
        *more,
        *(word for place, folder in writable.items() for word in ("--bind", str(folder), place)),
        *("--bind", str(work), "/build", "--chdir", "/build"),
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", *variables, "--"),
        *argv,
    ]


def _parts(folder: Path, there: Path, missing: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """What lies in the folder, with where it goes; one that is to get a mount it has no place for, entry by entry."""
    for path in sorted(folder.iterdir()):
        place = there / path.name
        if not path.is_symlink() and any(place in mount.parents for mount in missing):
            yield from _parts(path, place, missing)
        else:
            yield path, place


def _piece(path: Path, there: Path) -> tuple[str, str, str]:
    """How one entry of a root gets there: links as links, or a mount could not lie beyond them."""
    where = str(there)
    return ("--symlink", str(path.readlink()), where) if path.is_symlink() else ("--ro-bind", str(path), where)


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
    wish = RootWish(
        kind="builder",
        name=recipe_name,
        suite=suite,
        packages=packages,
        arch=host,
        inputs={"host": host.name, "layout": 3},
        notice=f"unpacking the compilers of {suite}",
    )

    def complete(folder: Path) -> dict[str, Any]:
        (folder / "root/usr/src").mkdir(exist_ok=True)  # where build trees are mounted
        return {}

    entry = get_root(wish, store, settings, notice, complete)
    return Builder(entry.files / "root", entry.key, entry.provenance["packages"])
