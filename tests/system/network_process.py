# SPDX-License-Identifier: Apache-2.0
"""A network worker as a process of its own, driven by JSON lines: tests kill it and start it in other namespaces."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.network.documents import Documents
from nova_lite.network.service import make_driver
from nova_lite.rpc.network import SecurityGroup, ServerPorts
from nova_lite.rpc.payload import from_wire, to_wire


def documents_app(documents: Documents) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The least metadata service: the document at the path, for whoever has the address."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = documents.find(environ["nova.network_id"], environ["REMOTE_ADDR"]) or {}
        text = found.get(environ["PATH_INFO"].lstrip("/"))
        start_response("200 OK" if text is not None else "404 Not Found", [("Content-Type", "text/plain")])
        return [(text or "").encode()]

    return app


def main() -> None:
    """Recover, then answer one line `{"method", "arguments"}` after the other until stdin ends."""
    conf = options.load(sys.argv[1:], files=[])
    driver = make_driver(conf, metadata_app_factory=documents_app)
    types = {"prepare": ServerPorts, "update_groups": tuple[SecurityGroup, ...]}
    driver.recover()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        arguments = [from_wire(types.get(request["method"], Any), value) for value in request["arguments"]]
        try:
            result = getattr(driver, request["method"])(*arguments, **request.get("named", {}))
            print(json.dumps({"result": to_wire(result)}), flush=True)
        except errors.NovaLiteError as error:
            print(json.dumps({"error": type(error).__name__, "text": error.text}), flush=True)
    driver.stop()


if __name__ == "__main__":
    main()
