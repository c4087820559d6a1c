"""Keys of a run: each side's own, fresh for every machine, in the forms that both sides read."""

from __future__ import annotations

import base64
import struct

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.machines.keys import make_keys


def strings(data: bytes) -> list[bytes]:
    """The strings of a message in SSH's form, to its very end."""
    found = []
    while data:
        (length,) = struct.unpack(">I", data[:4])
        assert len(data) >= 4 + length
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


def test_the_guest_lets_in_the_key_that_the_client_has() -> None:
    keys = make_keys()
    kind, blob, comment = keys.authorized_keys.split()
    assert (kind, comment) == (b"ssh-ed25519", b"lab")
    assert base64.b64decode(blob, validate=True) == keys.client.asbytes()
    assert keys.authorized_keys.endswith(b"\n")


def test_the_guests_private_key_belongs_to_the_public_one_that_is_expected() -> None:
    keys = make_keys()
    name, pair = strings(keys.host_key)
    assert name == b"ssh-ed25519"
    seed, public = pair[:32], pair[32:]
    derived = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert derived == public
    assert strings(keys.host_public) == [b"ssh-ed25519", public]


def test_the_expected_host_key_is_written_as_paramiko_tells_the_one_it_saw() -> None:
    keys = make_keys()
    assert paramiko.Ed25519Key(data=keys.host_public).asbytes() == keys.host_public


def test_the_client_can_sign_with_its_key() -> None:
    keys = make_keys()
    signature = keys.client.sign_ssh_data(b"data").asbytes()
    public = paramiko.Ed25519Key(data=keys.client.asbytes())
    assert public.verify_ssh_sig(b"data", paramiko.Message(signature))
    assert not public.verify_ssh_sig(b"other data", paramiko.Message(signature))


def test_no_two_machines_share_a_key() -> None:
    one, other = make_keys(), make_keys()
    blobs = {one.client.asbytes(), one.host_public, other.client.asbytes(), other.host_public}
    assert len(blobs) == 4
