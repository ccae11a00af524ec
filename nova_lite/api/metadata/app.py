# SPDX-License-Identifier: Apache-2.0
"""The metadata service at 169.254.169.254, answered on the guest's own host from the host's records.

It runs in a process without rights that is small: it imports little (nova_lite/cmd/metadata.py). A guest is identified by the network of the request and its source address, which anti-spoofing guarantees; no header
is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, BinaryIO, Protocol

from nova_lite import errors
from nova_lite.values.instance_metadata import META_DATA, PASSWORD, Documents, to_bytes, with_random_seed

# Versions that guests request; all are answered as the latest, whose documents only ever gained fields.
OPENSTACK_VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22",
    "2018-08-27", "2020-10-14", "latest",
)
EC2_VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04", "latest",
)
_PASSWORD_BYTES = 1020  # Nova's limit


class Store(Protocol):
    """The data that guests read and write, by the network of the request and its source address there."""

    def find(self, network_id: str, address: str) -> Documents | None:
        """The guest's documents; None: no server on this host has the address."""

    def post_password(self, network_id: str, address: str, password: str) -> None:
        """Store the password that the guest posted for its owner.

        :raises errors.NotFound: no server on this host has the address. :raises errors.Conflict: it has one already.
        """


class MetadataApp:
    """WSGI application over the documents of one host's guests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        status, body = self._respond(environ, path)
        kind = "application/json" if status == HTTPStatus.OK and path.endswith(".json") else "text/plain; charset=utf-8"
        start_response(f"{status.value} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _respond(self, environ: dict[str, Any], path: str) -> tuple[HTTPStatus, bytes]:
        network_id, address = environ["nova.network_id"], environ["REMOTE_ADDR"]
        if environ["REQUEST_METHOD"] == "POST" and _is_password(path):
            return self._store_password(environ["wsgi.input"], network_id, address)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET is allowed\n"
        documents = self._store.find(network_id, address)
        if documents is None:
            return HTTPStatus.NOT_FOUND, b"No server has this address\n"
        body = lookup(documents, path)
        return (HTTPStatus.NOT_FOUND, b"Not found\n") if body is None else (HTTPStatus.OK, body)

    def _store_password(self, body: BinaryIO, network_id: str, address: str) -> tuple[HTTPStatus, bytes]:
        """Store the password once; its owner reads it by os-server-password, and may delete it so that another can be posted."""
        raw = body.read(_PASSWORD_BYTES + 1)
        if len(raw) > _PASSWORD_BYTES:
            return HTTPStatus.BAD_REQUEST, b"Request is too large.\n"
        password = raw.decode("latin-1").strip()
        if not (password.isascii() and password.isprintable()):
            return HTTPStatus.BAD_REQUEST, b"The password must be one line of ASCII\n"
        try:
            self._store.post_password(network_id, address, password)
        except (errors.NotFound, errors.Conflict, errors.Unavailable) as error:
            return HTTPStatus(error.http_status), f"{error.text}\n".encode()
        return HTTPStatus.OK, b""


def _is_password(path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    return len(parts) == 3 and parts[1] in OPENSTACK_VERSIONS and "/".join((parts[0], "latest", parts[2])) == PASSWORD


def lookup(documents: Documents, path: str) -> bytes | None:
    """The document or list at the path; None: there is none."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return _lines(EC2_VERSIONS)
    if parts[0] == "openstack":
        return _openstack(documents, parts[1:])
    return _ec2(documents, parts[1:]) if parts[0] in EC2_VERSIONS else None


def _openstack(documents: Documents, parts: list[str]) -> bytes | None:
    if not parts:
        return _lines(OPENSTACK_VERSIONS)
    if parts[0] == "content" and len(parts) == 2:  # injected files; only meta_data.json lists them
        text = documents.get("openstack/" + "/".join(parts))
        return None if text is None else to_bytes(text)
    if parts[0] not in OPENSTACK_VERSIONS:
        return None
    root = "openstack/latest/"
    if len(parts) == 1:
        return _lines(sorted(path.removeprefix(root) for path in documents if path.startswith(root)))
    path = root + "/".join(parts[1:])
    if path == META_DATA and path in documents:
        documents = with_random_seed(documents)
    text = documents.get(path)
    return None if text is None else to_bytes(text)


def _ec2(documents: Documents, parts: list[str]) -> bytes | None:
    if not parts:
        return _lines(["meta-data/", *(["user-data"] if "ec2/latest/user-data" in documents else [])])
    if parts == ["user-data"]:
        text = documents.get("ec2/latest/user-data")
        return None if text is None else to_bytes(text)
    return _ec2_node(json.loads(documents["ec2/latest/meta-data.json"]), parts[1:]) if parts[0] == "meta-data" else None


def _ec2_node(node: Any, parts: list[str]) -> bytes | None:  # parsed JSON
    """The EC2 tree below meta-data/: directories end with a slash, lists are lines, a key is shown as `0=name`."""
    for part in parts:
        if not isinstance(node, dict) or part.startswith("_") or part not in node:
            return None
        node = node[part]
    if isinstance(node, dict):
        return _lines([_entry(name, child) for name, child in node.items() if not name.startswith("_")])
    return _lines(node) if isinstance(node, list) else str(node).encode()


def _entry(name: str, child: Any) -> str:  # parsed JSON
    if not isinstance(child, dict):
        return name
    return f"{name}={child['_name']}" if "_name" in child else f"{name}/"


def _lines(names: Iterable[str]) -> bytes:
    return "\n".join(names).encode()
