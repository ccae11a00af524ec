# SPDX-License-Identifier: Apache-2.0
"""Which tests send requests to a route, found by reading them: the calls, and tables of calls, that name its method and path."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from nova_lite.api.wsgi.routing import Route

TESTS = Path(__file__).resolve().parents[2] / "tests"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")
_ROOTS = {"compute": r"(/v2\.1|/v2)", "identity": "/identity/v3", "image": "/image/v2", "network": r"/network/v2\.0",
          "volume": r"/volume/v3(/[0-9a-f]{32})?"}
# The API whose paths a test that uses this harness names without a root; any API's where a test uses none of them.
_HARNESSES = {"tests.support.api.compute_api": "compute", "tests.support.api.identity_cloud": "identity", "tests.support.api.image_service": "image",
              "tests.support.api.network_cloud": "network", "tests.support.api.volume_api": "volume"}
# They walk all routes without knowing any: that is no test of one.
_SERVER = "/servers/{server_id}"
_WALKERS = {"tests/api/common/test_isolation.py", "tests/api/common/test_policies.py", "tests/system/services/test_openapi.py"}


def tests_of(service: str, route: Route) -> list[str]:
    """The test files that send requests to the service's route by its method and path, or that name its action."""
    rooted = r"(http://[^/]+)?" + _ROOTS[service]
    found = []
    for name, (requests, words, services) in _files().items():
        may_be_bare = "?" if not services or service in services else ""
        pattern = re.compile(f"({rooted}){may_be_bare}" + _shape(route.path) + r"(\?.*)?$")
        if route.action is not None:
            is_tested = route.action in words
        else:
            is_tested = any(method == route.method and pattern.match(path) for method, path in requests)
        if is_tested:
            found.append(name)
    return found


def _shape(path: str) -> str:
    """A regular expression of the path; what is below a server may follow a `*` that stands for the server's own path."""
    first, below = path[:len(_SERVER)], path[len(_SERVER):]
    if first == _SERVER and below:
        return r"(/servers/[^/?]+|\*)?" + _shape(below)
    return re.sub(r"\\{\w+\\}", "[^/?]+", re.escape(path))


@functools.cache
def _files() -> dict[str, tuple[set[tuple[str, str]], set[str], set[str]]]:
    """Each test file's (method, path) pairs, all its words, and the services whose harnesses it uses."""
    found = {}
    for path in sorted(TESTS.rglob("*.py")):
        name = str(path.relative_to(TESTS.parent))
        if name not in _WALKERS:
            tree = ast.parse(path.read_text())
            words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            found[name] = (set(_requests(tree)), words, {service for module, service in _HARNESSES.items() if module in modules})
    return found


def _requests(tree: ast.AST) -> Iterator[tuple[str, str]]:
    # A path that is kept in a name first: PATH = "/servers"
    names = {target.id: path for node in ast.walk(tree) if isinstance(node, ast.Assign) and (path := _path(node.value, {}))
             for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _pairs(node.args, names, method=_method_of(node))
        elif isinstance(node, ast.Tuple):
            yield from _pairs(node.elts, names, method=None)


def _method_of(call: ast.Call) -> str | None:
    """The method that `api.get(...)` and the like say."""
    word = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    plain = word.strip("_").upper()
    return plain if plain in METHODS else "POST" if plain == "MADE" else None


def _pairs(parts: list[ast.expr], names: dict[str, str], *, method: str | None) -> Iterator[tuple[str, str]]:
    said = [part.value for part in parts if isinstance(part, ast.Constant) and part.value in METHODS]
    for part in parts:
        path = _path(part, names)
        if path is not None and (said or method):
            yield str(said[0] if said else method), path


def _path(node: ast.expr, names: dict[str, str]) -> str | None:
    """A path as it stands in the text, `*` for what is filled in; None: it is none."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = re.sub(r"{[^}]*}", "*", node.value)
    elif isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else _filled(part, names) for part in node.values)
    else:
        return None
    return text if text.startswith(("/", "*/", "http")) else None


def _filled(part: ast.expr, names: dict[str, str]) -> str:
    known = names.get(part.value.id) if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) else None
    return known or "*"
