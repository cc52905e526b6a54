"""A network that is out of reach, and a make-believe one."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test may reach the network."""

    def unreachable(*args, **kwargs):
        raise URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


@pytest.fixture
def served(monkeypatch):
    """Address -> bytes of a make-believe web, in the place of torchvision's network access."""
    web: dict[str, bytes] = {}

    def retrieve(url, filename, *args, **kwargs):
        if url not in web:
            raise URLError("Not found")
        Path(filename).write_bytes(web[url])

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **kwargs: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", retrieve)
    return web
