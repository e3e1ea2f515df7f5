"""Headless Chromium over its DevTools protocol: enough to fill in a page as a person does, and to see what it loads."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
WAIT_S = 30.0


def chromium() -> str:
    """The browser's path; Debian's package is installed where that is possible. Fails the test otherwise."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], check=False, capture_output=True, timeout=300)
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(install, check=False, capture_output=True, timeout=600)
        found = shutil.which("chromium")
    if found is None:
        pytest.fail("the hosted page is tested in Chromium, which is not here: `apt-get install -y chromium`")
    return found


class Browser:
    """One page. `urls`: all that it asked for; `problems`: what its console complained about."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._target = ""
        self.urls: list[str] = []
        self.problems: list[str] = []

    @classmethod
    @asynccontextmanager
    async def start(cls, path: str, profile: Path) -> AsyncIterator[Self]:
        """A fresh profile; ends the process with the block."""
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-extensions"]
        where = [f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            path, *options, *quiet, *where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            url = await asyncio.wait_for(cls._address(process.stderr), 60)
            drain = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
                browser = cls(socket)
                reader = asyncio.create_task(browser._read())
                await browser._attach()
                yield browser
                reader.cancel()
            drain.cancel()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @staticmethod
    async def _address(stderr: asyncio.StreamReader) -> str:
        while line := await stderr.readline():
            if found := re.search(rb"listening on (ws://\S+)", line):
                return found[1].decode()
        raise RuntimeError("chromium ended before it listened")

    async def _attach(self) -> None:
        made = await self.send("Target.createTarget", {"url": "about:blank"})
        target = {"targetId": made["targetId"], "flatten": True}
        self._target = (await self.send("Target.attachToTarget", target))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.send("Emulation.setDeviceMetricsOverride", PHONE)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One command; raises RuntimeError with the browser's own words."""
        number = next(self._ids)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if self._target:
            message["sessionId"] = self._target
        await self._socket.send_json(message)
        answer = await asyncio.wait_for(future, WAIT_S)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            data = message.json()
            if "id" in data:
                self._answers.pop(data["id"]).set_result(data)
            elif data["method"] == "Network.requestWillBeSent":
                self.urls.append(data["params"]["request"]["url"])
            elif data["method"] == "Log.entryAdded":
                self.problems.append(data["params"]["entry"]["text"])
            elif data["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(data["params"]["exceptionDetails"]))

    async def open(self, url: str) -> None:
        await self.send("Page.navigate", {"url": url})
        await self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        options = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = await self.send("Runtime.evaluate", options)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails'].get('exception', {}).get('description')}")
        return found["result"].get("value")

    async def frame_js(self, expression: str) -> Any:
        """The same in the page's first frame."""
        tree = (await self.send("Page.getFrameTree"))["frameTree"]
        frame = tree["childFrames"][0]["frame"]["id"]
        world = await self.send("Page.createIsolatedWorld", {"frameId": frame})
        options = {"expression": expression, "returnByValue": True, "contextId": world["executionContextId"]}
        found = await self.send("Runtime.evaluate", options)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails'].get('exception', {}).get('description')}")
        return found["result"].get("value")

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})

    async def wait(self, expression: str) -> None:
        """Until it is true; navigation under way counts as not yet."""
        end = asyncio.get_running_loop().time() + WAIT_S
        while True:
            with suppress(RuntimeError):
                if await self.js(f"Boolean({expression})"):
                    return
            if asyncio.get_running_loop().time() > end:
                text = await self.js("document.body.innerText")
                raise AssertionError(f"never true: {expression}; the page says: {text!r}; problems: {self.problems}")
            await asyncio.sleep(0.05)

    async def wait_for(self, element: str) -> None:
        """Until the element shows."""
        await self.wait(f"document.getElementById({element!r})?.checkVisibility()")

    async def fill(self, element: str, text: str) -> None:
        await self.js(f"(e => {{ e.value = ''; e.focus(); }})(document.getElementById({element!r}))")
        await self.send("Input.insertText", {"text": text})

    async def click(self, selector: str) -> None:
        await self.js(f"document.querySelector({selector!r}).click()")

    async def text(self, element: str) -> str:
        return str(await self.js(f"document.getElementById({element!r}).innerText"))

    async def screenshot(self, path: Path) -> None:
        shot = await self.send("Page.captureScreenshot", {"format": "png"})
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))
