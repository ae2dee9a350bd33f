"""Doubles of the providers Launchplane talks to; see rehearsal.Rehearsal and run.py."""
from .rehearsal import Rehearsal

__all__ = ["Rehearsal"]
