"""The committed reference pages are what the program prints, and every route can be reached from the command line."""
import pathlib
import re

import pytest

from cli import bare

REFERENCE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = ("routes", "settings", "commands", "operation-kinds", "error-codes", "records")

# For browsers; followed by polling (server/cli/watch.c); for machines that restart what hangs.
WITHOUT_COMMAND = {"GET /auth/github/login", "GET /auth/github/callback", "GET /v1/operations/{operation_id}/events", "GET /livez"}


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_page_is_current(page):
    printed = bare("docs", "print", page)
    assert printed.code == 0, printed
    assert (REFERENCE / f"{page}.md").read_text() == printed.out, f"docs/reference/{page}.md is stale: run ci/run docs"


def test_no_page_is_left_over():
    assert {path.stem for path in REFERENCE.glob("*.md")} == set(PAGES)


def test_every_route_has_a_command_and_no_command_a_route_that_is_not_there():
    routes = set(re.findall(r"^## ((?:GET|POST) \S+)$", bare("docs", "print", "routes").out, re.M))
    sent = set(re.findall(r"^Sends `([A-Z]+ \S+)`", bare("docs", "print", "commands").out, re.M))
    assert sent <= routes
    assert routes - sent == WITHOUT_COMMAND
