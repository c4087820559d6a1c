"""Writing lab.lock: what cells are made of, down to the packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from lab.errors import ArchiveError, LabError, RequestError, UnsupportedError
from lab.kernels.archive.locking import record_of
from lab.kernels.archive.provider import ArchiveChoice
from lab.kernels.headers import kbuild_package
from lab.kernels.kernel import HeaderPackages, Kernel
from lab.lockfile import Lock, LockedKernel, LockedPackage, LockedRoot
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from lab.store import Entry

_FORMS: Mapping[str, type[LockedRoot] | type[LockedPackage]] = {
    "source": LockedPackage,
    "image": LockedRoot,
    "builder": LockedRoot,
    "qemu": LockedRoot,
    "gdb": LockedRoot,
    "tool": LockedRoot,
}


def lock_cells(lab: Lab, cells: Iterable[Cell], notice: Callable[[str], None]) -> Lock:
    """Make everything that the cells need, with whatever the archives have now, and return what that was.

    A driver that cannot be built is a notice: its kernel is locked all the same. Kernels that are no archive's
    (`path:`, `oci:`) have no packages to be locked; a digest is what names an image for good.
    """
    kernels: dict[tuple[str, str], LockedKernel] = {}
    for cell in cells:
        record = _kernel(lab, cell, notice)
        if record is not None:
            kernels[record.request, record.arch] = record
        _make(lab, cell, notice)
    records = [record for entry in lab.store.used() for record in _records(entry)]
    roots = tuple(record for record in records if isinstance(record, LockedRoot))
    sources = tuple(record for record in records if isinstance(record, LockedPackage))
    return Lock(kernels=tuple(kernels.values()), roots=roots, sources=sources)


def _make(lab: Lab, cell: Cell, notice: Callable[[str], None]) -> None:
    lab.prepare(dataclasses.replace(cell, driver=""))
    try:
        lab.prepare(cell)
    except UnsupportedError as error:
        notice(f"{cell.slug}: {error.what}")
    except (ArchiveError, RequestError):
        raise
    except LabError as error:
        notice(f"{cell.slug}: {error.what}; its driver is not locked")


def _kernel(lab: Lab, cell: Cell, notice: Callable[[str], None]) -> LockedKernel | None:
    choice = lab.kernels.resolve(cell.kernel, cell.arch)
    if not isinstance(choice, ArchiveChoice):
        notice(f"{cell.kernel}: only kernels of archives are locked")
        return None
    kernel = choice.fetch()
    # What was fetched may be the next one, where the archive lost the first.
    entry = next(entry for entry in (choice.entry, *choice.others) if _is(entry, kernel))
    kbuild = (
        kbuild_package(entry.headers, lab.store, lab.settings, lab.notice)
        if isinstance(kernel.headers, HeaderPackages) and entry.headers
        else None
    )
    entry = dataclasses.replace(entry, headers=kernel.headers if isinstance(kernel.headers, HeaderPackages) else None)
    return record_of(entry, choice.request.slug, str(kernel.provenance["signed_by"]), kbuild)


def _is(entry: Any, kernel: Kernel) -> bool:
    return (entry.release, entry.version, entry.origin) == (kernel.release, kernel.version, kernel.origin)


def _records(entry: Entry) -> list[LockedRoot | LockedPackage]:
    """What an entry of the store says of its packages; nothing where it was made of none."""
    form = _FORMS.get(entry.kind)
    if form is None or "lock" not in entry.provenance:
        return []
    try:
        # Out of a JSON file, where tuples are lists.
        return [form.model_validate(entry.provenance["lock"], strict=False)]
    except ValidationError as error:
        raise RequestError(
            f"{entry.kind}/{entry.key} in the store has no good record of its packages",
            hint=f"lab gc {entry.kind}/{entry.key}, then run again",
        ) from error
