"""Puts test/ on the path, so that tests import double, rehearsal and the helpers by their short names."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
