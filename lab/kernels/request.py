"""What a user asks for: one kernel, `[distro[:suite]/]series[.patch][-flavour]`, or several, `all` and ranges."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.archives.suites import Distribution, check_name, distribution_named
from lab.errors import RequestError

# Requests for kernels that no archive has: what follows is the provider's business.
PATH = "path:"
OCI = "oci:"
BUILD = "build:"

_PLACE = r"(?:(?P<distro>[a-z]+)(?::(?P<suite>[a-z-]+))?/)?"
_FLAVOUR = r"(?:-(?P<flavour>[a-z0-9]+(?:-[a-z0-9]+)*))?"
_FORM = re.compile(rf"{_PLACE}(?P<series>\d+\.\d+)(?:\.(?P<patch>\d+))?{_FLAVOUR}")
# What uname -r says and no request looks like: 6.12.107+deb13-cloud-amd64, 6.1.0-0.deb11.52-amd64.
_RELEASE = re.compile(rf"{_PLACE}(?P<series>\d+\.\d+)(?:\.\d+)?(?:[+~]|-\d)[A-Za-z0-9.+~-]*")
_ALL = re.compile(rf"{_PLACE}all{_FLAVOUR}")
_COMPARISON = re.compile(rf"(?P<place>{_PLACE})\s*(?P<sign>>=|<=|!=|>|<)\s*(?P<number>\d+(?:\.\d+)?)")
_COMPARES = re.compile(rf"(?P<place>{_PLACE})\s*[<>!=]")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_HINT = "write SERIES[.PATCH][-cloud|-full|-rt|...], such as 6.12, 6.12.107, debian:sid/7.2-full or ubuntu/5.15"
_SEVERAL_HINT = 'write all, or comparisons of series such as ">=6.1,<7"'
# Ubuntu's own word for what the lab calls full.
_SYNONYMS = {"generic": "full"}


@dataclass(frozen=True)
class Request:
    """A request for one kernel, taken apart; what is empty, and a patch of None, leaves the choice to the lab.

    `release` is what was asked for without its distribution: it may be a release as uname -r says it.
    """

    slug: str
    distro: str
    suite: str
    series: str
    patch: int | None
    flavour: str
    release: str

    @property
    def kernel(self) -> str:
        """Series and patch, as one says it."""
        return self.series if self.patch is None else f"{self.series}.{self.patch}"


@dataclass(frozen=True)
class Selection:
    """A request for several: the newest kernel of each series that all `bounds` admit, in `flavour` or the default."""

    distro: str
    suite: str
    flavour: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def admits(self, series: str) -> bool:
        """Does the selection hold that series? A bound without a minor number stands for all its series: 6.12 is
        neither below nor above 6."""
        numbers = tuple(int(part) for part in series.split("."))
        return all(_SIGNS[sign](numbers[: len(bound)], bound) for sign, bound in self.bounds)

    def request(self, series: str) -> str:
        """The request for the newest kernel of one of its series."""
        place = f"{self.distro}{f':{self.suite}' if self.suite else ''}/" if self.distro else ""
        return f"{place}{series}{f'-{self.flavour}' if self.flavour else ''}"


def split(text: str) -> list[str]:
    """The requests of a comma-separated list, each once.

    All comparisons of a list are one range (`>=6.1,<7`), for each distribution that they name; one that names none
    goes with the one before it.
    """
    found: dict[str, list[str]] = {}
    place = ""
    for word in (part.strip() for part in text.split(",")):
        match = _COMPARES.match(word)
        if match:
            place = match["place"] or place
            bounds = found.setdefault(f"the range of {place}", [])
            comparison = word.removeprefix(match["place"]).strip()
            bounds.append(comparison if bounds else f"{place}{comparison}")
        elif word:
            found[word] = [word]
    return [",".join(dict.fromkeys(words)) for words in found.values()]


def means_several(text: str) -> bool:
    """Is it a request for several kernels, which only the catalogue can tell?"""
    return _ALL.fullmatch(text) is not None or _COMPARES.match(text) is not None


def parse(text: str) -> Request:
    """Take a request for one kernel apart; RequestError says how one is written."""
    if means_several(text):
        raise RequestError(f"{text!r} may mean several kernels, and here one is needed", hint=_HINT)
    match = _FORM.fullmatch(text) or _RELEASE.fullmatch(text)
    if match is None:
        raise RequestError(f"kernel request {text!r} cannot be read", hint=_HINT)
    distro, suite = _place(match)
    fields = match.groupdict()
    flavour = fields.get("flavour") or ""
    patch = fields.get("patch")
    return Request(
        slug=re.sub(r"[^A-Za-z0-9._-]+", "-", text),
        distro=distro,
        suite=suite,
        series=match["series"],
        patch=int(patch) if patch else None,
        flavour=_SYNONYMS.get(flavour, flavour),
        release=text.rpartition("/")[2],
    )


def parse_several(text: str) -> Selection:
    """Take a request for several kernels apart; RequestError says how one is written."""
    match = _ALL.fullmatch(text)
    if match:
        flavour = match["flavour"] or ""
        return Selection(*_place(match), _SYNONYMS.get(flavour, flavour))
    words = [_COMPARISON.fullmatch(word.strip()) for word in text.split(",")]
    first = words[0]
    if first is None or any(word is None for word in words):
        raise RequestError(f"kernel range {text!r} cannot be read", hint=_SEVERAL_HINT)
    bounds = [(word["sign"], tuple(int(part) for part in word["number"].split("."))) for word in words if word]
    return Selection(*_place(first), "", tuple(bounds))


def _place(match: re.Match[str]) -> tuple[str, str]:
    distro, suite = match["distro"] or "", match["suite"] or ""
    found: Distribution | None = distribution_named(distro) if distro else None
    if found and suite:
        check_name(suite, found)
    return distro, suite
