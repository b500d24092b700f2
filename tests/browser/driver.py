"""A page of Chromium and a JupyterLab server, both started here and stopped here.

Chromium is spoken to over its DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/), one JSON message over a websocket a call,
with the `websocket-client` package that Jupyter's own server depends on: no driver to install.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TOKEN = "xgrl-browser-test"
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--no-first-run", "--disable-background-networking",
    "--window-size=1400,1000", "about:blank",
)  # fmt: skip


def chromium() -> str | None:
    """The browser's program, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def wait(condition: Callable[[], Any], what: str, seconds: float) -> Any:
    """What `condition` gives once that is true; TimeoutError, naming what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds:g} seconds")


class Page:
    """One page of the browser."""

    def __init__(self, address: str):
        import websocket

        self.socket = websocket.create_connection(
            address, suppress_origin=True, timeout=120, max_size=None
        )
        self.calls = 0
        # JupyterLab has no current notebook without the focus
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result; RuntimeError where the browser refuses it."""
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:  # events come in between
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.calls:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def run(self, script: str) -> Any:
        """The JSON value of a JavaScript expression, or of what its promise resolves to."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(
                found["exceptionDetails"].get("exception", {}).get("description", str(found))
            )
        return found["result"].get("value")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        )
        return path


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """An empty page of a headless Chromium whose profile is in `folder`."""
    log, port = folder / "chromium.log", folder / "profile" / "DevToolsActivePort"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [chromium(), f"--user-data-dir={port.parent}", *SWITCHES], stdout=out, stderr=out
        )
    try:
        number = int(
            wait(lambda: port.exists() and port.read_text(), "Chromium's port", 60).splitlines()[0]
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/json/list", timeout=30) as answer:
            pages = json.load(answer)
        yield Page(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
    finally:
        _stop(process)


@contextmanager
def jupyterlab(root: Path, folder: Path) -> Iterator[str]:
    """A JupyterLab server on the project in `root`, its own settings in `folder`; gives its
    address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "IPYTHONDIR",
    )
    environment = os.environ | {
        name: str(folder / name.lower()) for name in (*places, "JUPYTERLAB_WORKSPACES_DIR")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTHONWARNINGS"] = "ignore:IProgress not found"  # as in `make lab`
    options = [
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={root}",
    ]
    options += [
        "--no-browser",
        "--allow-root",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None",
    ]
    with open(folder / "jupyter.log", "wb") as out:
        command = [sys.executable, "-m", "jupyter", "lab", *options]
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=out)
    address = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: _answers(f"{address}/api?token={TOKEN}"), "JupyterLab's server", 90)
        yield address
    finally:
        _stop(process)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
