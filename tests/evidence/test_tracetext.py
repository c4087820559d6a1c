"""What tracefs printed (recorded on Debian 6.12), as records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.tracetext import read_events, read_graph

GRAPH = """# tracer: function_graph
#
#     TIME        CPU  TASK/PID         DURATION                  FUNCTION CALLS
#      |          |     |    |           |   |                     |   |   |   |
  168.660385 |   0)    cat-219     |               |  vfs_read() {
  168.660824 |   0)    cat-219     | + 86.519 us   |    rw_verify_area();
  168.661067 |   0)    cat-219     | + 61.812 us   |    ovl_read_iter [overlay]();
  168.661137 |   0)    cat-219     | # 1141.480 us |  } /* vfs_read */
 ------------------------------------------
 0)    cat-219     =>  lab-age-183
 ------------------------------------------

  168.679977 |   0)  lab-age-183   |               |  vfs_read() {
  168.679987 |   1)    cat-220     |   4.477 us    |  vfs_read();
"""
EVENTS = """# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
             cat-219     [000] d..1.   168.660385: sched_switch: prev_comm=cat prev_pid=219 ==> next_comm=sh next_pid=3
 my prog-x-77     [001] .....     1.000001: sys_enter: NR 0 (3, 7ffe, 20)
"""


def test_calls_have_their_depth_and_the_time_that_they_took() -> None:
    calls = [(call.function, call.module, call.depth, call.took, call.pid) for call in read_graph(GRAPH)]
    assert calls == [
        ("vfs_read", "", 0, 1141.48, 219),
        ("rw_verify_area", "", 1, 86.519, 219),
        ("ovl_read_iter", "overlay", 1, 61.812, 219),
        ("vfs_read", "", 0, None, 183),
        ("vfs_read", "", 0, 4.477, 220),
    ]


def test_events_have_their_fields() -> None:
    switch, enter = read_events(EVENTS)
    assert (switch.name, switch.comm, switch.pid, switch.cpu, switch.time) == (
        "sched_switch",
        "cat",
        219,
        0,
        168.660385,
    )
    assert switch.fields["next_pid"] == "3"
    assert (enter.comm, enter.pid, enter.text) == ("my prog-x", 77, "NR 0 (3, 7ffe, 20)")


@given(st.text(max_size=500))
def test_no_text_makes_it_raise(text: str) -> None:
    read_graph(text)
    read_events(text)
