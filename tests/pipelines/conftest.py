"""A run of the recipe of fields, made once."""

import pytest
from field_recipe import toy


@pytest.fixture(scope="session")
def field_run(tmp_path_factory):
    """Return the run folder at toy size and its report."""
    from pipelines import certificate_corners

    out = tmp_path_factory.mktemp("recipe") / "run"
    return out, certificate_corners.run(toy(), out)
