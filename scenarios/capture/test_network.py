"""What a driver must report of connections."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

pytestmark = pytest.mark.profile("smoke")

# The system call's name; the kernel cuts a program's name to 15 bytes.
CONNECT = {"type": "connect", "comm": "connect_loopbac"}


@pytest.mark.syscall("connect")
@pytest.mark.controls(
    altered("address", **CONNECT), altered("port", **CONNECT), altered("result", **CONNECT), missing(**CONNECT)
)
def test_a_connection_is_reported_with_the_peer_address_and_port(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        made = actor("connect_loopback")
    seen.one(**CONNECT, address="127.0.0.1", port=made["port"], result=0)
