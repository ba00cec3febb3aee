"""Names of models and of their exports, before anything is loaded."""

import json

import pytest

from recipe.errors import RecipeError
from recipe.inference.exports import KEY, list_exports
from recipe.inference.loading import name_model


def test_an_export_is_not_told_to_be_exported(tmp_path):
    made = list_exports()[0]
    (tmp_path / "config.json").write_text(json.dumps({KEY: vars(made)}))
    with pytest.raises(RecipeError, match=f"^{tmp_path}: is an export already: leave out the export {made.name}$"):
        name_model(tmp_path, made.name)
