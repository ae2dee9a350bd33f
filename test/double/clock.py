"""The time all doubles live in: wall time plus an offset that a test moves.

The offset is a little-endian int64 of milliseconds in an eight byte file. The service under test maps
the same file, so one call to advance() moves both sides together.
"""
import asyncio
import datetime
import mmap
import os
import struct
import threading
import time

_OFFSET = struct.Struct("<q")
_LOOK_AGAIN = 0.01


class Clock:
    def __init__(self, path=None):
        self.path = str(path) if path else None
        self._lock = threading.Lock()
        self._cell = _map_file(self.path) if self.path else bytearray(_OFFSET.size)

    def offset_ms(self):
        return _OFFSET.unpack_from(self._cell)[0]

    def now(self):
        """Seconds since the epoch."""
        return time.time() + self.offset_ms() / 1000

    def iso(self):
        """Now, the way JavaScript prints it: UTC with milliseconds."""
        return iso_ms(self.now())

    def advance(self, seconds):
        with self._lock:
            _OFFSET.pack_into(self._cell, 0, self.offset_ms() + round(seconds * 1000))

    async def sleep(self, seconds):
        """Sleeps on this clock: an advance() in the middle shortens the wait."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            await asyncio.sleep(min(left, _LOOK_AGAIN))


def iso_ms(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _map_file(path):
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(handle).st_size < _OFFSET.size:
            os.ftruncate(handle, _OFFSET.size)
        return mmap.mmap(handle, _OFFSET.size)
    finally:
        os.close(handle)
