"""What a user asks for: `[distro[:suite]/]series[.patch][-flavour]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.archives.sources import check_name
from lab.errors import RequestError

_FORM = re.compile(
    r"(?:(?P<distro>[a-z]+)(?::(?P<suite>[a-z-]+))?/)?"
    r"(?P<series>\d+\.\d+)(?:\.(?P<patch>\d+))?(?:-(?P<flavour>[a-z0-9]+))?"
)
_HINT = "write SERIES[.PATCH][-cloud|-full|-rt|-16k], such as 6.12, 6.12.107 or debian:sid/7.2-full"


@dataclass(frozen=True)
class Request:
    """A kernel request, taken apart; an empty suite or flavour and a patch of None leave the choice to the lab."""

    slug: str
    series: str
    patch: int | None
    flavour: str
    suite: str


def parse(text: str) -> Request:
    """Take a request apart; RequestError says how one is written."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise RequestError(f"kernel request {text!r} cannot be read", hint=_HINT)
    if match["distro"] not in (None, "debian"):
        raise RequestError(f"kernels of {match['distro']} are not supported yet", hint=_HINT)
    return Request(
        slug=re.sub(r"[^A-Za-z0-9._-]+", "-", text),
        series=match["series"],
        patch=int(match["patch"]) if match["patch"] else None,
        flavour=match["flavour"] or "",
        suite=check_name(match["suite"]) if match["suite"] else "",
    )
