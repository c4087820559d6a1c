"""Console text as kernels print it, shortened: one incident for each kind, and text that is none."""

from __future__ import annotations

TRACE = """Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 do_syscall_64+0x82/0x190
 entry_SYSCALL_64_after_hwframe+0x76/0x7e
 </TASK>"""
END = "---[ end trace 0000000000000000 ]---"
CUT = "------------[ cut here ]------------"
RULE = "=================================================================="

# name: (kind, title, text)
INCIDENTS = {
    "panic": (
        "panic",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        f"""Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
CPU: 0 UID: 0 PID: 1 Comm: swapper/0 Not tainted 6.12.117+deb13-cloud-amd64 #1
{TRACE}
Kernel Offset: 0x1c000000 from 0xffffffff81000000
---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---""",
    ),
    "double fault": (
        "panic",
        "traps: PANIC: double fault, error_code: 0x0",
        f"traps: PANIC: double fault, error_code: 0x0\nCPU: 1 PID: 3 Comm: x\n{TRACE}",
    ),
    "null pointer": (
        "oops",
        "BUG: kernel NULL pointer dereference, address: 0000000000000010",
        f"""BUG: kernel NULL pointer dereference, address: 0000000000000010
#PF: supervisor read access in kernel mode
#PF: error_code(0x0000) - not-present page
PGD 0 P4D 0
Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 UID: 0 PID: 401 Comm: insmod Tainted: G           OE      6.12.117+deb13-cloud-amd64 #1
RIP: 0010:scap_init+0x42/0x1000 [scap]
{TRACE}
{END}""",
    ),
    "arm64 oops": (
        "oops",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008",
        f"""Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
Mem abort info:
Internal error: Oops: 0000000096000004 [#1] SMP
pc : scap_init+0x20/0x100 [scap]
{END}""",
    ),
    "general protection": (
        "oops",
        "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] SMP KASAN",
        f"""Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] SMP KASAN
KASAN: null-ptr-deref in range [0x0000000000000008-0x000000000000000f]
CPU: 0 PID: 99 Comm: cat
{TRACE}
{END}""",
    ),
    "old general protection": (
        "oops",
        "general protection fault: 0000 [#1] SMP NOPTI",
        f"general protection fault: 0000 [#1] SMP NOPTI\n{TRACE}\n{END}",
    ),
    "int3": ("oops", "Oops: int3: 0000 [#1] PREEMPT SMP", f"Oops: int3: 0000 [#1] PREEMPT SMP\n{TRACE}\n{END}"),
    "old int3": ("oops", "int3: 0000 [#1] SMP NOPTI", f"int3: 0000 [#1] SMP NOPTI\n{TRACE}\n{END}"),
    "divide error": ("oops", "divide error: 0000 [#1] SMP PTI", f"divide error: 0000 [#1] SMP PTI\n{TRACE}\n{END}"),
    "invalid opcode": ("oops", "invalid opcode: 0000 [#1] SMP", f"invalid opcode: 0000 [#1] SMP\n{TRACE}\n{END}"),
    "stack segment": ("oops", "stack segment: 0000 [#1] SMP", f"stack segment: 0000 [#1] SMP\n{TRACE}\n{END}"),
    "riscv oops": (
        "oops",
        "Oops - illegal instruction [#1]",
        f"Oops - illegal instruction [#1]\nModules linked in:\n{END}",
    ),
    "BUG()": (
        "BUG",
        "kernel BUG at fs/inode.c:1747!",
        f"{CUT}\nkernel BUG at fs/inode.c:1747!\nOops: invalid opcode: 0000 [#1] PREEMPT SMP\n{TRACE}\n{END}",
    ),
    "slub": (
        "BUG",
        "BUG kmalloc-64 (Tainted: G           OE     ): Right Redzone overwritten",
        f"BUG kmalloc-64 (Tainted: G           OE     ): Right Redzone overwritten\n{TRACE}",
    ),
    "WARN()": (
        "WARNING",
        "WARNING: CPU: 1 PID: 512 at kernel/events/core.c:3000 perf_install+0x1a/0x30",
        f"""{CUT}
unexpected thing 7
WARNING: CPU: 1 PID: 512 at kernel/events/core.c:3000 perf_install+0x1a/0x30
Modules linked in: scap(OE) virtio_net
{TRACE}
{END}""",
    ),
    "WARN() since 6.18": (
        "WARNING",
        "WARNING: lib/foo.c:12 at foo_init+0x1a/0x30, CPU#1: insmod/512",
        f"{CUT}\nWARNING: lib/foo.c:12 at foo_init+0x1a/0x30, CPU#1: insmod/512\n{TRACE}\n{END}",
    ),
    "cut off": ("cut here", CUT, CUT),
    "KASAN": (
        "KASAN",
        "BUG: KASAN: slab-out-of-bounds in scap_copy+0x44/0x60 [scap]",
        f"""BUG: KASAN: slab-out-of-bounds in scap_copy+0x44/0x60 [scap]
Write of size 8 at addr ffff888004b4c280 by task cat/123
{TRACE}
Allocated by task 123:
>ffff888004b4c280: fc fc fc fc fc fc fc fc
{RULE}""",
    ),
    "KFENCE": (
        "KFENCE",
        "BUG: KFENCE: out-of-bounds read in foo+0xa/0x60",
        f"BUG: KFENCE: out-of-bounds read in foo+0xa/0x60\n{TRACE}",
    ),
    "UBSAN": (
        "UBSAN",
        "UBSAN: array-index-out-of-bounds in drivers/x.c:12:3",
        f"""{CUT}
UBSAN: array-index-out-of-bounds in drivers/x.c:12:3
index 5 is out of range for type 'int [5]'
{TRACE}
{END}""",
    ),
    "KCSAN": (
        "KCSAN",
        "BUG: KCSAN: data-race in foo / bar",
        f"BUG: KCSAN: data-race in foo / bar\nwrite to 0xffff888 of 8 bytes by task 12 on cpu 1:\n{RULE}",
    ),
    "circular locking": (
        "lockdep",
        "WARNING: possible circular locking dependency detected",
        f"WARNING: possible circular locking dependency detected\n6.12.0 #1 Tainted: G OE\nstack backtrace:\n{TRACE}",
    ),
    "lock state": (
        "lockdep",
        "WARNING: inconsistent lock state",
        "WARNING: inconsistent lock state\n6.12.0 #1 Not tainted\ninconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage.",
    ),
    "recursive locking": (
        "lockdep",
        "WARNING: possible recursive locking detected",
        f"WARNING: possible recursive locking detected\n{TRACE}",
    ),
    "lock order": (
        "lockdep",
        "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
        f"WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected\n{TRACE}",
    ),
    "RCU usage": (
        "lockdep",
        "WARNING: suspicious RCU usage",
        f"WARNING: suspicious RCU usage\nkernel/x.c:1 suspicious rcu_dereference_check() usage!\n{TRACE}",
    ),
    "locks held": (
        "lockdep",
        "WARNING: insmod/123 still has locks held!",
        f"WARNING: insmod/123 still has locks held!\n6.12.0 #1 Not tainted\n1 lock held by insmod/123:\n{TRACE}",
    ),
    "wait context": (
        "lockdep",
        "[ BUG: Invalid wait context ]",
        f"[ BUG: Invalid wait context ]\n6.12.0 #1 Not tainted\n{TRACE}",
    ),
    "RCU stall": (
        "RCU stall",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        f"""rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: \t1-...!: (0 ticks this GP) idle=4a2c/0/0x0 softirq=310/310 fqs=0 (false positive?)
rcu: \t(detected by 0, t=5252 jiffies, g=269, q=7 ncpus=2)
Sending NMI from CPU 0 to CPUs 1:
{TRACE}""",
    ),
    "RCU self stall": (
        "RCU stall",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
        f"rcu: INFO: rcu_sched self-detected stall on CPU\n{TRACE}",
    ),
    "expedited stall": (
        "RCU stall",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 5 jiffies s: 65 root: 0x2/.",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 5 jiffies s: 65 root: 0x2/.",
    ),
    "soft lockup": (
        "soft lockup",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [insmod:411]",
        f"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [insmod:411]\nModules linked in: loop(OE+)\n{TRACE}",
    ),
    "old soft lockup": (
        "soft lockup",
        "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]",
        "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]",
    ),
    "hard lockup": (
        "hard lockup",
        "watchdog: Watchdog detected hard LOCKUP on cpu 1",
        f"watchdog: Watchdog detected hard LOCKUP on cpu 1\n{TRACE}",
    ),
    "hung task": (
        "hung task",
        "INFO: task kworker/0:1:9 blocked for more than 120 seconds.",
        f"""INFO: task kworker/0:1:9 blocked for more than 120 seconds.
      Tainted: G           OE      6.12.117+deb13-cloud-amd64 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:kworker/0:1     state:D stack:0     pid:9
{TRACE}""",
    ),
    "list corruption": (
        "list corruption",
        "list_del corruption. prev->next should be ffff8880, but was dead0000. (prev=ffff88)",
        f"""list_del corruption. prev->next should be ffff8880, but was dead0000. (prev=ffff88)
{CUT}
kernel BUG at lib/list_debug.c:62!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP
{TRACE}
{END}""",
    ),
    "list corruption warned of": (
        "list corruption",
        "list_add double add: new=ffff, prev=ffff, next=ffff.",
        f"""{CUT}
list_add double add: new=ffff, prev=ffff, next=ffff.
WARNING: CPU: 0 PID: 1 at lib/list_debug.c:35 __list_add_valid+0x5/0x10
{END}""",
    ),
    "refcount": (
        "refcount",
        "refcount_t: underflow; use-after-free.",
        f"""{CUT}
refcount_t: underflow; use-after-free.
WARNING: CPU: 0 PID: 77 at lib/refcount.c:28 refcount_warn_saturate+0xbe/0x110
{TRACE}
{END}""",
    ),
    "atomic": (
        "scheduling while atomic",
        "BUG: scheduling while atomic: insmod/412/0x00000002",
        f"BUG: scheduling while atomic: insmod/412/0x00000002\n{TRACE}",
    ),
    "sleeping": (
        "sleeping in atomic context",
        "BUG: sleeping function called from invalid context at mm/slab.h:421",
        f"BUG: sleeping function called from invalid context at mm/slab.h:421\nin_atomic(): 1, pid: 4\n{TRACE}",
    ),
    "page allocation": (
        "page allocation failure",
        "kworker/u4:2: page allocation failure: order:10, mode:0xdc0(GFP_KERNEL|__GFP_ZERO), nodemask=(null)",
        "kworker/u4:2: page allocation failure: order:10, mode:0xdc0(GFP_KERNEL|__GFP_ZERO), nodemask=(null)",
    ),
    "page allocation of a name with a space": (
        "page allocation failure",
        "Web Content: page allocation failure: order:4, mode:0xdc0",
        "Web Content: page allocation failure: order:4, mode:0xdc0",
    ),
    "leaked objects": (
        "leaked objects",
        "BUG tap (Tainted: G           OE     ): Objects remaining in tap on __kmem_cache_shutdown()",
        f"BUG tap (Tainted: G           OE     ): Objects remaining in tap on __kmem_cache_shutdown()\n{TRACE}",
    ),
    "net device": (
        "leaked device",
        "unregister_netdevice: waiting for lo to become free. Usage count = 2",
        "unregister_netdevice: waiting for lo to become free. Usage count = 2",
    ),
}

INNOCENT = """Linux version 6.12.117+deb13-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC
Command line: console=ttyS0 panic=-1 oops=panic
x86/fpu: Supporting XSAVE feature 0x001: 'x87 floating point registers'
Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!
Spectre V2 : Mitigation: Retpolines
MDS CPU bug present and SMT on, data leak possible.
rcu: Preemptible hierarchical RCU implementation.
rcu: \tRCU restricting CPUs from NR_CPUS=512 to nr_cpu_ids=2.
rcu: Hierarchical SRCU implementation.
NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
watchdog: Delayed init of the lockup detector failed: -19
kasan: KernelAddressSanitizer initialized
ODEBUG: selftest passed
Boot_DEBUG: BUG: nothing
DEBUG: kernel BUG at the cinema
audit: type=1400 audit(1763827200.123:2): apparmor="STATUS" comm="BUG: x" Oops: no
scap: loading out-of-tree module taints kernel.
scap: module verification failed: signature and/or required key missing - tainting kernel
traps: cat[412] general protection fault ip:401000 sp:7ffe error:0 in cat[401000+1000]
traps: cat[413] trap invalid opcode ip:401000 sp:7ffe error:0 in cat[401000+1000]
traps: cat[414] trap divide error ip:401000 sp:7ffe error:0 in cat[401000+1000]
cat[415]: segfault at 0 ip 0000000000401000 sp 00007ffe error 4 in cat[401000+1000]
systemd[1]: foo BUG: bar
init[1]: WARNING: CPU: is hot
INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.234 msecs
printk: legacy bootconsole [earlyser0] disabled
EXT4-fs (vda): mounted filesystem ro without journal. Quota mode: none.
list_lru: not a list_add corruption
reboot: Power down"""
