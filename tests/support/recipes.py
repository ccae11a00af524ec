# SPDX-License-Identifier: Apache-2.0
"""Reads the recipes of docs/recipes and follows them in a copy of the tree.

A numbered item is a place. A fenced block of it says what to write there, by its info string:

    ```python title="nova_lite/db/widgets.py"                       a new file
    ```python title="nova_lite/db/__init__.py" after="RESOURCES = ("  lines after the first line that contains the text
    ```python title="…" before="…"                                  lines before it
    ```python title="…" replace="…"                                 instead of the text itself, where it stands first
    ```python title="…" remove="…"                                  an empty block: the line that contains the text goes
    ```sh run                                                       commands, from the root of the tree
    ```sh check                                                     commands that hold when the recipe was followed
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

_FENCE = re.compile(r'^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?(?: (?P<word>run|check))?'
                    r'(?: (?P<how>after|before|replace|remove)="(?P<text>.+)")?$')
_PLACE = re.compile(r"^\d+\. ")


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: `word` is "run", "check" or empty; `how` is empty for a new file."""

    body: str
    path: str = ""
    word: str = ""
    how: str = ""
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Recipe:
    places: int
    blocks: tuple[Block, ...]


def read(page: Path) -> Recipe:
    """The page's numbered places and its blocks, in their order."""
    lines = iter(page.read_text().splitlines())
    places, blocks = 0, []
    for line in lines:
        places += bool(_PLACE.match(line))
        fence = _FENCE.match(line)
        if fence is None:
            continue
        indent, body = fence["indent"], []
        for inner in lines:
            if inner == f"{indent}```":
                break
            body.append(inner.removeprefix(indent))
        if fence["title"] or fence["word"]:
            blocks.append(Block("".join(f"{text}\n" for text in body), fence["title"] or "", fence["word"] or "", fence["how"] or "", fence["text"] or ""))
    return Recipe(places, tuple(blocks))


class Copy:
    """A copy of the tree, as git would commit it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, directory / name, follow_symlinks=False)
        # What Python has compiled and mypy knows of the tree: each check would do it anew for all files, not only for those that a recipe changes.
        for cache in (ROOT / ".mypy_cache", *(cache for part in ("nova_lite", "tests", "tools") for cache in (ROOT / part).rglob("__pycache__"))):
            if cache.is_dir():
                shutil.copytree(cache, directory / cache.relative_to(ROOT))
        # Tests of the tree read which files there are from git.
        subprocess.run(["git", "init", "-q", "."], cwd=directory, check=True)

    def follow(self, recipe: Recipe) -> None:
        """Do what the recipe says, checks excepted."""
        for block in recipe.blocks:
            if block.word == "run":
                self.run(block.body)
            elif not block.word:
                self.write(block)

    def check(self, recipe: Recipe) -> None:
        """:raises AssertionError: a check does not hold, with what it printed."""
        for block in recipe.blocks:
            if block.word == "check":
                self.run(block.body)

    def write(self, block: Block) -> None:
        path = self.directory / block.path
        if not block.how:
            assert not path.exists(), f"{block.path} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body)
            return
        text = path.read_text()
        assert block.text in text, f"{block.path} has no {block.text!r}"
        if block.how == "replace":
            path.write_text(text.replace(block.text, block.body.removesuffix("\n"), 1))
            return
        lines = text.splitlines(keepends=True)
        at = next(number for number, line in enumerate(lines) if block.text in line)
        if block.how == "remove":
            del lines[at]
        else:
            lines.insert(at + (block.how == "after"), block.body)
        path.write_text("".join(lines))

    def run(self, commands: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(self.directory), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for command in commands.splitlines():
            ended = subprocess.run(command, cwd=self.directory, env=environment, shell=True, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, f"{command}\n{ended.stdout[-6000:]}\n{ended.stderr[-3000:]}"
