"""What the lines of a splat tell: which task, on which CPU, in which function, called by what. A guest's words; nothing
here raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAME = r"(?P<function>[A-Za-z_.$][\w.$]{0,255})\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})"
# Behind a module's name its build id may stand (CONFIG_STACKTRACE_BUILD_ID).
_CALL = _NAME + r"(?: \[(?P<module>\w{1,64})(?: [0-9a-f]{1,64})?\])?"
# kmemleak says its name before each line, and older ones an address before each place.
_LEAK = r"(?:kmemleak: )?"
_FRAME = re.compile(rf"{_LEAK}\s*(?:\[<[0-9a-f]{{1,16}}>\] )?(?P<unsure>\? )?\s*{_CALL}")
# Where the CPU was: x86, arm64, riscv64. 0033 is a program's code, not the kernel's.
_AT = re.compile(rf"\s*(?:RIP: 0010:|pc : |epc : ){_CALL}")
# What a title says of it: "in f+0x1/0x2 [m]", "at lib/x.c:12 f+0x1/0x2", "at f+0x1/0x2, CPU#1".
_NAMED = re.compile(rf" (?:in|at(?: \S+:\d+)?) {_CALL}")
_TRACE = re.compile(rf"{_LEAK}\s*(?:Call [Tt]race:|backtrace(?: \(crc [0-9a-f]{{1,8}}\))?:$)")
_TRACE_END = re.compile(
    r"\s*(?:</TASK>|---\[ |Modules linked in|Allocated by|Freed by|Mem-Info|Kernel Offset|={10})"
    rf"|{_LEAK}unreferenced object"
)
_WHO = re.compile(
    r"CPU: (?P<cpu>\d{1,5}) (?:UID: \d+ )?PID: (?P<pid>\d{1,10})(?: Comm: (?P<comm>.{1,15}?) (?:Not t|T))?"
)
# The same in titles; the first that matches tells.
_TITLES = (
    re.compile(r"CPU#(?P<cpu>\d{1,5}) stuck for .*\[(?P<comm>.{1,15}):(?P<pid>\d{1,10})\]"),
    re.compile(r"CPU#(?P<cpu>\d{1,5}): (?P<comm>.{1,15})/(?P<pid>\d{1,10})"),
    re.compile(r"scheduling while atomic: (?P<comm>.{1,15})/(?P<pid>\d{1,10})/"),
    re.compile(r"INFO: task (?P<comm>.{1,15}):(?P<pid>\d{1,10}) blocked"),
    re.compile(r"by task (?P<comm>.{1,15})/(?P<pid>\d{1,10})"),
    re.compile(r"(?P<comm>.{1,15}): page allocation failure"),
)
_OWNER = re.compile(r'comm "(?P<comm>.{1,15}?)", pid (?P<pid>\d{1,10}),')
_TAINTED = re.compile(r"Tainted: (?P<flags>[A-Z ]{1,40})")
_MAX_FRAMES = 64
# They only report what others did.
_REPORTERS = frozenset(
    {
        *("dump_stack", "__dump_stack", "dump_stack_lvl", "show_stack", "dump_backtrace", "panic", "vpanic", "__warn"),
        *("warn_alloc", "report_bug", "print_report", "kasan_report", "__schedule_bug", "__might_resched"),
        *("should_fail_ex", "fail_dump"),
    }
)


@dataclass(frozen=True)
class Frame:
    """A place in the kernel: `offset` bytes into a function of `size`; `module` is empty for the kernel's own, `source`
    ("driver.c:123") where no debug information is at hand."""

    function: str
    offset: int
    size: int
    module: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.function}+{self.offset:#x}/{self.size:#x}"
        words = [place, f"[{self.module}]" if self.module else "", f"({self.source})" if self.source else ""]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Details:
    """A splat's parts; empty or None for what it does not tell.

    `site` is where the kernel noticed; `culprit` the nearest function of a module, seen from there, or `site` when no
    module took part. `trace` is innermost first, without what the kernel itself is not sure of ("? f").
    """

    comm: str = ""
    pid: int | None = None
    cpu: int | None = None
    site: Frame | None = None
    culprit: Frame | None = None
    trace: tuple[Frame, ...] = ()
    tainted: str = ""


def read_details(title: str, lines: Sequence[str]) -> Details:
    """The parts of the splat with these lines."""
    comm, pid, cpu = _task(title, lines)
    trace = tuple(_trace(lines))
    site = _site(title, lines) or next(
        (frame for frame in trace if frame.function.removesuffix(".cold") not in _REPORTERS), None
    )
    within = [frame for frame in (site, *trace) if frame is not None and frame.module]
    tainted = next((found["flags"] for line in lines if (found := _TAINTED.search(line))), "")
    return Details(comm, pid, cpu, site, within[0] if within else site, trace, "".join(tainted.split()))


def _task(title: str, lines: Sequence[str]) -> tuple[str, int | None, int | None]:
    """Who ran (name and number), and on which CPU: first as the title says, which is of who is blamed and not of who
    tells."""
    told: dict[str, str] = {}
    matches = [pattern.search(title) for pattern in _TITLES]
    matches += [_TITLES[4].search(line) for line in lines[:4]]
    matches += [_OWNER.search(line) for line in lines[:2]]
    matches += [_WHO.search(line) for line in (title, *lines)]
    for found in matches:
        told |= {
            name: value for name, value in (found.groupdict() if found else {}).items() if value and name not in told
        }
    if "blocked" in title:
        told.pop("cpu", None)  # of the watchdog
    pid, cpu = told.get("pid"), told.get("cpu")
    return told.get("comm", ""), int(pid) if pid else None, int(cpu) if cpu else None


def _site(title: str, lines: Sequence[str]) -> Frame | None:
    named = _NAMED.search(title)
    found = named or next((match for line in lines if (match := _AT.match(line) or _NAMED.search(line))), None)
    return _frame(found) if found else None


def _trace(lines: Sequence[str]) -> Iterator[Frame]:
    """The frames of the first call trace."""
    within, count = False, 0
    for line in lines:
        if not within:
            within = _TRACE.match(line) is not None
        elif _TRACE_END.match(line) or count >= _MAX_FRAMES:
            return
        elif (found := _FRAME.match(line) or _AT.match(line)) and not found.groupdict().get("unsure"):
            count += 1
            yield _frame(found)


def _frame(found: re.Match[str]) -> Frame:
    return Frame(found["function"], int(found["offset"], 16), int(found["size"], 16), found["module"] or "")
