"""Kernels from a real registry: what is published is found, and what is wrong is refused in a sentence."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from lab import process
from lab.arches import AMD64, ARM64, RISCV64
from lab.errors import ArchiveError, RequestError
from lab.images.cpio import CpioFile, cpio_archive
from lab.kernels.kernel import LocalTree
from lab.kernels.local.vmlinux import with_entry
from lab.kernels.oci.provider import OciKernels
from lab.kernels.oci.registry import Manifest, Reference, Repository, parse_reference
from lab.settings import Settings
from lab.store import Store, file_digest
from tests.support.bootfiles import build_tree, bzimage, plain_image, put, vmlinux
from tests.support.filling import leftovers
from tests.support.registry import MANIFEST, Registry, layer, lvh_files, registry, token_gate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

REL = "6.12.7-lab"
NAME = "lvh-images/kernel-images"
KERNEL: dict[str, bytes | str] = {
    f"boot/vmlinuz-{REL}": bzimage(REL),
    f"boot/config-{REL}": "CONFIG_BPF=y\n",
    f"lib/modules/{REL}/kernel/a.ko": b"a module",
    f"lib/modules/{REL}/modules.builtin": "",
}


@dataclass
class Bench:
    """A registry and a lab with an empty store."""

    registry: Registry
    store: Store
    notices: list[str] = field(default_factory=list)

    def kernels(self, *, offline: bool = False) -> OciKernels:
        return OciKernels(self.store, Settings(offline=offline), self.notices.append)

    def text(self, name: str) -> str:
        return f"oci:{self.registry.host}/{name}"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry") / "data") as running:
        yield running


@pytest.fixture
def bench(served: Registry, tmp_path: Path) -> Bench:
    return Bench(served, Store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oci:registry.example/a/b:6.6-main", Reference("registry.example", "a/b", "6.6-main", "")),
        ("oci:registry.example/a/b", Reference("registry.example", "a/b", "latest", "")),
        ("oci:localhost/k", Reference("localhost", "k", "latest", "")),
        ("oci:[::1]:5000/k:x", Reference("[::1]:5000", "k", "x", "")),
        (f"oci:h:5000/k@sha256:{'a' * 64}", Reference("h:5000", "k", "", f"sha256:{'a' * 64}")),
        (
            f"oci:registry.example/a/b-kernel:t@sha256:{'a' * 64}",
            Reference("registry.example", "a/b-kernel", "t", f"sha256:{'a' * 64}"),
        ),
    ],
)
def test_references_are_taken_apart(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["oci:", "oci:r.test", "oci:library/linux", "oci:r.test/A", "oci:r.test/a:", "oci:r.test/a@sha256:abc",
     "oci:r.test/a/../b", "oci:r.test/a:t\n", "r.test/a", "oci:user@r.test/a", "oci:r.test/a?x=1"],
)  # fmt: skip
def test_what_is_no_reference_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_reference(text)
    assert "oci:HOST" in caught.value.hint


def test_only_a_registry_on_this_machine_is_asked_without_tls() -> None:
    assert [parse_reference(f"oci:{host}/k").loopback for host in ("localhost:1", "127.0.0.1", "[::1]:5000")] == [
        True
    ] * 3
    assert not any(parse_reference(f"oci:{host}/k").loopback for host in ("127.0.0.1.example.org", "10.0.0.1:5000"))


def test_a_kernel_of_little_vm_helper_comes_with_its_provenance(bench: Bench) -> None:
    base = layer({"bin/busybox": "a shell", "etc/passwd": "root"}, links={"bin/sh": "/bin/busybox"})
    image = layer(lvh_files("6.12", KERNEL), links={f"data/kernels/6.12/lib/modules/{REL}/build": "/data/kernels/6.12"})
    amd64 = bench.registry.push(NAME, "6.12-amd64", [gzip.compress(base), gzip.compress(image)])
    arm64 = bench.registry.push(NAME, "6.12-arm64", [layer({"boot/vmlinuz": plain_image(REL)})], "arm64")
    bench.registry.push_index(NAME, "6.12-main", {"amd64": amd64, "arm64": arm64})

    choice = bench.kernels().resolve(bench.text(f"{NAME}:6.12-main"), AMD64)
    assert (choice.version, choice.origin) == (amd64[:19], "oci")
    kernel = choice.fetch()
    assert (kernel.release, kernel.series, kernel.origin) == (REL, "6.12", "oci")
    assert kernel.image.read_bytes() == bzimage(REL)
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/a.ko").read_bytes() == b"a module"
    assert kernel.option("BPF") == "y"
    assert kernel.headers is None
    assert "without a build tree" in kernel.no_headers
    assert kernel.exact == bench.text(f"{NAME}@{amd64}")
    told = ("registry", "repository", "tag", "digest", "platform", "release", "sha256")
    assert {name: kernel.provenance[name] for name in told} == {
        "registry": bench.registry.host,
        "repository": NAME,
        "tag": "6.12-main",
        "digest": amd64,
        "platform": "linux/amd64",
        "release": REL,
        "sha256": file_digest(kernel.image),
    }
    assert bench.kernels().resolve(bench.text(f"{NAME}:6.12-main"), ARM64).fetch().release == REL
    assert bench.store.find("oci", {"digest": amd64, "arch": "amd64", "layout": 1}) is not None
    with pytest.raises(RequestError, match="is for amd64, arm64, not for riscv64"):
        bench.kernels().resolve(bench.text(f"{NAME}:6.12-main"), RISCV64)


def test_a_kernel_of_falcos_kernel_testing_has_its_modules_in_the_initrd(bench: Bench) -> None:
    module = f"lib/modules/{REL}/kernel/drivers/virtio_blk.ko"
    initrd = cpio_archive({module: CpioFile(b"a module"), "init": CpioFile(b"#!/bin/sh", 0o755)}, ("dev",))
    layers = [
        layer({"boot/vmlinux": vmlinux(REL)}),
        layer({"boot/initrd": initrd}),
        layer({"lib/modules/.placeholder": ""}),
    ]
    name = "falcosecurity/kernel-testing/ubuntu-kernel"
    bench.registry.push(name, "6.12-x86_64-main", layers)
    kernel = bench.kernels().resolve(bench.text(f"{name}:6.12-x86_64-main"), AMD64).fetch()
    assert kernel.release == REL
    assert kernel.image.read_bytes() == with_entry(vmlinux(REL))
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/drivers/virtio_blk.ko").read_bytes() == b"a module"
    assert not list(kernel.modules.parents[2].rglob("init"))


def test_what_was_fetched_by_its_digest_needs_no_registry(bench: Bench, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as short_lived:
        digest = short_lived.push("k", "v1", [layer(KERNEL)])
        exact = bench.kernels().resolve(f"oci:{short_lived.host}/k:v1", AMD64).fetch().exact
    assert exact.endswith(f"/k@{digest}")
    kernel = bench.kernels().resolve(exact, AMD64).fetch()
    assert (kernel.release, kernel.exact) == (REL, exact)
    assert len(bench.notices) == 1, "it was fetched twice"


def test_offline_a_tag_means_what_it_meant_last_and_an_unknown_one_is_an_error(bench: Bench, tmp_path: Path) -> None:
    with registry(tmp_path / "data") as gone:
        gone.push(NAME, "tag", [layer(KERNEL)])
        text = f"oci:{gone.host}/{NAME}:tag"
        fetched = bench.kernels().resolve(text, AMD64).fetch()
    assert bench.kernels(offline=True).resolve(text, AMD64).fetch() == fetched
    with pytest.raises(ArchiveError, match="offline"):
        bench.kernels(offline=True).resolve(f"{text}-other", AMD64)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_layers_may_be_packed_and_later_ones_take_away(bench: Bench, pack: type[bytes]) -> None:
    first = layer({**KERNEL, "boot/vmlinuz-5.10.1": bzimage("5.10.1"), "old/vmlinuz": "x", "lib/a": "", "lib/b/c": ""})
    second = layer({"boot/.wh.vmlinuz-5.10.1": "", ".wh.old": "", "lib/.wh..wh..opq": "", f"lib/modules/{REL}/new": ""})
    bench.registry.push("layers", "v1", [pack(first), pack(second)])
    kernel = bench.kernels().resolve(bench.text("layers:v1"), AMD64).fetch()
    root = kernel.image.parent.parent
    kept = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert kept == {f"boot/vmlinuz-{REL}", f"boot/config-{REL}", f"lib/modules/{REL}/new"}


def test_headers_in_an_image_are_what_drivers_are_compiled_against(bench: Bench, tmp_path: Path) -> None:
    tree = build_tree(tmp_path / "tree", REL)
    headers = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    files = {f"usr/src/linux-headers-{REL}/{place}": content for place, content in headers.items()}
    bench.registry.push("headers", "v1", [layer({**KERNEL, **files})])
    kernel = bench.kernels().resolve(bench.text("headers:v1"), AMD64).fetch()
    assert isinstance(kernel.headers, LocalTree)
    assert kernel.headers.folder.is_relative_to(bench.store.root)
    assert kernel.headers.compiler == "gcc-12"


def test_packages_in_an_image_are_unpacked(bench: Bench, tmp_path: Path) -> None:
    control = (
        "Package: linux-image-lab\nVersion: 1\nArchitecture: amd64\nMaintainer: Lab <lab@localhost>\nDescription: x\n"
    )
    put(tmp_path / "deb", {"DEBIAN/control": control, **KERNEL})
    deb = tmp_path / "linux-image-lab_1_amd64.deb"
    process.run(["dpkg-deb", "--root-owner-group", "-b", tmp_path / "deb", deb], deadline=60)
    bench.registry.push("debs", "v1", [layer({"packages/linux-image-lab_1_amd64.deb": deb.read_bytes()})])
    kernel = bench.kernels().resolve(bench.text("debs:v1"), AMD64).fetch()
    assert (kernel.release, kernel.option("BPF")) == (REL, "y")
    bench.registry.push("rpms", "v1", [layer({"packages/kernel-core.x86_64.rpm": b"\xed\xab\xee\xdb"})])
    with pytest.raises(RequestError, match=r"\.rpm packages"):
        bench.kernels().resolve(bench.text("rpms:v1"), AMD64).fetch()


def test_names_with_dots_and_a_host_by_its_name_are_no_other_address(bench: Bench) -> None:
    bench.registry.push("my.org/kernels_x86", "v1", [layer({**KERNEL, "salt": "names"})])
    port = bench.registry.host.rpartition(":")[2]
    kernel = bench.kernels().resolve(f"oci:localhost:{port}/my.org/kernels_x86:v1", AMD64).fetch()
    assert kernel.exact.startswith(f"oci:localhost:{port}/my.org/kernels_x86@sha256:")


def test_packages_beside_a_kernel_are_left_as_they_are(bench: Bench) -> None:
    files: dict[str, bytes | str] = {"var/cache/some.deb": b"no package", "var/cache/other.rpm": b"none too"}
    bench.registry.push("cached", "v1", [layer({**KERNEL, **files})])
    assert bench.kernels().resolve(bench.text("cached:v1"), AMD64).fetch().release == REL


def test_a_tag_that_does_not_exist_lists_those_that_do(bench: Bench) -> None:
    for tag in ("6.1-main", "6.6-main"):
        bench.registry.push("tags", tag, [layer(KERNEL)])
    with pytest.raises(RequestError, match=r"has no 6\.5-main") as caught:
        bench.kernels().resolve(bench.text("tags:6.5-main"), AMD64)
    assert "6.6-main, 6.1-main" in caught.value.hint
    with pytest.raises(RequestError, match="there is no image"):
        bench.kernels().resolve(bench.text("nobody/nothing:v1"), AMD64)


def test_a_registry_that_is_down_is_one_sentence(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ArchiveError, match=rf"the registry 127\.0\.0\.1:{port} cannot be reached: .*refused"):
        bench.kernels().resolve(f"oci:127.0.0.1:{port}/k:v1", AMD64)


def test_a_registry_that_wants_a_token_gives_it_to_everybody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(bench.store.root))
    bench.registry.push("public", "v1", [layer({**KERNEL, "salt": "token"})])
    with token_gate(bench.registry, "a-token") as host:
        kernel = bench.kernels().resolve(f"oci:{host}/public:v1", AMD64).fetch()
    assert kernel.release == REL


def test_a_private_registry_is_read_with_dockers_login_and_not_without(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    users.write_bytes(b"lab:" + bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)) + b"\n")
    with registry(tmp_path / "registry") as public:
        public.push("private", "v1", [layer({**KERNEL, "salt": "private"})])
    with registry(tmp_path / "registry", users) as private:
        # Not before: the registry's own program lies in a store below it.
        monkeypatch.setenv("HOME", str(tmp_path))
        text = f"oci:{private.host}/private:v1"
        with pytest.raises(ArchiveError, match="does not let you read private") as caught:
            bench.kernels().resolve(text, AMD64)
        assert "docker login" in caught.value.hint
        login = base64.b64encode(b"lab:open sesame").decode()
        put(tmp_path, {".docker/config.json": json.dumps({"auths": {private.host: {"auth": login}}})})
        assert bench.kernels().resolve(text, AMD64).fetch().release == REL


def test_a_blob_that_is_not_what_the_manifest_says_is_refused(bench: Bench) -> None:
    digest = bench.registry.push("damaged", "v1", [layer({**KERNEL, "salt": "damaged blob"})])
    manifest = json.loads(bench.registry.stored(digest).read_bytes())
    blob = bench.registry.stored(manifest["layers"][0]["digest"])
    content = bytearray(blob.read_bytes())
    content[2000] ^= 1
    blob.write_bytes(content)
    choice = bench.kernels().resolve(bench.text("damaged:v1"), AMD64)
    with pytest.raises(ArchiveError, match="sent something else than sha256:"):
        choice.fetch()
    blob.write_bytes(content[:-512])
    with pytest.raises(ArchiveError, match=r"broke off|another size"):
        choice.fetch()
    assert leftovers(bench.store) == []


def test_a_manifest_that_is_not_what_was_announced_is_refused(bench: Bench) -> None:
    digest = bench.registry.push("forged", "v1", [layer({**KERNEL, "salt": "forged manifest"})])
    stored = bench.registry.stored(digest)
    stored.write_bytes(stored.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion":  2'))
    for reference in ("forged:v1", f"forged@{digest}"):
        with pytest.raises(ArchiveError, match="manifest of forged with a wrong digest"):
            bench.kernels().resolve(bench.text(reference), AMD64)


def test_an_image_of_another_architecture_is_refused_before_it_is_fetched(bench: Bench) -> None:
    bench.registry.push("foreign", "v1", [layer({"boot/vmlinuz": plain_image(REL)})], "arm64")
    with pytest.raises(RequestError, match="is for arm64, not for amd64"):
        bench.kernels().resolve(bench.text("foreign:v1"), AMD64)
    bench.registry.push("liar", "v1", [layer({"boot/vmlinuz": plain_image(REL)})], "amd64")
    with pytest.raises(RequestError, match="liar:v1 is for arm64, not for amd64"):
        bench.kernels().resolve(bench.text("liar:v1"), AMD64).fetch()
    assert leftovers(bench.store) == []


def test_an_image_without_a_kernel_is_refused(bench: Bench) -> None:
    bench.registry.push("empty", "v1", [layer({"bin/sh": "a shell"})])
    with pytest.raises(RequestError, match="there is no kernel in 127"):
        bench.kernels().resolve(bench.text("empty:v1"), AMD64).fetch()


def test_what_is_no_layer_is_refused(bench: Bench) -> None:
    for number, content in enumerate(
        (b"no archive at all" * 100, b"\x1f\x8b\x08 no gzip", b"\x28\xb5\x2f\xfd no zstd")
    ):
        bench.registry.push("garbage", f"v{number}", [content])
        with pytest.raises(ArchiveError, match="no archive that the lab can read"):
            bench.kernels().resolve(bench.text(f"garbage:v{number}"), AMD64).fetch()


_BLOB = {"digest": f"sha256:{'a' * 64}", "size": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"layers": {}}',
        b'{"layers": ["a"]}',
        json.dumps({"layers": [{**_BLOB, "digest": "sha256:../../x"}]}).encode(),
        json.dumps({"layers": [{**_BLOB, "digest": f"sha512:{'a' * 128}"}]}).encode(),
        json.dumps({"layers": [{**_BLOB, "size": -1}]}).encode(),
        json.dumps({"layers": [{**_BLOB, "size": 1 << 40}]}).encode(),
        json.dumps({"layers": [_BLOB] * 129}).encode(),
    ],
)
def test_a_manifest_without_sense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(Repository, "manifest", lambda *_: Manifest(content, MANIFEST, f"sha256:{'b' * 64}"))
    kernels = OciKernels(Store(tmp_path), Settings(), lambda _: None)
    with pytest.raises(ArchiveError):
        kernels.resolve("oci:localhost/k:v1", AMD64)
