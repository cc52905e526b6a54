"""A network that is out of reach, and a make-believe one."""

from __future__ import annotations

import io
import urllib.request
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
    """Address -> bytes of a make-believe web."""
    web: dict[str, bytes] = {}

    def answer(request, timeout):
        if request.full_url not in web:
            raise URLError("Not found")
        return io.BytesIO(web[request.full_url])

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return web
