"""A real browser and real Streamlit servers for the tests in this folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need `pip install playwright`")

sync_api.expect.set_options(timeout=45_000)

REPOSITORY = Path(__file__).parents[2]
BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
# The last three keep the browser from calling home, which a machine without network waits for.
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Serve = Callable[..., str]
OpenPage = Callable[..., "sync_api.Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    """One headless Chromium: $BSQH_CHROMIUM, else one on the PATH, else Playwright's own."""
    found = os.environ.get("BSQH_CHROMIUM") or next(filter(None, map(shutil.which, BROWSER_NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        if not found and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: set BSQH_CHROMIUM or run `playwright install chromium`")
        chromium = playwright.chromium.launch(executable_path=found, args=list(BROWSER_ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: sync_api.Browser) -> Iterator[OpenPage]:
    """Factory `open_page(url, width=1400, height=900, **context)`: a page in a context of its own.

    Further keywords go to `browser.new_context`, for instance `color_scheme="dark"`.
    """
    contexts = []

    def open_(url: str, width: int = 1400, height: int = 900, **context: object) -> sync_api.Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(45_000)
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Factory `serve(app, cwd=None, env=None) -> base URL` without a slash at its end.

    Every call starts a fresh server on a free port; all of them end with the test. Streamlit's
    options go in as variables, for instance env={"STREAMLIT_SERVER_BASE_URL_PATH": "studio"}.
    """
    yield from _serving(tmp_path_factory)


@pytest.fixture(scope="module")
def serve_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve` for a module whose tests share a server: it ends with the last of them."""
    yield from _serving(tmp_path_factory)


def _serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    servers: list[subprocess.Popen[bytes]] = []

    def start(app: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
            "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
            "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none",
            "BSQH_STORE": str(tmp_path_factory.mktemp("store")),
            **(env or {}),
        }
        port = _free_port()
        base_path = environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "").strip("/")
        base_url = f"http://127.0.0.1:{port}" + (f"/{base_path}" if base_path else "")
        log = tmp_path_factory.mktemp("server") / "log.txt"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.headless=true"]
            command += ["--server.address=127.0.0.1", f"--server.port={port}"]
            server = subprocess.Popen(
                command, cwd=cwd or app.parent, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        servers.append(server)
        _wait_until_healthy(base_url, server, log)
        return base_url

    def kill() -> None:
        """End the latest server as a power cut would."""
        servers[-1].kill()
        servers[-1].wait()

    start.kill = kill  # type: ignore[attr-defined]
    yield start
    for server in servers:
        server.terminate()
    for server in servers:
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(base_url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base_url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"The Streamlit server at {base_url} did not start:\n{log.read_text(errors='replace')[-3000:]}")
