"""Reading from a container registry: every byte is checked against the digest that it was asked for by."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from oras.auth import get_auth_backend  # type: ignore[import-untyped]
from oras.container import Container  # type: ignore[import-untyped]
from oras.provider import Registry  # type: ignore[import-untyped]

from lab.errors import ArchiveError, RequestError

PREFIX = "oci:"
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_FORM = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?P<port>:\d{1,5})?"
    r"/(?P<name>[a-z0-9]+(?:(?:[./]|_{1,2}|-+)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_HINT = "write oci:HOST[:PORT]/NAME[:TAG|@sha256:DIGEST]"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIMEOUT = (20.0, 60.0)  # seconds to connect, and between two pieces of an answer
_SLOWEST = 64 << 10  # bytes a second below which a download is given up, after a minute
_MANIFEST = 4 << 20  # bytes, as registries themselves limit it
_CHUNK = 1 << 20
_TAGS_TOLD = 30


@dataclass(frozen=True)
class Reference:
    """An image's address, taken apart; `tag` is empty where a digest alone was given."""

    host: str  # with its port
    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    @property
    def loopback(self) -> bool:
        return re.sub(r":\d+$", "", self.host) in _LOOPBACK


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index, as the registry keeps it: `kind` is its media type, `digest` that of `content`."""

    content: bytes
    kind: str
    digest: str


def parse_reference(text: str) -> Reference:
    """`oci:HOST[:PORT]/NAME[:TAG|@DIGEST]` taken apart; RequestError says how one is written."""
    match = _FORM.fullmatch(text.removeprefix(PREFIX)) if text.startswith(PREFIX) and len(text) < 1000 else None
    # Without a dot or a port, "library/linux" would be a host.
    if match is None or not (match["port"] or "." in match["host"] or match["host"] in _LOOPBACK):
        raise RequestError(f"kernel request {text[:200]!r} cannot be read", hint=_HINT)
    digest = match["digest"] or ""
    return Reference(
        match["host"] + (match["port"] or ""), match["name"], match["tag"] or ("" if digest else "latest"), digest
    )


class _Timed(requests.adapters.HTTPAdapter):
    """Every request has a deadline, those for a token too, which oras makes."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(*args, **{**kwargs, "timeout": _TIMEOUT})


class Repository:
    """One repository of a registry, over https (http for one on this machine), with the logins that docker keeps."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._client = Registry(reference.host, insecure=reference.loopback)
        self._client.session.trust_env = not reference.loopback  # no proxy on the way to ourselves
        for scheme in ("https://", "http://"):
            self._client.session.mount(scheme, _Timed())
        # What oras would print on the terminal, an error says in a sentence.
        logging.getLogger("oras.logger").setLevel(logging.CRITICAL)
        self._address = f"{self._client.prefix}://{reference.host}/v2/{reference.name}"

    def manifest(self, reference: str) -> Manifest:
        """The manifest by that tag or digest. RequestError with the tags that exist where there is none."""
        answer = self._ask(f"manifests/{reference}", ", ".join((*MANIFESTS, *INDEXES)))
        with answer:
            if answer.status_code == 404:
                raise self._unknown(reference)
            self._demand_success(answer)
            content = self._read(answer, _MANIFEST)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        wanted = reference if _DIGEST.fullmatch(reference) else answer.headers.get("Docker-Content-Digest", digest)
        if digest != wanted:
            raise ArchiveError(f"{self._reference.host} sent a manifest of {self._reference.name} with a wrong digest")
        return Manifest(content, answer.headers.get("Content-Type", "").partition(";")[0].strip(), digest)

    def blob(self, digest: str, size: int) -> bytes:
        """A small blob."""
        with self._blob(digest) as answer:
            content = self._read(answer, min(size, _MANIFEST))
        self._demand_digest(digest, hashlib.sha256(content).hexdigest())
        return content

    def download(self, digest: str, size: int, target: Path) -> None:
        """A blob of `size` bytes, into a file."""
        total, left = hashlib.sha256(), size
        with self._blob(digest) as answer, target.open("wb") as stream:
            for piece in self._pieces(answer):
                left -= len(piece)
                if left < 0:
                    break
                total.update(piece)
                stream.write(piece)
        if left:
            raise ArchiveError(f"{self._reference.host} sent {digest[:19]} with another size than the manifest says")
        self._demand_digest(digest, total.hexdigest())

    def tags(self) -> list[str]:
        """Some of the repository's tags; empty where it does not exist, or does not tell."""
        with self._ask("tags/list?n=1000", "application/json") as answer:
            if answer.status_code != 200:
                return []
            try:
                found = json.loads(self._read(answer, _MANIFEST)).get("tags") or []
            except (ValueError, AttributeError):
                return []
        return [str(tag)[:128] for tag in found]

    def _blob(self, digest: str) -> requests.Response:
        answer = self._ask(f"blobs/{digest}", "*/*")
        self._demand_success(answer)
        return answer

    def _ask(self, what: str, accept: str) -> requests.Response:
        """One request, with a login where one is asked for; the body is still to be read."""
        address = f"{self._address}/{what}"
        with self._reachable():
            # Bytes are counted and hashed as they come.
            headers = {"Accept": accept, "Accept-Encoding": "identity", **self._client.auth.get_auth_header()}
            answer = self._get(address, headers)
            if answer.status_code == 401:
                answer.close()
                login = self._login(answer)
                answer = self._get(address, {**headers, **login}) if login else answer
            return answer

    def _login(self, refusal: requests.Response) -> dict[str, str]:
        """What a request must carry to be answered; nothing when there is no such thing."""
        auth = self._client.auth
        if refusal.headers.get("Www-Authenticate", "").lower().startswith("basic"):
            auth = get_auth_backend("basic", self._client.session, insecure=self._reference.loopback, tls_verify=True)
        try:
            auth.load_configs(Container("any", registry=self._reference.host))
            headers, changed = auth.authenticate_request(refusal, {}, refresh=True)
        except (AttributeError, KeyError, TypeError, ValueError):  # a challenge or a docker configuration without sense
            return {}
        return dict(headers) if changed else {}

    def _get(self, address: str, headers: dict[str, str]) -> requests.Response:
        answer: requests.Response = self._client.session.get(address, headers=headers, stream=True)
        return answer

    def _read(self, answer: requests.Response, most: int) -> bytes:
        content = b""
        for piece in self._pieces(answer):
            content += piece
            if len(content) > most:
                raise ArchiveError(f"{self._reference.host} sent more than {most} bytes where few were expected")
        return content

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        start, came = time.monotonic(), 0
        with self._reachable("broke off in the middle of an answer"):
            for piece in answer.iter_content(_CHUNK):
                came += len(piece)
                yield piece
                if time.monotonic() - start > 60 + came / _SLOWEST:
                    raise ArchiveError(f"{self._reference.host} sends too slowly", hint="try again later")

    @contextmanager
    def _reachable(self, failed: str = "cannot be reached") -> Iterator[None]:
        try:
            yield
        except requests.exceptions.RequestException as error:
            raise ArchiveError(
                f"the registry {self._reference.host} {failed}: {_reason(error)}",
                hint="check its name and the network; what is in the store is had with oci:HOST/NAME@sha256:DIGEST",
            ) from error

    def _demand_success(self, answer: requests.Response) -> None:
        if answer.status_code in (401, 403):
            raise ArchiveError(
                f"{self._reference.host} does not let you read {self._reference.name}",
                hint=f"docker login {self._reference.host}, or correct the name",
            )
        if answer.status_code != 200:
            raise ArchiveError(
                f"{self._reference.host} answered {answer.status_code} {answer.reason} for {self._reference.name}"
            )

    def _demand_digest(self, digest: str, came: str) -> None:
        if digest != f"sha256:{came}":
            raise ArchiveError(
                f"{self._reference.host} sent something else than {digest[:19]} of {self._reference.name}",
                hint="do not use this image; tell those who run the registry",
            )

    def _unknown(self, reference: str) -> RequestError:
        name = f"{self._reference.host}/{self._reference.name}"
        tags = self.tags()
        if not tags:
            return RequestError(f"there is no image {name}", hint="correct its name")
        told = ", ".join(sorted(tags, reverse=True)[:_TAGS_TOLD]) + (", ..." if len(tags) > _TAGS_TOLD else "")
        return RequestError(f"{name} has no {reference}", hint=f"its tags: {told}")


def _reason(error: Exception) -> str:
    """The innermost reason of one of requests' nested errors, in its own words."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause)[:200] or type(cause).__name__
