"""Puts test/ on the path, so that tests import double, rehearsal and the helpers by their short names."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# The doubles and the service are on this machine: no proxy of the environment is asked for them.
for _name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
    del os.environ[_name]
