import pytest
from tiny_training import assert_same_variables, make_cache

from inspection_tf.training import checkpoints


@pytest.fixture(scope="session")
def teach():
    return make_cache(6, seed=0)


@pytest.fixture(scope="session")
def tune():
    return make_cache(3, seed=1)


@pytest.fixture(scope="session")
def weights():
    return lambda model: checkpoints.capture(model, optimizer=False)


@pytest.fixture(scope="session")
def assert_same():
    return assert_same_variables
