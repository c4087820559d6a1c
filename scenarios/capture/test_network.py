"""What a driver must report of connections."""

from __future__ import annotations

import errno

import pytest

from lab.drivers.capture import Events
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

pytestmark = pytest.mark.profile("smoke")

# The system call's name; the kernel cuts a program's name to 15 bytes.
CONNECT = {"type": "connect", "comm": "connect_loopbac"}
WAITED = {"type": "connect", "comm": "connections", "result": -errno.EINPROGRESS}
ACCEPTED = {"type": "accept4", "comm": "connections"}
SENT = {"type": "sendto", "comm": "connections"}


@pytest.mark.syscall("connect")
@pytest.mark.controls(
    altered("address", **CONNECT), altered("port", **CONNECT), altered("result", **CONNECT), missing(**CONNECT)
)
def test_a_connection_is_reported_with_the_peer_address_and_port(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        made = actor("connect_loopback")
    seen.one(**CONNECT, address="127.0.0.1", port=made["port"], result=0)


@pytest.mark.profile("default")
@pytest.mark.syscall("connect")
@pytest.mark.controls(
    altered("address", **WAITED), altered("port", **WAITED), altered("result", **WAITED), missing(**WAITED)
)
def test_a_connect_that_waits_and_gives_up_is_reported_when_it_ends(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        made = actor("connections", "full")
    assert made["result"] == WAITED["result"], "the listener took them all"
    seen.one(**WAITED, pid=made["pid"], address="127.0.0.1", port=made["port"])


@pytest.mark.profile("default")
@pytest.mark.syscall("accept4", "sendto")
@pytest.mark.controls(
    altered("address", **ACCEPTED),
    altered("port", **ACCEPTED),
    altered("result", **ACCEPTED),
    altered("fd", **SENT),
    altered("ppid", **SENT),
    altered("data", **SENT),
    missing(**ACCEPTED),
    missing(**SENT),
)
def test_what_a_child_sends_on_a_connection_that_its_parent_accepted_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("connections", "inherited")
    seen.one(**ACCEPTED, pid=family["parent"], result=family["fd"], address="127.0.0.1", port=family["port"])
    sent = {"fd": family["fd"], "data": "inherited", "result": family["result"]}
    seen.one(**SENT, pid=family["child"], ppid=family["parent"], **sent)
