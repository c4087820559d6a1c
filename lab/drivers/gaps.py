"""Known gaps: what a manifest says that its driver does not do."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lab.errors import RequestError, UnsupportedError
from lab.kernels.kernel import Kernel
from lab.kernels.request import parse_several

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class Gap(BaseModel):
    """Something that a mode is known not to do: of that scenario (its function's name, or one of several), of every
    scenario that is about that system call or event (or one of several), of that scenario about that call, or to build
    at all, with that text among the compiler's errors; on those kernels and architectures, or on all. A scenario must
    fail with the text `says`, if there is one; or by a complaint of the kernel's that has the text `splat`; or by a
    machine that dies while an actor does what it last announced, `doing` (one or several). With `by_chance` it may pass
    as well.

    With `variant` or `param` it is of these variants and parameters of a scenario's calls alone (lab/calls): each of
    them must be reported wrong, and all others right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: OneOrMore = ()
    event: OneOrMore = ()
    variant: OneOrMore = ()
    param: OneOrMore = ()
    build: str = ""
    says: str = ""
    splat: str = ""
    doing: OneOrMore = ()
    by_chance: bool = False
    why: str = Field(min_length=1)
    upstream: str = ""
    modes: tuple[str, ...] = Field((), description="in a manifest's own gaps: the modes it is of; every one otherwise")
    kernels: str = Field("", description="a range of series: '>=6.1,<7'")
    arches: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.build) == bool(self.scenario or self.event):
            raise ValueError("a gap is of a scenario, of an event or both, or it is of the build")
        if self.build and self.says:
            raise ValueError("says is of a scenario's failure; build itself is the text of the compiler's")
        if bool(self.splat) + bool(self.doing) + bool(self.says) > 1:
            raise ValueError(
                "a gap has one of says, splat and doing: a scenario that fails in several ways has several"
            )
        if (self.splat or self.doing) and (self.build or self.narrow or not self.upstream):
            raise ValueError("splat and doing are how a whole scenario fails, and say upstream who was told")
        if self.by_chance and not (self.says or self.splat or self.doing):
            raise ValueError("by_chance is of a gap that tells how the scenario fails: says, splat or doing")
        if self.narrow and (self.build or self.says):
            raise ValueError("variant and param say what is wrong of a scenario's calls: neither build nor says")
        if self.kernels:
            try:
                parse_several(self.kernels)
            except RequestError as error:
                raise ValueError(error.what) from error
        return self

    @property
    def narrow(self) -> bool:
        """Whether it is of some variants or parameters alone."""
        return bool(self.variant or self.param)

    @property
    def text(self) -> str:
        """Why, and where it is known."""
        return f"{self.why} ({self.upstream})" if self.upstream else self.why

    def is_of(self, mode: str) -> bool:
        """Whether it is one of that mode's."""
        return not self.modes or mode in self.modes


def gaps_for(gaps: Sequence[Gap], scenario: str, subjects: Set[str], kernel: Kernel) -> list[Gap]:
    """The gaps that a scenario (its function's name, and the calls and events it is about) may fall into on that
    kernel: the first is what it is known for, and it may fail as any of them says."""
    return [gap for gap in gaps if not gap.narrow and _concerns(gap, scenario, subjects) and _is_there(gap, kernel)]


def narrow_gaps(gaps: Sequence[Gap], scenario: str, subjects: Set[str], kernel: Kernel) -> list[Gap]:
    """Those of some of the scenario's variants and parameters."""
    return [gap for gap in gaps if gap.narrow and _concerns(gap, scenario, subjects) and _is_there(gap, kernel)]


def demand_seen(sees: Set[str], driver: str, subjects: Set[str]) -> None:
    """UnsupportedError when a scenario is about calls and events alone that this mode does not look at."""
    if sees and subjects and subjects.isdisjoint(sees):
        raise UnsupportedError(f"{driver} does not look at {', '.join(sorted(subjects))} (its manifest: sees)")


def build_gap(gaps: Sequence[Gap], kernel: Kernel) -> Gap | None:
    """The gap that says that the driver does not build for that kernel."""
    return next((gap for gap in gaps if gap.build and _is_there(gap, kernel)), None)


def _concerns(gap: Gap, scenario: str, subjects: Set[str]) -> bool:
    of_it = not gap.scenario or scenario in gap.scenario
    return of_it and (not gap.event or not subjects.isdisjoint(gap.event)) and not gap.build


def _is_there(gap: Gap, kernel: Kernel) -> bool:
    there = not gap.kernels or parse_several(gap.kernels).admits(kernel.series)
    return there and (not gap.arches or kernel.arch.name in gap.arches)
