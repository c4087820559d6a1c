"""Recipes in `images/`: what goes into a guest's root or a builder's."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lab.errors import RequestError

# The project's own folder of recipes, beside the library.
RECIPES = Path(__file__).resolve().parents[2] / "images"


class Recipe(BaseModel):
    """A recipe as its TOML file has it. `packages` by reason; an empty `suite` is for the user of the recipe to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = ""
    packages: dict[str, tuple[str, ...]]

    def package_names(self) -> tuple[str, ...]:
        return tuple(sorted({name for group in self.packages.values() for name in group}))


def read_recipe(path: Path) -> Recipe:
    """The recipe in that file; RequestError says what is wrong with it."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise RequestError(f"recipe {path} cannot be read: {error}", hint="correct the file") from error
