"""All doubles together, on one event loop: in a thread of the test, or in the foreground of run.py."""
import asyncio
import concurrent.futures
import secrets
import threading

from aiohttp import web

from . import control
from .clock import Clock
from .dokploy import Dokploy
from .github import Github
from .issuer import AUDIENCE, Issuer
from .odoo import Odoo


class Rehearsal:
    def __init__(self, clock_file=None, generation="0.30", token=None, audience=AUDIENCE, seed=None):
        self.clock = Clock(clock_file)
        self.token = token or f"dokploy-key-{secrets.token_hex(16)}"
        self.dokploy = Dokploy(self.clock, self.token, generation, seed)
        self.issuer = Issuer(self.clock, audience)
        self.odoo = Odoo(self.clock, self.dokploy)
        self.github = Github(self.clock)
        self._loop = None
        self._thread = None
        self._runners = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Serves from a background thread until stop()."""
        ready = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, args=(ready,), name="doubles", daemon=True)
        self._thread.start()
        ready.result(timeout=30)
        return self

    def stop(self):
        if self._thread is None:
            return
        self._let_go()
        asyncio.run_coroutine_threadsafe(self.close(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._thread = None

    def call(self, function):
        """Runs function on the loop's thread and returns its result."""
        if self._thread is None or threading.current_thread() is self._thread:
            return function()

        async def on_loop():
            return function()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(timeout=30)

    async def open(self, port=0):
        """Binds the endpoints; dokploy takes the given port."""
        self._loop = asyncio.get_running_loop()
        self.dokploy.call = self.call
        dokploy = self.dokploy.application()
        control.add_routes(dokploy, self)
        self.dokploy.url = await self._serve(dokploy, port)
        self.issuer.url = await self._serve(self.issuer.application(), 0)
        self.odoo.url = await self._serve(self.odoo.application(), 0)
        self.github.url = await self._serve(self.github.application(), 0)

    def addresses(self):
        return {
            "dokploy": self.dokploy.url, "dokploy_token": self.token, "issuer": self.issuer.url,
            "audience": self.issuer.audience, "odoo": self.odoo.url,
            "github": self.github.url, "control": f"{self.dokploy.url}/_control",
            "clock_file": self.clock.path,
        }

    async def _serve(self, app, port):
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1, backlog=512)
        await site.start()
        return f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    def _main(self, ready):
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self.open())
        except Exception as error:           # handed to the thread that waits in start()
            ready.set_exception(error)
            return
        ready.set_result(None)
        self._loop.run_forever()
        self._loop.close()

    def _let_go(self):
        self.dokploy.stopping.set()
        self.dokploy.faults.clear()
        self.github.faults.clear()

    async def close(self):
        self._let_go()
        for runner in self._runners:
            await runner.cleanup()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
