"""Waiting for a condition with a deadline, the only kind of waiting there is."""
import threading
import time

_LOOK_AGAIN = 0.02


def wait_until(condition, what, seconds=60.0):
    """Returns the first true value of condition(); fails with what was waited for."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s still waiting for {what}")
        pause.wait(_LOOK_AGAIN)
