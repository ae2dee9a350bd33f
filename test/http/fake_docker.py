#!/usr/bin/python3
"""Stands in for docker while a generated script really runs: answers from a directory, notes each call.

FAKE_DOCKER names the directory: world.json holds the containers, calls.jsonl gets the calls. Parts of a pipe and the guard run
side by side: each call has the directory for itself, and world.json is replaced in one step, whoever reads it meanwhile.
"""
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys

HOME = pathlib.Path(os.environ["FAKE_DOCKER"])


def main():
    arguments = sys.argv[1:]
    if arguments[:2] == ["exec", "--interactive"]:
        sys.stdin.read()                              # before its turn: who writes to it may still wait for its own
        arguments.pop(1)
    with open(HOME / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return answer(arguments)


def answer(arguments):
    world = json.loads((HOME / "world.json").read_text())
    before = json.dumps(world)
    if world.get("fails_at", "no command") in " ".join(arguments):
        note(arguments)
        return 1
    note(arguments)
    code = {"ps": ps, "inspect": inspect, "start": start, "stop": stop, "exec": run, "top": top}[arguments[0]](world, arguments[1:])
    if json.dumps(world) != before:
        (HOME / "world.json.new").write_text(json.dumps(world))
        os.replace(HOME / "world.json.new", HOME / "world.json")
    if world.get("kill_at", "no command") in " ".join(arguments):
        os.kill(os.getppid(), getattr(signal, world.get("signal", "SIGKILL")))
    return code


def note(arguments):
    with open(HOME / "calls.jsonl", "a", encoding="utf-8") as calls:
        calls.write(json.dumps(arguments) + "\n")


def ps(world, arguments):
    wanted = dict(item.split("=", 1)[1].split("=", 1) for item in arguments if item.startswith("label="))
    if wanted["com.docker.compose.project"] == world["project"]:
        if wanted["com.docker.compose.service"] in world["services"]:
            print(wanted["com.docker.compose.service"] + "-id")
    return 0


def service_of(world, arguments):
    return world["services"][arguments[-1].removesuffix("-id")]


def inspect(world, arguments):
    print("true" if service_of(world, arguments)["running"] else "false")
    return 0


def top(world, arguments):
    print("UID PID CMD")
    print(world.get("process", "root 1 tail -f /dev/null"))
    return 0


def start(world, arguments):
    if world.get("start_fails"):
        return 1
    service_of(world, arguments)["running"] = True
    return 0


def stop(world, arguments):
    service_of(world, arguments)["running"] = False
    return 0


def run(world, arguments):
    """exec [--user U] [--env K=V]... CONTAINER COMMAND..."""
    env, as_root = {}, False
    while arguments[0].startswith("--"):
        option, value, *arguments = arguments
        as_root |= (option, value) == ("--user", "root")
        if option == "--env":
            name, _, text = value.partition("=")
            env[name] = text
    service = world["services"][arguments[0].removesuffix("-id")]
    command = arguments[1:]
    if not service["running"]:
        print("container is not running", file=sys.stderr)
        return 1
    if as_root:
        return rooted(world, command)
    if "pg_dump" in " ".join(command):
        world["web_ran_during_dump"] = world["services"]["web"]["running"]
        print("a dump")
        return world.get("dump_exit", 0)
    if command[0] == "python3":
        return workflow(world, env)
    if "psql" in " ".join(command):
        print(world.get("shop_key", ""))
        return 0
    return subprocess.run(command, env={"PATH": os.environ["PATH"], **service["env"], **env}, check=False).returncode


def rooted(world, command):
    """What root does in script-runner: nothing is really done, but a size is asked for."""
    if command[0] == "stat":
        print("7")
    return 1 if command[:2] == ["test", world.get("test_fails", "")] else 0


def workflow(world, env):
    world["workflow_env"] = env
    world["web_ran_during_workflow"] = world["services"]["web"]["running"]
    print("odoo_instance_overrides_payload_present=true")
    return world.get("workflow_exit", 0)


if __name__ == "__main__":
    sys.exit(main())
