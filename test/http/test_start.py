"""How the service starts, and when it refuses: one line that says what to do. SVC-13 to SVC-22, MIG."""
import base64
import contextlib
import socket
import subprocess
import threading

import pytest

from conftest import short_directory
from plane import Plane
from rehearsal import policy as policies
from rehearsal.service import BINARY, Service, run_to_end
from rehearsal.waiting import wait_until


@pytest.fixture
def settings(doubles, database, state_dir):
    return dict(Plane(database, doubles, policies.for_lanes(), state_dir).settings)


def refuses(settings, *words, arguments=("service", "serve"), **changes):
    """It ends by itself, says why in one line that names the setting, and never was ready."""
    changed = {**settings, **changes}
    code, out, err = run_to_end(*arguments, settings=changed)
    assert code not in (0, None)
    assert "ready" not in out
    lines = [line for line in (out + err).splitlines() if all(word.lower() in line.lower() for word in words)]
    assert lines, (words, out, err)
    return out + err


@pytest.mark.parametrize("missing", [
    "LAUNCHPLANE_DATABASE_URL", "LAUNCHPLANE_SERVICE_AUDIENCE", "LAUNCHPLANE_POLICY_TOML"])
def test_a_missing_setting_is_named(settings, missing):
    """SVC-18, SVC-20 to SVC-22, SVC-31"""
    word = "LAUNCHPLANE_POLICY" if "POLICY" in missing else missing
    refuses(settings, word, **{missing: None})


@pytest.mark.parametrize("name, value", [
    ("LAUNCHPLANE_LISTEN", "nonsense"), ("LAUNCHPLANE_LISTEN", "127.0.0.1:99999"), ("LAUNCHPLANE_WORKERS", "many"),
    ("LAUNCHPLANE_WORKERS", "-1"), ("LAUNCHPLANE_LOG_LEVEL", "shouting"), ("LAUNCHPLANE_OIDC_ISSUER", "not a url"),
    ("LAUNCHPLANE_SERVICE_AUDIENCE", "  "),
])
def test_a_bad_setting_is_named(settings, name, value):
    refuses(settings, name, **{name: value})


BAD_POLICIES = [
    "not toml at all [", 'surprise = 1', '[[github_actions]]\nactions = ["x"]', '[[github_actions]]\nrepository = 5',
    '[[github_actions]]\nrepository = "a/b"\nsurprise = 1', "schema_version = 0",
    '[[github_actions]]\nrepository = "a/b"\nactions = "x"', '[[strangers]]\nname = "x"',
    '[[github_humans]]\nroles = ["emperor"]',
]


@pytest.mark.parametrize("text", BAD_POLICIES)
def test_a_bad_policy_is_refused(settings, text):
    """core 3.1"""
    refuses(settings, "policy", LAUNCHPLANE_POLICY_TOML=text)


def test_the_policy_may_come_from_a_file_or_from_base64(settings, tmp_path, doubles, database, state_dir):
    """core 1.1"""
    text = settings["LAUNCHPLANE_POLICY_TOML"]
    path = tmp_path / "policy.toml"
    path.write_text(text)
    for name, value in (("LAUNCHPLANE_POLICY_FILE", str(path)),
                        ("LAUNCHPLANE_POLICY_B64", base64.b64encode(text.encode()).decode())):
        plane = Plane(database, doubles, None, state_dir, **{name: value}).start()
        assert plane.get("/v1/service/runtime").status_code == 200
        plane.check()


def test_an_example_or_missing_policy_file_is_refused(settings, tmp_path):
    """core 1.1"""
    example = tmp_path / "policy.toml.example"
    example.write_text(settings["LAUNCHPLANE_POLICY_TOML"])
    for path in (example, tmp_path / "nowhere.toml"):
        refuses(settings, str(path.name), LAUNCHPLANE_POLICY_TOML=None, LAUNCHPLANE_POLICY_FILE=str(path))


def test_a_database_that_does_not_exist_is_refused(settings, cluster):
    refuses(settings, "database", LAUNCHPLANE_DATABASE_URL=cluster.url("no_such_database"))


def test_a_database_that_is_away_may_be_tried_again(settings, tmp_path):
    """78 would tell systemd that another start does not help."""
    settings["LAUNCHPLANE_DATABASE_URL"] = f"postgresql://launchplane@/d?host={tmp_path}"
    code, _, err = run_to_end("service", "serve", settings=settings)
    assert code == 1 and "PostgreSQL cannot be reached" in err


def message(kind, body):
    return kind + (len(body) + 4).to_bytes(4, "big") + body


# As PostgreSQL sends it to a client that it lets in and is then told to end, in one segment.
LET_IN_AND_ENDED = message(b"R", bytes(4)) + message(b"Z", b"I") + message(
    b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0")


def test_a_connection_that_ends_as_it_begins_is_told_as_any_other():
    """And not by libpq, which would write plain text among the lines of the log"""
    def let_in_and_end():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client:
                    client.recv(65536)
                    client.sendall(LET_IN_AND_ENDED)

    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / ".s.PGSQL.5432"))
        listening.listen()
        threading.Thread(target=let_in_and_end, daemon=True).start()
        code, out, err = run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": f"postgresql://u@/d?host={directory}"})
        listening.shutdown(socket.SHUT_RDWR)
    assert (code, out) == (1, "") and "the connection to the database broke" in err
    assert [line for line in err.splitlines() if not line.startswith("launchplane: ")] == [], err


def test_the_password_of_the_database_is_never_shown(settings, cluster):
    text = refuses(settings, LAUNCHPLANE_DATABASE_URL=f"postgresql://u:hidden-pass@127.0.0.1:1/x?host={cluster.directory}/no")
    assert "hidden-pass" not in text


def test_another_master_key_than_the_secrets_were_written_with_is_refused(plane, lane, settings):
    """Bad input of the operator: wrong key"""
    assert plane.terminate() == 0
    other = base64.urlsafe_b64encode(b"x" * 32).decode()
    refuses(plane.settings, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY", LAUNCHPLANE_MASTER_ENCRYPTION_KEY=other)


def test_a_port_that_is_taken_is_refused(plane, settings):
    refuses(settings, plane.url.rsplit(":", 1)[1], LAUNCHPLANE_LISTEN=plane.url.removeprefix("http://"))


def test_an_empty_database_is_migrated_before_listening(doubles, empty_database, state_dir):
    """MIG-01, MIG-09"""
    plane = Plane(empty_database, doubles, policies.for_lanes(), state_dir).start()
    assert plane.get("/v1/service/runtime").status_code == 200
    assert "launchplane_deployments" in plane.counts()
    plane.check()


def test_sigterm_ends_with_zero(plane):
    assert plane.terminate() == 0


def test_help_needs_nothing():
    code, out, err = run_to_end("--help", settings={})
    assert code == 0
    assert "service serve" in out + err


@pytest.mark.parametrize("arguments", [("nonsense",), ("service",), ("service", "nonsense"), ("service", "serve", "--nonsense")])
def test_an_unknown_command_is_refused(settings, arguments):
    code, out, err = run_to_end(*arguments, settings=settings)
    assert code != 0
    assert out + err


def test_flags_win_over_the_environment(settings):
    refuses(settings, "listen", arguments=("service", "serve", "--listen", "nonsense"))


def test_a_second_start_seeds_nothing(plane, make_plane):
    before = plane.query("SELECT record_id FROM launchplane_authz_policies")
    make_plane()
    assert plane.query("SELECT record_id FROM launchplane_authz_policies") == before


def test_the_service_survives_a_database_that_goes_away_and_comes_back(plane):
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ended = [row["pid"] for row in plane.query(f"SELECT pid, pg_terminate_backend(pid) {others}")]
    assert ended
    wait_until(lambda: not plane.query(f"SELECT 1 {others} AND pid = ANY (%s)", ended), "the connections to be gone", 60)
    answers = []

    def is_back():
        answers.append(plane.get("/v1/inventory/shop/testing").status_code)
        return answers[-5:] == [404] * 5

    wait_until(is_back, "the service to have connections again", 60)
    assert set(answers) <= {404, 503}


def test_the_binary_lists_no_missing_library():
    listed = subprocess.run(["ldd", str(BINARY)], capture_output=True, text=True, check=True)
    assert "not found" not in listed.stdout


def test_an_embedded_postgresql_ends_with_the_service(doubles, state_dir):
    """The end of the server is heard of: nobody waits for the time limit of an orderly stop."""
    state_dir.chmod(0o755)
    log = []
    service = Service("--embedded-postgres", "--state-dir", str(state_dir), settings={
        "LAUNCHPLANE_LISTEN": "127.0.0.1:0", "LAUNCHPLANE_SERVICE_AUDIENCE": doubles.issuer.audience,
        "LAUNCHPLANE_OIDC_ISSUER": doubles.issuer.url, "LAUNCHPLANE_WORKERS": "1", "LAUNCHPLANE_POLICY_TOML": policies.for_lanes(),
        "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="}, keep_log=log)
    service.wait_until_ready(120)
    assert service.terminate(25) == 0, log[-3:]
    assert not (state_dir / "postgres" / "data" / "postmaster.pid").exists()
