#!/usr/bin/python3
"""Runs the doubles in the foreground; prints one JSON line with their addresses, ends on Ctrl-C."""
import argparse
import asyncio
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from double import Rehearsal  # noqa: E402


def main():
    options = _options()
    rehearsal = Rehearsal(options.clock_file, options.generation, options.token, options.audience)
    rehearsal.dokploy.queue_seconds = options.queue_seconds
    rehearsal.dokploy.deploy_seconds = options.deploy_seconds
    asyncio.run(_serve(rehearsal, options.port))


def _options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the Dokploy double; default: a free one")
    parser.add_argument("--token", help="the x-api-key to accept; default: a random one")
    parser.add_argument("--generation", choices=("0.29", "0.30"), default="0.30")
    parser.add_argument("--audience", default="launchplane.test")
    parser.add_argument("--clock-file", help="eight bytes: int64 milliseconds to add to wall time")
    parser.add_argument("--queue-seconds", type=float, default=1.0)
    parser.add_argument("--deploy-seconds", type=float, default=3.0)
    return parser.parse_args()


async def _serve(rehearsal, port):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await rehearsal.open(port)
    print(json.dumps(rehearsal.addresses()), flush=True)
    await stop.wait()
    await rehearsal.close()


if __name__ == "__main__":
    main()
