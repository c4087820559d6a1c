"""Keys of one run: the client's, which opens the guest, and the guest's host key, which the client expects."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from io import StringIO

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class RunKeys:
    """Keys made for one machine; never reused and never written outside its folder.

    `host_key` is the guest's private key in dropbear's format; `host_public` its public blob, as SSH sends it.
    """

    client: paramiko.PKey
    authorized_keys: bytes
    host_key: bytes
    host_public: bytes


def make_keys() -> RunKeys:
    """A fresh pair for each side, Ed25519 (the quickest handshake in an emulated guest)."""
    client, host = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    text = client.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return RunKeys(
        client=_paramiko_key(text),
        authorized_keys=b"ssh-ed25519 " + base64.b64encode(_public_blob(client)) + b" lab\n",
        host_key=_dropbear_private(host),
        host_public=_public_blob(host),
    )


def _paramiko_key(text: str) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(StringIO(text))


def _string(data: bytes) -> bytes:
    """A string of the SSH protocol (RFC 4251 section 5): length, then bytes."""
    return struct.pack(">I", len(data)) + data


def _public_raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _public_blob(key: Ed25519PrivateKey) -> bytes:
    return _string(b"ssh-ed25519") + _string(_public_raw(key))


def _dropbear_private(key: Ed25519PrivateKey) -> bytes:
    """Dropbear keeps an Ed25519 key as its name and one string of seed and public key (its src/ed25519.c)."""
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return _string(b"ssh-ed25519") + _string(seed + _public_raw(key))
