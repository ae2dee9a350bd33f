"""The two readers between a stored env text and a container: Dokploy's own and docker compose's."""
import re

_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)$", re.S)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\}|([A-Za-z_]\w*))")


class MissingVariable(Exception):
    pass


def parse(text):
    """Dotenv rules: the later duplicate wins, quotes around a value go, ' #' starts a comment."""
    values = {}
    for line in _logical_lines(text or ""):
        match = _NAME.match(line)
        if match:
            values[match.group(1)] = _value(match.group(2).strip())
    return values


def as_compose_reads_it(values, generation):
    """0.29 writes .env without quotes, so docker compose expands and unquotes once more."""
    if generation != "0.29":
        return dict(values)
    seen = {}
    for line in "\n".join(f"{name}={value}" for name, value in values.items()).split("\n"):
        match = _NAME.match(line)
        if match:
            seen[match.group(1)] = interpolate(_value(match.group(2).strip()), seen)
    return seen


def interpolate(text, values):
    """Docker compose's ${NAME}, ${NAME:-default}, ${NAME:?needed}, ${NAME:+other} and $$."""
    return _VARIABLE.sub(lambda match: _expand(match, values), text)


def _expand(match, values):
    if match.group(0) == "$$":
        return "$"
    name = match.group(1) or match.group(4)
    operator, argument = match.group(2) or "", match.group(3) or ""
    value = values.get(name)
    present = value is not None and (value != "" or not operator.startswith(":"))
    kind = operator[-1:]
    if kind == "-":
        return value if present else interpolate(argument, values)
    if kind == "+":
        return interpolate(argument, values) if present else ""
    if kind == "?" and not present:
        raise MissingVariable(f"required variable {name} is missing a value: {argument}")
    return value or ""


def _logical_lines(text):
    """Lines, with a quoted value that spans several of them kept in one piece."""
    lines, pending, quote = [], None, ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if pending is not None:
            pending += "\n" + line
            if pending.rstrip().endswith(quote):
                lines.append(pending)
                pending = None
            continue
        match = _NAME.match(line)
        value = match.group(2).strip() if match else ""
        quote = value[:1]
        if quote in ("'", '"') and quote not in value[1:]:
            pending = line
        else:
            lines.append(line)
    return lines + ([pending] if pending is not None else [])


def _value(raw):
    if raw[:1] in ("'", '"', "`"):
        end = raw.find(raw[0], 1)
        if end > 0:
            inner = raw[1:end]
            return inner.replace("\\n", "\n") if raw[0] == '"' else inner
    return raw.split(" #", 1)[0].rstrip()
