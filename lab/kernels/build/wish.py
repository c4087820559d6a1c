"""What kernel is to be compiled: `6.12+kgdb+kasan`, or of the user's own sources `6.12+kgdb@DIR`; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import RequestError

PREFIX = "build:"
# The series that Debian has as sources, with the suite that has them; its release's compilers build them.
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "trixie-backports"}
VARIANTS = ("fault", "kasan", "kgdb", "kmemleak", "lockdep")
_FORM = re.compile(r"(?P<series>\d+\.\d+)(?P<variants>(?:\+[a-z0-9]+)*)(?:@(?P<source>.+))?")
_HINT = f"write SERIES[+VARIANT...], such as 6.12+kgdb; variants: {', '.join(VARIANTS)}"


@dataclass(frozen=True)
class Wish:
    """A kernel to be compiled: `variants` are sorted, `source` is the user's folder or tarball, None for Debian's."""

    series: str
    variants: tuple[str, ...]
    source: Path | None

    @property
    def name(self) -> str:
        """As one asks for it, the variants in their order: 6.12+kasan+kgdb."""
        return "".join((self.series, *(f"+{variant}" for variant in self.variants)))

    @property
    def request(self) -> str:
        """The request that means it."""
        return f"{PREFIX}{self.name}{f'@{self.source}' if self.source else ''}"

    @property
    def suite(self) -> str:
        """The Debian suite whose sources or compilers are taken: for a series that Debian lacks, of the next older."""
        known = sorted(SUITES, key=_numbers)
        older = [series for series in known if _numbers(series) <= _numbers(self.series)]
        return SUITES[(older or known)[-1 if older else 0]]


def parse(text: str, source: Path | None = None) -> Wish:
    """Take `6.12+kgdb`, `build:6.12+kgdb` or `...@DIR` apart; RequestError says how one is written.

    `source` stands for an `@DIR`.
    """
    match = _FORM.fullmatch(text.removeprefix(PREFIX))
    if match is None:
        raise RequestError(f"{text!r} is no kernel to be built", hint=_HINT)
    named = tuple(dict.fromkeys(sorted(match["variants"].split("+")[1:])))
    unknown = [variant for variant in named if variant not in VARIANTS]
    if unknown:
        raise RequestError(f"there is no variant {unknown[0]!r} of a kernel", hint=_HINT)
    place = source or (Path(match["source"]) if match["source"] else None)
    if place is None and match["series"] not in SUITES:
        what = f"Debian has no sources of {match['series']} that the lab builds from"
        raise RequestError(what, hint=f"one of: {', '.join(SUITES)}; or your own: --source DIR")
    return Wish(match["series"], named, place.expanduser().absolute() if place else None)


def _numbers(series: str) -> tuple[int, ...]:
    return tuple(int(part) for part in series.split("."))
