"""Stations that end with the test."""

import types

import pytest

from inspection_tf import service
from inspection_tf.service.models import Place, Served


@pytest.fixture
def stationed():
    """Make stations of one model, which end with the test."""
    found = []

    def make(inspector, **spec):
        served = Served("toy", "1", None, inspector, Place("toy", None))
        models = types.SimpleNamespace(all=lambda: {"toy": served})
        found.append((service.Station(models, service.ServiceSpec(**spec)), inspector))
        return found[-1][0]

    yield make
    for station, inspector in found:
        inspector.may_go.set()
        station.close()
