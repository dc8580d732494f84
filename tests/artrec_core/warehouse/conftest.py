"""A real warehouse of each kind, empty, for every test."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from artrec_core.warehouse import Warehouse, open_warehouse
from tests.postgres_server import running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL that runs as long as the tests do."""
    with running_postgres() as (url, _):
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a database in which nothing was ever published."""
    with psycopg.connect(postgres_server) as connection:
        connection.execute("DROP SCHEMA IF EXISTS artrec CASCADE")
    return postgres_server


@pytest.fixture(params=["duckdb", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty warehouse of each kind is."""
    if request.param == "duckdb":
        return str(tmp_path / "warehouse.duckdb")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def warehouse(url: str) -> Warehouse:
    return open_warehouse(url)


@pytest.fixture
def killed_publisher(url: str) -> Callable[[str, str, str], int]:
    """Runs a publisher in a process of its own that kills itself with -9 at a point."""

    def publish_and_die(day: str, model_version: str, at: str) -> int:
        arguments = [sys.executable, str(Path(__file__).parent / "dying_publisher.py"), url, day, model_version, at]
        return subprocess.run(arguments, check=False).returncode

    return publish_and_die
