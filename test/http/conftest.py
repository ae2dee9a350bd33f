"""Fixtures of the black-box tests: a PostgreSQL per worker, doubles and a service per test.

A test that wants other settings or another policy marks itself:
    @pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
    @pytest.mark.policy(render(github_actions=[...]))
    @pytest.mark.generation("0.29")
"""
import contextlib
import pathlib
import shutil
import tempfile

import pytest

from double import Rehearsal
from plane import Plane
from postgres import Cluster
from preview import Previews
from rehearsal import policy as policies
from rehearsal.lane import Lane
from rehearsal.service import run_to_end


def pytest_configure(config):
    config.addinivalue_line("markers", "settings(**environment): environment variables of the service")
    config.addinivalue_line("markers", "policy(text): the bootstrap policy of the service")
    config.addinivalue_line("markers", "generation(name): of the Dokploy double, 0.29 or 0.30")
    config.addinivalue_line("markers", "postgres(**settings): of the cluster that a fault test has for itself")
    config.addinivalue_line("markers", "defects_expected: the client is meant to be refused by the provider")


@pytest.fixture(scope="session")
def cluster():
    made = Cluster()
    try:
        yield made.start()
    finally:
        made.stop()


def migrated(cluster):
    """A database that `launchplane storage migrate` has brought up to date."""
    name = cluster.create()
    code, out, err = run_to_end(
        "storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": cluster.url(name)})
    assert code == 0, f"storage migrate: {out}{err}"
    return name


@pytest.fixture(scope="session")
def template(cluster):
    return migrated(cluster)


@pytest.fixture
def empty_database(cluster):
    name = cluster.create()
    yield cluster.url(name)
    cluster.drop(name)


@contextlib.contextmanager
def database_from(cluster, template):
    name = cluster.create(template)
    try:
        yield cluster.url(name)
    finally:
        cluster.drop(name)


@contextlib.contextmanager
def short_directory():
    """Short, because it may hold a unix socket."""
    path = tempfile.mkdtemp(prefix="lps", dir="/tmp")
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def database(cluster, template):
    with database_from(cluster, template) as url:
        yield url


@pytest.fixture
def state_dir():
    with short_directory() as path:
        yield path


@pytest.fixture
def doubles(request, tmp_path):
    """Dokploy, issuer and Odoo doubles on the test's clock."""
    marker = request.node.get_closest_marker("generation")
    generation = marker.args[0] if marker else "0.30"
    with Rehearsal(tmp_path / "clock", generation) as made:
        yield made
        if request.node.get_closest_marker("defects_expected") is None:
            assert made.dokploy.defects == [] and made.github.defects == []


@pytest.fixture
def provider(doubles):
    return doubles.dokploy


@pytest.fixture
def issuer(doubles):
    return doubles.issuer


@pytest.fixture
def odoo(doubles):
    return doubles.odoo


@pytest.fixture
def make_plane(request, doubles, database, state_dir):
    """make_plane(policy=None, **settings) starts one more service on the test's database."""
    started = []

    def make(policy=None, **settings):
        plane = Plane(database, doubles, policy or policies.for_lanes(), state_dir, **settings)
        started.append(plane)
        return plane.start()

    yield make
    for plane in started:
        plane.check()


@pytest.fixture
def plane(request, make_plane):
    policy = request.node.get_closest_marker("policy")
    settings = request.node.get_closest_marker("settings")
    return make_plane(policy.args[0] if policy else None, **(settings.kwargs if settings else {}))


@pytest.fixture
def unprepared_lane(doubles, plane):
    """A lane that exists in Dokploy but not yet in Launchplane."""
    made = Lane(doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    return made


@pytest.fixture
def lane(unprepared_lane, plane):
    """A lane with all records that the main job needs."""
    return unprepared_lane.prepare(plane)


@pytest.fixture
def previews(plane, lane):
    """Previews of the lane's product, each a compose service of its own."""
    return Previews(plane, lane).prepare()


@pytest.fixture
def staged(plane, lane):
    """Previews that borrow the lane's own compose service."""
    return Previews(plane, lane, staged=True).prepare()


@contextlib.contextmanager
def module_plane(cluster, template, policy, settings_for=None, **settings):
    """A service for a whole module, checked at its end like any other. settings_for(doubles): settings that name them."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        made = stack.enter_context(Rehearsal(directory / "clock"))
        url = stack.enter_context(database_from(cluster, template))
        settings |= settings_for(made) if settings_for else {}
        plane = Plane(url, made, policy, directory, **settings).start()
        stack.callback(plane.check)
        yield plane


def prepared_lane(plane):
    """A lane in Dokploy with all its records."""
    lane = Lane(plane.doubles)
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    return lane


@pytest.fixture(scope="module")
def shared_lane(cluster, template):
    """A service and a prepared lane for a whole module of requests that leave no trace.

    Only for tests that are refused or only read; nobody may move the clock or write here.
    """
    with module_plane(cluster, template, policies.for_lanes()) as plane:
        lane = prepared_lane(plane)
        lane.plane = plane
        yield lane


@pytest.fixture
def shared_plane(shared_lane):
    return shared_lane.plane
