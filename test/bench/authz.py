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


def openssl_us():
    """Microseconds of one RSA-2048 verification, as OpenSSL measures itself."""
    out = subprocess.run(["openssl", "speed", "-seconds", "2", "rsa2048"], capture_output=True, text=True, check=True).stdout
    return 1e6 / float(re.search(r"rsa 2048 bits.*\s([\d.]+)\s*$", out, re.M).group(1))


def main():
    subprocess.run(["ninja", "-C", ROOT / "build", "test/bench/bench-authz"], check=True, stdout=subprocess.DEVNULL)
    out = subprocess.run([ROOT / "build" / "test" / "bench" / "bench-authz"], capture_output=True, text=True, check=True).stdout
    figures = {row["what"]: row for row in map(json.loads, out.splitlines())}
    for row in figures.values():
        print(f"{row['us']:9.2f} us  ({row['least']:.2f} to {row['most']:.2f})  {row['what']}")
    limit = openssl_us()
    print(f"{limit:9.2f} us  openssl speed rsa2048, verify")
    first, again = (figures[f"a token seen {when}"]["us"] for when in ("for the first time", "before"))
    print(f"\nRS256 / openssl speed: {figures['RS256 of a token']['us'] / limit:.2f}; a token seen before is {first / again:.1f} times as fast")
    late = [row["what"] for row in figures.values() if re.search("allowed|denied", row["what"]) and row["us"] > GOAL_US]
    print(f"decisions of 10,000 rules beyond {GOAL_US:.0f} us: {', '.join(late) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
