"""Dokploy's procedures by name. Each takes (dokploy, members, lies) and returns the answer's body."""

TABLE = {}


def procedure(name):
    def register(function):
        TABLE[name] = function
        return function
    return register


from . import containers, domains, mounts, schedules, services, structure  # noqa: E402,F401
