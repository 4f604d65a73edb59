import pytest
from tiny_training import make_cache


@pytest.fixture(scope="session")
def teach():
    return make_cache(6, seed=0)


@pytest.fixture(scope="session")
def tune():
    return make_cache(3, seed=1)
