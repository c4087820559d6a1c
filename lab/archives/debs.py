"""Packages' files, unpacked so that nothing of them lands outside the folder they were meant for."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from lab import process
from lab.errors import ArchiveError
from lab.process import ProgramFailedError

_DEADLINE = 600.0
# The largest packages, kernels' debug information, have 6 GB in 8,000 files; the most files, kernels' headers: 20,000.
_MOST_BYTES = 32 << 30
_MOST_MEMBERS = 1_000_000
_DEEPEST = 100  # folders: what lies deeper could not even be removed (shutil.rmtree goes down by recursion)
_MODE = 0o755  # of a member's, what is kept beside the owner's right to read and write: no set-id bits


def unpack_deb(deb: Path, folder: Path) -> None:
    """Unpack a package's files into `folder`, made when it is not there; others may have been unpacked there before.

    dpkg-deb(1) -x checks no member against what lies in the folder already: a link that one package brings leads the
    next one's files out. Here each member is checked just before it is written. ArchiveError when a member's name leads
    out of the folder, or through a link, or it is neither file, folder nor link. Links may point anywhere, as they are
    meant for a root; but none may stand for a folder that every root has (`usr`, `usr/share`), through which the lab
    itself goes afterwards. Owners are not kept, nor set-id bits.
    """
    dpkg = process.which("dpkg-deb", package="dpkg")
    folder.mkdir(exist_ok=True)
    unpacking = _Unpacking(deb.name, folder)
    try:
        with (
            process.reading([dpkg, "--fsys-tarfile", deb], deadline=_DEADLINE) as stream,
            tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as members,
        ):
            for member in members:
                unpacking.take(members, member)
    except (tarfile.TarError, ProgramFailedError, ValueError, OverflowError) as error:
        raise ArchiveError(f"{deb.name} is damaged: {error}", hint="fetch it again, or try another mirror") from error
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL):
            raise
        what = f"{deb.name} was refused: it holds a name that no file can have"
        raise ArchiveError(what, hint="try another mirror") from error


@dataclass
class _Unpacking:
    """One package on its way into a folder."""

    deb: str
    folder: Path
    members: int = 0
    bytes: int = 0
    # Folders known to be real ones in `folder`: a package has a thousand files in each.
    real: set[Path] = field(default_factory=set)

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Check one member and write it."""
        self._count(member)
        place = self._place(member.name)
        if place == self.folder:
            return
        self._enter(place.parent, member)
        if member.isdir():
            self._enter(place, member)
            return
        if place.is_dir() and not place.is_symlink():
            self._refuse(member, "takes a folder's place")
        place.unlink(missing_ok=True)
        if member.issym():
            if place.parent in (self.folder, self.folder / "usr"):
                self._refuse(member, "is a link in the place of a root's own folder")
            place.symlink_to(member.linkname)
        elif member.islnk():
            self._link(place, member)
        elif member.isfile():
            self._write(place, tar, member)
        else:
            self._refuse(member, "is neither file, folder nor link")

    def _count(self, member: tarfile.TarInfo) -> None:
        self.members += 1
        self.bytes += member.size
        if self.members > _MOST_MEMBERS or self.bytes > _MOST_BYTES:
            self._refuse(member, f"is too much: the package holds more than {_MOST_BYTES >> 30} GiB or too many files")

    def _place(self, name: str) -> Path:
        """Where a member of that name belongs: below the folder, whatever the name is."""
        words = [word for word in name.split("/") if word not in ("", ".")]
        if name.startswith("/") or ".." in words or "\0" in name:
            raise ArchiveError(
                f"{self.deb} was refused: {name!r} in it leads out of its folder", hint="try another mirror"
            )
        if len(words) > _DEEPEST:
            what = f"{self.deb} was refused: {name[:60]!r}... in it lies more than {_DEEPEST} folders deep"
            raise ArchiveError(what, hint="try another mirror")
        return self.folder.joinpath(*words)

    def _enter(self, place: Path, member: tarfile.TarInfo) -> None:
        """Make the folder `place`, and see that nothing on the way to it is a link."""
        new = [place, *place.parents] if place not in self.real else []
        for step in reversed(new[: new.index(self.folder)] if new else []):
            if step not in self.real:
                if step.is_symlink() or (os.path.lexists(step) and not step.is_dir()):
                    self._refuse(member, "goes through a link or a file")
                step.mkdir(exist_ok=True)
                self.real.add(step)

    def _link(self, place: Path, member: tarfile.TarInfo) -> None:
        target = self._place(member.linkname)
        self._enter(target.parent, member)
        if target.is_symlink() or not target.is_file():
            self._refuse(member, "is a second name of what the package does not hold")
        os.link(target, place)

    def _write(self, place: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        content = tar.extractfile(member)
        with place.open("xb") as target:
            if content is not None:
                shutil.copyfileobj(content, target, 1 << 20)
            os.fchmod(target.fileno(), (member.mode & _MODE) | 0o600)
        # make(1) goes by it: kbuild's programs must not look older than their sources.
        os.utime(place, (member.mtime, member.mtime))

    def _refuse(self, member: tarfile.TarInfo, why: str) -> None:
        raise ArchiveError(f"{self.deb} was refused: {member.name!r} in it {why}", hint="try another mirror")
