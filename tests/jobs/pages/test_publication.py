"""Whether a night was published, and which night applications read, from a warehouse file."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from artrec_core.columns import PUBLICATION, conform
from artrec_core.warehouse import open_warehouse
from jobs.pages.publication import Publication, publication_of, read_publications

DAY = "2026-03-30"
NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "warehouse.duckdb")


def record(url: str, *attempts: tuple[str, str, int]) -> None:
    """Record attempts of (run date, status, minute of the hour)."""
    rows = [
        {
            "run_date": day,
            "strategy": "main",
            "model_version": "7",
            "rows": 6,
            "people": 3,
            "checksum": "abc",
            "status": status,
            "simulated": True,
            "published_at": NOON.replace(minute=minute),
        }
        for day, status, minute in attempts
    ]
    open_warehouse(url).record(conform(pl.DataFrame(rows), PUBLICATION))


def test_a_published_night_is_served(url: str) -> None:
    record(url, ("2026-03-29", "published", 1), (DAY, "published", 2))
    assert publication_of(read_publications(url, DAY), DAY) == Publication(
        status="published",
        model_version="7",
        rows=6,
        users=3,
        checksum="abc",
        published_at=NOON.replace(minute=2),
        served_day=DAY,
    )


def test_after_a_failure_an_older_night_is_served(url: str) -> None:
    record(url, ("2026-03-28", "published", 1), ("2026-03-29", "published", 2), (DAY, "failed", 3))
    publication = publication_of(read_publications(url, DAY), DAY)
    assert publication is not None
    assert (publication.status, publication.served_day) == ("failed", "2026-03-29")


def test_the_latest_attempt_counts(url: str) -> None:
    record(url, (DAY, "failed", 1))
    failed = publication_of(read_publications(url, DAY), DAY)
    assert failed is not None
    assert (failed.status, failed.served_day) == ("failed", None)
    record(url, (DAY, "published", 2))
    published = publication_of(read_publications(url, DAY), DAY)
    assert published is not None
    assert (published.status, published.served_day) == ("published", DAY)


def test_later_nights_do_not_count(url: str) -> None:
    record(url, ("2026-03-29", "published", 1), ("2026-03-31", "published", 2))
    publication = publication_of(read_publications(url, DAY), DAY)
    assert publication == Publication(None, None, None, None, None, None, served_day="2026-03-29")


def test_nothing_is_published_in_a_new_warehouse(url: str) -> None:
    assert publication_of(read_publications(url, DAY), DAY) is None


def test_a_warehouse_that_cannot_be_read_has_no_publications(url: str) -> None:
    Path(url).write_text("this is no database")
    assert read_publications(url, DAY).is_empty()
