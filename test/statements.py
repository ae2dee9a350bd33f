"""The service's own statements, storage/*.sql, as its build reads them."""
import collections
import functools
import importlib.machinery
import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# parameters: how many. several: the form for several items at once, None: there is none.
Statement = collections.namedtuple("Statement", "sql parameters writes several")


def _sqlgen():
    loader = importlib.machinery.SourceFileLoader("sqlgen", str(ROOT / "ci" / "sqlgen"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("sqlgen", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


@functools.lru_cache
def statements():
    """{name: Statement}; sql is the form for one item."""
    made, found = _sqlgen(), {}
    for path in sorted((ROOT / "storage").glob("*.sql")):
        for query in made.queries(path):
            one, several = made.write_forms(path, *query[:3]) if query.form == made.ITEMS else (query.sql, None)
            found[query.name] = Statement(one, query.n, query.writes, several)
    return found
