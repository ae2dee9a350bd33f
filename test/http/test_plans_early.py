"""Plans that were made before there was anything to know: the service prepares its statements on an empty database and keeps their
generic plans. They have to be right for the table that grows afterwards.
"""
import re

import psycopg
import pytest

from statements import statements

OF_ONE_OPERATION = ("operation_heartbeat", "operation_checkpoint", "operation_finish", "operation_checkpoint, several",
                    "operation_finish, several")


# {name: (sql, number of parameters)} of every statement, in the form for one item and in that for several.
SENT = {name: (s.sql, s.parameters) for name, s in statements().items()}
SENT |= {f"{name}, several": (s.several, s.parameters) for name, s in statements().items() if s.several}


@pytest.fixture(scope="module")
def empty(cluster, template):
    name = cluster.create(template)
    with psycopg.connect(cluster.url(name), autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        yield connection
    cluster.drop(name)


def plan_of(connection, name):
    sql, n = SENT[name]
    connection.execute("DEALLOCATE PREPARE ALL")
    connection.execute(f"PREPARE judged AS {sql}".encode())
    arguments = f"({', '.join(['NULL'] * n)})" if n else ""
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN (VERBOSE) EXECUTE judged{arguments}".encode()).fetchall())


@pytest.mark.parametrize("name", OF_ONE_OPERATION)
def test_an_operations_row_is_found_by_its_key(empty, name):
    """P4, P6. The index of unfinished operations has the id behind the time: it would be read as a whole, sleepers and all."""
    plan = plan_of(empty, name)
    assert "Index Scan using launchplane_operations_pkey" in plan, plan
    assert "due_idx" not in plan, plan


def test_a_claim_goes_to_its_rows_by_place(empty):
    plan = plan_of(empty, "operation_claim")
    assert "Index Scan using launchplane_operations_due_idx" in plan and "Tid Scan on public.launchplane_operations o" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_times_are_composed_within_the_statement(empty):
    """A function that cannot be put there is planned anew by each statement, at each place that calls it."""
    called = []
    for name, (sql, _) in SENT.items():
        composes = re.search(r"launchplane_(utc|operation_document)\(", sql)
        if composes and re.search(r"\blaunchplane_(utc|operation_document)\(", plan_of(empty, name)):
            called.append(name)
    assert called == []
