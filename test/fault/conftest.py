"""Fixtures of the fault tests: those of the scenarios, and a PostgreSQL of each test's own that may be broken."""
import importlib.util
import pathlib
import sys

import pytest

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "http"
sys.path.insert(0, str(SCENARIOS))

_spec = importlib.util.spec_from_file_location("scenario_fixtures", SCENARIOS / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
pytest_configure = _fixtures.pytest_configure
globals().update({name: value for name, value in vars(_fixtures).items() if hasattr(value, "_pytestfixturefunction")})

from postgres import Cluster  # noqa: E402  (found through the path above)


@pytest.fixture
def cluster(request):
    """A cluster of this test's own. Marked @pytest.mark.postgres(name="value"): with these settings."""
    marker = request.node.get_closest_marker("postgres")
    made = Cluster(**(marker.kwargs if marker else {}))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def template(cluster):
    return _fixtures.migrated(cluster)
