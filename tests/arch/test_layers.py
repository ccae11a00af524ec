# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, how large a file may be, and who may write a server's state: rules that are tests."""

from __future__ import annotations

import ast
import dataclasses
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "nova_lite"
FILES = sorted(path for path in ROOT.rglob("*.py") if "versions" not in path.parts or "db" not in path.parts)
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
LINES, FUNCTION_LINES = 400, 60

# Folder or file → what of nova_lite it may import. Shared parts never import a service; services never each other.
SHARED = {"hardware", "values", "errors", "context", "conf", "lifecycle", "rpc", "runtime"}
WORKER = SHARED | {"worker"}
CONTROL = SHARED | {"db", "payloads", "notifications"}
MAY_IMPORT = {
    "errors": set(), "values": {"values", "errors"}, "context": set(), "conf": {"conf"}, "lifecycle": {"errors"}, "hardware": {"hardware", "errors", "values"},
    "runtime": {"runtime", "errors", "context", "values"},
    "rpc": {"rpc", "errors", "context", "runtime", "values"},
    "db": {"db", "errors", "lifecycle", "conf", "values"},
    "payloads": {"payloads", "values", "db", "rpc", "errors", "hardware", "lifecycle"},
    "notifications": {"notifications", "db", "lifecycle", "values"},
    "api": CONTROL | {"api"}, "conductor": CONTROL | {"conductor"}, "scheduler": CONTROL | {"scheduler"},
    "console": {"console", "conf", "db", "errors"},
    "worker": SHARED | {"worker"},
    "compute": WORKER | {"compute"}, "network": WORKER | {"network"}, "volume": WORKER | {"volume"},
}


def top(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@dataclasses.dataclass
class Source:
    """What the rules read of a file. `imports`: what it imports of nova_lite, without the package's own name; `modules`: all
    that its import statements name; `assigned`: attributes that it assigns.
    """

    text: str
    docstring: str | None
    imports: set[str] = dataclasses.field(default_factory=set)
    modules: set[str] = dataclasses.field(default_factory=set)
    assigned: set[str] = dataclasses.field(default_factory=set)
    long_functions: list[str] = dataclasses.field(default_factory=list)


@functools.cache
def source(path: Path) -> Source:
    """Read once: to parse and walk all files takes seconds."""
    text = path.read_text()
    tree = ast.parse(text)
    found = Source(text, ast.get_docstring(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.modules.add(node.module or "")
            if node.module and node.module.split(".")[0] == "nova_lite":
                rest = node.module.split(".")[1:]
                found.imports |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found.modules |= {alias.name for alias in node.names}
            found.imports |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("nova_lite.")}
        elif isinstance(node, ast.Assign):
            found.assigned |= {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES:
            found.long_functions.append(node.name)
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = top(path)
    if layer in ("cmd", "__init__"):
        return
    assert source(path).imports <= MAY_IMPORT[layer], f"{path} crosses its layer"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_module_is_within_its_budget_and_says_why_it_exists(path: Path) -> None:
    text = source(path).text
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    if path.name != "__init__.py" or len(text.splitlines()) > 1:
        assert source(path).docstring, "no docstring"
    assert len(text.splitlines()) <= LINES
    assert source(path).long_functions == []


def test_hands_have_no_database() -> None:
    for path in FILES:
        if top(path) in ("worker", "compute", "network", "volume"):
            assert "sqlalchemy" not in source(path).text, f"{path} reaches for a database"


def test_only_db_servers_assigns_a_servers_state() -> None:
    for path in FILES:
        if path == ROOT / "db" / "compute" / "servers.py":
            continue
        assert not source(path).assigned & {"vm_state", "task_state"}, path


def test_values_import_the_standard_library_alone() -> None:
    for path in FILES:
        if top(path) != "values":
            continue
        assert {name.split(".")[0] for name in source(path).modules} <= {*sys.stdlib_module_names, "nova_lite"}, path


def test_rows_are_locked_by_the_helper_that_reads_them_anew() -> None:
    for path in FILES:
        if top(path) == "db" and path != ROOT / "db" / "base.py":
            assert "with_for_update" not in source(path).text, f"{path}: use db.base.for_update"


def test_only_concurrency_imports_eventlet() -> None:
    for path in FILES:
        if path.name == "concurrency.py":
            continue
        assert not [name for name in source(path).modules if name.split(".")[0] == "eventlet"], path


def test_no_subprocess_is_given_a_shell() -> None:
    for path in FILES:
        assert "shell=True" not in source(path).text, path
        assert "os.system(" not in source(path).text, path
