"""The driver `misbehaves` (drivers/misbehaves), and what a kernel is to say of each of its deeds."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.runs import DRIVERS, ROOT

DRIVER = f"{(DRIVERS / 'misbehaves' / 'driver.toml').relative_to(ROOT)}:kmod"
_NOW = "/sys/module/misbehaves/parameters/now"
# Others that would notice first.
_RCU = "/sys/module/rcupdate/parameters"
_QUIET = f"sysctl -q kernel.hung_task_timeout_secs=0; echo 1 >{_RCU}/rcu_cpu_stall_suppress; "


@dataclass(frozen=True)
class Deed:
    """One deed: the `kind` of splat that comes of it, and the module's `function` that is to be blamed. `before` is
    what makes a kernel notice soon."""

    word: str
    kind: str
    function: str
    before: str = ""

    @property
    def command(self) -> str:
        return f"{self.before}echo {self.word} >{_NOW}"


DEEDS = (
    Deed("oops", "oops", "do_oops"),
    Deed("bug", "BUG", "do_bug"),
    Deed("warning", "WARNING", "do_warning"),
    Deed("panic", "panic", "do_panic"),
    Deed("list", "list corruption", "do_list"),
    Deed("refcount", "refcount", "do_refcount"),
    # Where the kernel counts preemption (CONFIG_PREEMPT_COUNT): not on Debian's arm64.
    Deed("atomic", "scheduling while atomic", "do_atomic"),
    Deed("soft-lockup", "soft lockup", "spin", _QUIET + "sysctl -q kernel.watchdog_thresh=2; "),
    Deed(
        "rcu-stall",
        "RCU stall",
        "spin",
        f"sysctl -q kernel.watchdog=0 kernel.hung_task_timeout_secs=0; echo 3 >{_RCU}/rcu_cpu_stall_timeout; ",
    ),
    Deed("hung-task", "hung task", "do_hung_task", "sysctl -q kernel.hung_task_timeout_secs=2; "),
    Deed("leak", "leaked objects", "do_leak"),
    Deed("pages", "page allocation failure", "do_pages"),
)
# What only kernels for debugging notice.
HIDDEN_DEEDS = (
    Deed("use-after-free", "KASAN", "do_use_after_free"),
    Deed("out-of-bounds", "KASAN", "do_out_of_bounds"),
    Deed("inversion", "lockdep", "do_inversion"),
    Deed("sleep", "sleeping in atomic context", "do_sleep"),
    # Found by a scan, which the test asks for.
    Deed("lose", "leaked objects", "do_lose"),
)
# Nothing is said of it, and nothing answers any more.
HANG = Deed("hang", "", "")
