"""Terminals in a guest, over SSH; commands need none (agent.py)."""

from __future__ import annotations

from collections.abc import Callable

import paramiko

from lab.errors import CommandTimeoutError, LabError, MachineLostError
from lab.machines.keys import RunKeys, make_keys
from lab.machines.result import Result

_CHANNEL_DEADLINE = 60.0
# Takes a line for authorized_keys and behind it the host key, which goes to $1; dropbear looks at the modes of every
# folder above the first. -s: keys only. It detaches itself once it listens, so that this has ended when it does.
_SERVE = """
set -e
(
	umask 077
	mkdir -p /root/.ssh
	chmod 700 /root /root/.ssh
	IFS= read -r line
	printf '%s\\n' "$line" >/root/.ssh/authorized_keys
	cat >"$1"
)
exec dropbear -s -r "$1" -P /run/dropbear.pid
"""


def start_server(run: Callable[..., Result], host_key: str) -> RunKeys:
    """Start the guest's SSH server, `run` running commands there, with keys made now; LabError when it does not.

    The server's own key lies in the file `host_key` there.
    """
    keys = make_keys()
    done = run(["sh", "-c", _SERVE, "sh", host_key], stdin=keys.authorized_keys + keys.host_key, check=False)
    if done.status != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise LabError(f"the guest's SSH server does not start (status {done.status}): {said[:500]}")
    return keys


class Shell:
    """An authenticated connection to one guest's SSH server. `check` raises when the guest has died."""

    def __init__(self, port: int, keys: RunKeys, deadline: float, check: Callable[[], None]) -> None:
        self._check = check
        try:
            self._transport = paramiko.Transport(("127.0.0.1", port))
            self._transport.banner_timeout = self._transport.auth_timeout = deadline
            self._transport.start_client(timeout=deadline)
            if self._transport.get_remote_server_key().asbytes() != keys.host_public:
                raise MachineLostError(f"port {port} does not lead to this guest: its host key is another")
            self._transport.auth_publickey("root", keys.client)
        except (paramiko.SSHException, OSError, EOFError) as error:
            check()
            raise MachineLostError(f"the guest's SSH server did not let us in: {error}") from error

    def interactive(self, columns: int, rows: int, terminal: str) -> paramiko.Channel:
        """A channel with a login shell on a terminal of that size."""
        channel = self._open(_CHANNEL_DEADLINE)
        channel.get_pty(terminal, columns, rows)
        channel.invoke_shell()
        return channel

    def close(self) -> None:
        """Leave; safe to call twice."""
        self._transport.close()

    def _open(self, deadline: float) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=deadline)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._check()
            if self._transport.is_active():
                raise CommandTimeoutError(f"the guest opened no channel within {deadline:.0f} s") from error
            raise MachineLostError(f"the connection to the guest broke: {error}") from error
