# SPDX-License-Identifier: Apache-2.0
"""Rules for tests: each asserts, none sleeps or measures time but those that are marked as tests of time itself."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from tests.support.paths import ROOT


@functools.cache
def parsed() -> dict[str, ast.Module]:
    """All files of the tests; parsed only by the process that runs these tests."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted((ROOT / "tests").rglob("*.py"))}


Function = ast.FunctionDef | ast.AsyncFunctionDef
# Where a sleep is what is meant.
_SLEEPS = {
    "tests/support/wait.py": "the one waiter",
    "tests/unit/cmd/test_daemon.py": "text of a program that is to be interrupted",
    "tests/system/install/test_services.py": "RabbitMQ 3.10 loses quorum queues younger than a second; a program that idles",
    "tests/system/cluster/test_daemons.py": "a kill at several moments after a fork",
}


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _asserts(function: Function) -> bool:
    return any(isinstance(node, ast.Assert | ast.Raise) or (isinstance(node, ast.Attribute) and node.attr == "raises")
               for node in ast.walk(function))


def _calls(function: Function) -> set[str]:
    called = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {func.id if isinstance(func, ast.Name) else func.attr for func in called if isinstance(func, ast.Name | ast.Attribute)}


def silent_tests(trees: dict[str, ast.Module]) -> list[str]:
    """Tests that assert nothing, neither themselves nor by a function of the tests that they call."""
    every = [(name, function) for name, tree in trees.items() for function in functions(tree)]
    asserting = {function.name for _, function in every if _asserts(function)}
    silent = [(name, function.name, _calls(function)) for name, function in every if not _asserts(function)]
    while more := {function for _, function, calls in silent if function not in asserting and calls & asserting}:
        asserting |= more
    return [f"{name}: {function}" for name, function, calls in silent if function.startswith("test_") and not calls & asserting]


def sleeps(tree: ast.AST) -> list[int]:
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"]


def timed_asserts(function: Function) -> list[int]:
    """Lines that assert how long something took."""
    return [node.lineno for node in ast.walk(function) if isinstance(node, ast.Assert) and "monotonic" in ast.unparse(node)]


def is_marked(function: Function) -> bool:
    return any("mark.timed" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_a_test_that_asserts_nothing_is_noticed() -> None:
    tree = ast.parse("def test_a():\n    run()\n\ndef test_b():\n    check()\n\ndef check():\n    assert True\n")
    assert silent_tests({"x.py": tree}) == ["x.py: test_a"]


def test_every_test_asserts() -> None:
    assert silent_tests(parsed()) == []


def test_no_test_sleeps() -> None:
    found = {name: lines for name, tree in parsed().items() if name not in _SLEEPS and (lines := sleeps(tree))}
    assert found == {}, "use tests/support/wait.py"


def test_every_exception_for_a_sleep_is_needed() -> None:
    assert [name for name in _SLEEPS if not Path(ROOT / name).exists() or "sleep(" not in (ROOT / name).read_text()] == []


def test_only_tests_of_time_itself_assert_how_long_something_took() -> None:
    found = {f"{name}: {function.name}": lines for name, tree in parsed().items() for function in functions(tree)
             if function.name.startswith("test_") and not is_marked(function) and (lines := timed_asserts(function))}
    assert found == {}, "assert what happened, or mark a test of a deadline with pytest.mark.timed"
