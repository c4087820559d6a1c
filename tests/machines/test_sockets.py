"""Sockets in folders whose paths are longer than the kernel takes."""

from __future__ import annotations

import socket
from pathlib import Path

from lab.machines.sockets import short_name


def test_a_socket_in_a_deep_folder_is_bound_and_found(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    path = deep / "console.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as calling:
        with short_name(path) as name:
            listening.bind(name)
            listening.listen(1)
        assert path.is_socket()
        with short_name(path) as name:
            calling.connect(name)
        answering, _ = listening.accept()
        answering.close()
