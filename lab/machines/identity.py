"""What makes a machine this one and no other: its clock, its random state, its names."""

from __future__ import annotations

import secrets
import time

from lab.errors import MachineLostError
from lab.machines.agent import Agent
from lab.machines.frames import Kind, encode, encode_clock

# Whose a machine is that is saved for others: their names are written over this one, which is quicker than the first.
NOBODY, _NO_MACHINE = "lab", "0" * 32
_ENTROPY_BYTES = 64
# How far a guest's clock may be off, in seconds: it was set to a time that was right when it was sent.
_CLOCK_ERROR = 0.5


def renew(agent: Agent, name: str, deadline: float) -> None:
    """Give the agent's guest the host's time, fresh entropy, `name` as its host name and a machine id of its own; one
    of NOBODY's gets none that another could have.

    The clock is then right within half a second; MachineLostError when that is not reached in `deadline` seconds.
    """
    end = time.monotonic() + deadline
    machine_id = _NO_MACHINE if name == NOBODY else secrets.token_hex(16)
    frames = {
        Kind.ENTROPY: encode(Kind.ENTROPY, payload=secrets.token_bytes(_ENTROPY_BYTES)),
        Kind.HOST_NAME: encode(Kind.HOST_NAME, payload=name.encode()),
        Kind.MACHINE_ID: encode(Kind.MACHINE_ID, payload=machine_id.encode()),
    }
    while True:
        start = time.monotonic()
        # Afresh each time, because a busy host may have taken too long.
        agent.renew({Kind.CLOCK: encode_clock(time.time_ns()), **frames}, max(0.0, end - start))
        if time.monotonic() - start < _CLOCK_ERROR:
            return
        frames = {}
        if time.monotonic() > end:
            raise MachineLostError(f"the guest's clock could not be set within {deadline:.0f} s: the host is too busy")
