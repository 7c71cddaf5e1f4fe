"""One PostgreSQL for the tests here that hold locks against what a real one takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.server import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as made:
        yield made
