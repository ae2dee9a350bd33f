#!/usr/bin/python3
"""What a decision costs: 10,000 rules, RS256 beside `openssl speed`, and a token seen before beside a new one.

    test/bench/authz.py            builds build/test/bench/bench-authz and runs it, a few seconds
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOAL_US = 50.0
SIGNATURE, FIRST, AGAIN = "RS256 of a token", "a token seen for the first time", "a token seen before"
LOOK_UP = "a hash look-up among 10,000 names"


def openssl_us():
    """Microseconds of one RSA-2048 verification, as OpenSSL measures itself."""
    out = subprocess.run(["openssl", "speed", "-seconds", "2", "rsa2048"], capture_output=True, text=True, check=True).stdout
    return 1e6 / float(re.search(r"rsa 2048 bits.*\s([\d.]+)\s*$", out, re.M).group(1))


def figures():
    """{what: {"us", "least", "most"}} of one run."""
    subprocess.run(["ninja", "-C", ROOT / "build", "test/bench/bench-authz"], check=True, stdout=subprocess.DEVNULL)
    out = subprocess.run([ROOT / "build" / "test" / "bench" / "bench-authz"], capture_output=True, text=True, check=True).stdout
    return {row["what"]: row for row in map(json.loads, out.splitlines())}


def shapes(of):
    """The decisions among the figures."""
    return [what for what in of if re.search("allowed|denied", what)]


def main():
    found = figures()
    for row in found.values():
        print(f"{row['us']:9.2f} us  ({row['least']:.2f} to {row['most']:.2f})  {row['what']}")
    limit = openssl_us()
    print(f"{limit:9.2f} us  openssl speed rsa2048, verify")
    first, again = found[FIRST]["us"], found[AGAIN]["us"]
    print(f"\nRS256 / openssl speed: {limit / found[SIGNATURE]['us']:.2f}; a token seen before is {first / again:.1f} times as fast")
    late = [what for what in shapes(found) if found[what]["us"] > GOAL_US]
    print(f"decisions of 10,000 rules beyond {GOAL_US:.0f} us: {', '.join(late) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
