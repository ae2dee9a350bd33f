"""Every way in which a field of a request can be wrong.

A table names each field of a valid body by its path and kind; cases() yields (id, path the answer has to
name, broken body) for every field and every way. Kinds:

    text      string, may be blank          name      string, not blank
    number    whole number from 1           count     whole number, 0 allowed
    flag      true or false                 strings   array of strings
    map       object with string values     object    closed object
    list      array of closed objects       one:a|b   enumeration
    trimmed:a|b   enumeration, blanks around it and its case do not matter
A trailing ! means the member is required, a trailing ? that null is allowed.
"""
import copy
import re

MISSING = object()

_WRONG = {
    "text": [5, True, None, [], {}],
    "name": [5, True, None, [], {}, "", " \t"],
    "number": ["many", 0, -1, 1.5, None, [], {}],
    "count": ["many", -1, 1.5, None, [], {}],
    "flag": ["perhaps", 3, None, [], {}],
    "strings": ["text", 5, {}, None, [5], [None], [["nested"]]],
    "map": ["text", 5, [], None, {"key": 5}, {"key": None}, {"key": {}}],
    "object": ["text", 5, True, []],
    "list": ["text", 5, {}, ["text"], [5], [None]],
    "one": [5, True, None, [], "no-such-value", ""],
    "trimmed": [5, True, None, [], {}, "no-such-value", "", " "],
}


def cases(valid, table):
    for path, declared in table.items():
        kind, required, nullable = declared.rstrip("!?"), "!" in declared, "?" in declared
        values = list(_WRONG[kind.partition(":")[0]])
        if kind.startswith("one:"):
            values.append(kind.partition(":")[2].split("|")[0].upper() + " ")
        if nullable:
            values = [value for value in values if value is not None]
        elif kind in ("object", "list") and required:
            values.append(None)
        for value in values:
            yield f"{path}={value!r}", path, _changed(valid, path, value)
        if required:
            yield f"{path} missing", path, _changed(valid, path, MISSING)
    for path in ["", *[path for path, kind in table.items() if kind.rstrip("!?") in ("object", "list")]]:
        inside = path if not path or table[path].rstrip("!?") == "object" else f"{path}[0]"
        if inside and _reach(valid, inside) is None:
            continue
        member = f"{inside}.surprise" if inside else "surprise"
        yield f"{member} unknown", member, _changed(valid, member, 1)


def with_value(body, path, value):
    return _changed(body, path, value)


def without(body, path):
    return _changed(body, path, MISSING)


def _steps(path):
    return [int(step[1:-1]) if step.startswith("[") else step for step in re.findall(r"\[\d+\]|[^.\[]+", path)]


def _reach(body, path):
    node = body
    for step in _steps(path):
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return None
    return node


def _changed(body, path, value):
    body = copy.deepcopy(body)
    *way, last = _steps(path)
    node = body
    for step in way:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is MISSING:
        node.pop(last, None)
    else:
        node[last] = value
    return body
