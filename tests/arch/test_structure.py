# SPDX-License-Identifier: Apache-2.0
"""The tree's shape: folders that one can take in at a glance, no import circles, no dispatch by computed names."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "nova_lite"
SIBLINGS = 15
# One file is one section of nova.conf; to group sections by something else would hide where an option is. Revisions stay for ever.
# One file is one daemon's contract, beside what they are made of.
# One file is one operation.
_MORE_SIBLINGS = {"conductor/workflows": 20, "conf": 21, "db/migrations/versions": 50, "rpc": 16}
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
# Where a contract or a protocol declares the names: the RPC layer turns declared methods into messages and back,
# a subcommand of argparse picks its function.
_COMPUTED_NAMES = {"rpc/interface.py", "conductor/reconcilers/stalled_actions.py", "conductor/workflows/soft_delete.py"}


@pytest.mark.parametrize("folder", FOLDERS, ids=[str(folder.relative_to(ROOT)) for folder in FOLDERS])
def test_a_folder_has_few_modules(folder: Path) -> None:
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= _MORE_SIBLINGS.get(str(folder.relative_to(PACKAGE)), SIBLINGS)


def test_numbers_of_clients_are_read_in_one_place() -> None:
    """`isdecimal` and `isdigit` take the digits of all scripts: `validation.integer` only 0 to 9."""
    reads = re.compile(r"\.is(decimal|digit|numeric)\(")
    found = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / "api").rglob("*.py") if reads.search(path.read_text())}
    assert found == {"api/wsgi/validation.py", "api/wsgi/filters/size_limit.py"}  # the latter of headers, which are Latin-1


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts}


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements, those within functions too; not those for type checkers only, which never run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from _imports(child)


@functools.cache
def imports_of(module: str) -> set[str]:
    """The package's modules that are imported when this one is."""
    found: set[str] = set()
    for node in _imports(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES and name != module}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_a_circle_is_noticed() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_modules_import_each_other() -> None:
    # A package's __init__ that lists its modules is imported by each of them, by Python itself: that is no circle of ours.
    graph = {module: {target for target in imports_of(module) if not module.startswith(f"{target}.")} for module in MODULES}
    assert circles(graph) == []


def test_the_wsgi_layer_knows_no_service_of_the_api() -> None:
    for module in MODULES:
        if module.startswith("nova_lite.api.wsgi."):
            assert not [name for name in imports_of(module)
                        if name.startswith("nova_lite.api.") and not name.startswith("nova_lite.api.wsgi")], module


def computed_calls(tree: ast.AST) -> list[int]:
    """Lines that call what `getattr` finds by a name that is not written there."""
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and isinstance(node.func.func, ast.Name)
            and node.func.func.id == "getattr" and not isinstance(node.func.args[1], ast.Constant)]


def test_a_computed_call_is_noticed() -> None:
    assert computed_calls(ast.parse("getattr(worker, name)(ctxt)\ngetattr(a, 'b')(c)")) == [1]


def test_nothing_is_called_by_a_computed_name() -> None:
    found = {name: lines for module, path in MODULES.items()
             if (name := str(path.relative_to(PACKAGE))) not in _COMPUTED_NAMES
             and "getattr(" in (text := path.read_text()) and (lines := computed_calls(ast.parse(text)))}
    assert found == {}


def test_qemu_img_is_run_in_one_place() -> None:
    """Its parsers read what users and guests have written: worker/qemu_img.py bounds what it may do."""
    users = {path.name for path in MODULES.values() if '["qemu-img"' in path.read_text()}
    assert users == {"qemu_img.py"}


def test_one_module_names_the_user_without_rights() -> None:
    users = {path.name for path in MODULES.values() if '"nobody"' in path.read_text()}
    assert users == {"unprivileged.py"}
