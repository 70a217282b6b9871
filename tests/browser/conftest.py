"""A Jupyter server with its own configuration, and a Chromium that looks at it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "notebooks" / "dynamic_quantization.ipynb"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SERVER_STARTS_WITHIN_S = 60
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
}


@dataclass
class Server:
    """One Jupyter server, which has JupyterLab, Notebook 7 and Voila."""

    url: str
    token: str
    folder: Path

    def address(self, path: str, **query: str) -> str:
        pairs = "&".join(f"{key}={value}" for key, value in {**query, "token": self.token}.items())
        return f"{self.url}{path}?{pairs}"

    def wait_for_kernels(self, page, within_s: float = 60) -> None:
        """Until every kernel rests and a front end talks to it; one started too early asks back."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with urllib.request.urlopen(self.address("/api/kernels"), timeout=5) as answer:
                kernels = json.load(answer)
            if kernels and all(k["connections"] and _rests(k) for k in kernels):
                page.wait_for_timeout(500)
                return
            page.wait_for_timeout(200)
        pytest.fail(f"no kernel is ready after {within_s} s: {kernels}")

    def stop_kernels(self) -> None:
        """Shut all kernels down, so that the next test has the machine to itself."""
        with urllib.request.urlopen(self.address("/api/kernels"), timeout=5) as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            address = self.address(f"/api/kernels/{kernel['id']}")
            request = urllib.request.Request(address, method="DELETE")
            urllib.request.urlopen(request, timeout=20).close()


def refuse(reason: str) -> None:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("CI") or os.environ.get("RECIPE_FORBID_SKIPS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium():
    """Closed after each file: other tests must not see the event loop that Playwright runs."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse("the package playwright is missing: pip install 'recipe-helpers[test]'")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        refuse(f"no Chromium on the PATH (looked for {', '.join(CHROMIUM)})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("jupyter")
    folder, settings = home / "notebooks", home / "lab" / "user-settings"
    folder.mkdir()
    _write_settings(settings, SETTINGS)
    token, port = secrets.token_hex(16), _free_port()
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab" / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = {
        "ip": "127.0.0.1",
        "port": port,
        "port_retries": 0,
        "root_dir": folder,
        "log_level": "WARN",
    }
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    command += [f"--IdentityProvider.token={token}"]
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            started = Server(f"http://127.0.0.1:{port}", token, folder)
            _wait_for(started, process, log)
            yield started
        finally:
            process.terminate()  # the server stops its kernels
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def recipe(server):
    """A copy of the recipe with the cells that the explorer needs; its name on the server."""
    notebook = nbformat.read(RECIPE, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells = [cell for cell in notebook.cells if _is_needed(cell)]
    nbformat.write(notebook, server.folder / RECIPE.name)
    return RECIPE.name


@pytest.fixture(scope="module")
def new_page(chromium, server):
    """A function that opens an empty page of 1280 by 900 pixels."""
    contexts = []

    def open_page():
        server.stop_kernels()
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        return page

    yield open_page
    for context in contexts:
        context.close()


def _is_needed(cell: nbformat.NotebookNode) -> bool:
    """The imports and the explorer; the other cells take half a minute to run."""
    words = ("import recipe_helpers as rh", "rh.explore")
    return cell.cell_type == "code" and any(word in cell.source for word in words)


def _rests(kernel: dict) -> bool:
    return kernel["execution_state"] == "idle"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(server.address("/api/status"), timeout=5).close()
            return
        time.sleep(0.2)
    pytest.fail(f"the Jupyter server did not start:\n{log.read_text()[-3000:]}")


def _write_settings(folder: Path, settings: dict[str, dict]) -> None:
    for name, values in settings.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
