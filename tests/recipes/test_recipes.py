# SPDX-License-Identifier: Apache-2.0
"""Each recipe, followed to the letter on a copy of the tree, gives a change that passes its checks and those of the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.recipes import Copy, Recipe, read

PAGES = sorted((ROOT / "docs" / "recipes").glob("add-*.md"))
RECIPES = {page.stem: read(page) for page in PAGES}
PLACES = 5
# What every change passes; the tests of the docs are the recipe's own, where it changes a generated page.
TREE = ("ruff check -q .", "python -m mypy", "python -m pytest -q -x -p no:cacheprovider tests/arch")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which recipe after recipe is followed: they do not stand in each other's way."""
    return Copy(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_five_places_at_most(name: str) -> None:
    assert 0 < RECIPES[name].places <= PLACES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_followed(tree: Copy, name: str) -> None:
    recipe = RECIPES[name]
    assert any(block.word == "check" for block in recipe.blocks), "it says no check"
    tree.follow(recipe)
    tree.check(recipe)


def test_the_tree_with_all_recipes_passes_what_every_change_passes(tree: Copy) -> None:
    tree.run("\n".join(TREE))
    assert RECIPES


def test_a_block_that_no_longer_fits_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('1. Here:\n\n   ```python title="a.py" after="gone"\n   x = 1\n   ```\n')
    copy = Copy(tmp_path / "copy")
    (copy.directory / "a.py").write_text("y = 2\n")
    recipe: Recipe = read(page)
    with pytest.raises(AssertionError, match="has no 'gone'"):
        copy.follow(recipe)
