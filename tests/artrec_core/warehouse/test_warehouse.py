"""What every warehouse does, DuckDB file or Postgres: one suite over both."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from artrec_core.columns import PUBLICATION, RECOMMENDATION, WAREHOUSE
from artrec_core.data.values import LONGEST_ID
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.warehouse import Warehouse, open_warehouse
from artrec_core.warehouse.checksum import RowChecksum
from tests.artrec_core.warehouse.small_day import ARTWORKS, PEOPLE, ROWS, day_tables, no_audit, publication

FIRST, SECOND, THIRD = "2026-03-30", "2026-03-31", "2026-04-01"


def publish(warehouse: Warehouse, day: str, model_version: str = "1", keep_days: int | None = None) -> list[str]:
    tables = day_tables(day, model_version)
    return warehouse.publish(publication(day, model_version), tables, no_audit, keep_days=keep_days)


def served(warehouse: Warehouse) -> list[tuple[str, str]]:
    """(day, model version) of what recommendations_current holds."""
    rows = warehouse.query("SELECT DISTINCT run_date, model_version FROM artrec.recommendations_current")
    return [(str(day), str(version)) for day, version in rows.rows()]


def test_what_is_published_is_read_back_row_for_row(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)
    for table, frames in day_tables(FIRST).items():
        schema, key = WAREHOUSE[table]
        rows = warehouse.query(f"SELECT {', '.join(schema)} FROM artrec.{table}")
        assert_frame_equal(rows.sort(key), pl.concat(frames).sort(key))


def test_ids_of_the_largest_size_are_keys_of_every_warehouse(warehouse: Warehouse) -> None:
    # Four bytes a character, and no two alike, so that PostgreSQL cannot compress them.
    longest = "".join(chr(0x20000 + 7 * number) for number in range(LONGEST_ID))
    ids = {"user_id": longest, "artwork_id": f"{'s' * 64}:{longest}", "segment": f"movement:{longest}"}
    tables = {
        table: [frames[0].head(1).with_columns(pl.lit(ids[name]).alias(name) for name in ids if name in frames[0])]
        for table, frames in day_tables(FIRST).items()
    }
    warehouse.publish(publication(FIRST), tables, lambda loaded: None)
    assert warehouse.query("SELECT user_id FROM artrec.recommendations_current").rows() == [(longest,)]


def test_the_rows_read_back_have_the_checksum_of_the_rows_sent(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)
    sent, held = RowChecksum(), RowChecksum()
    for table, frames in day_tables(FIRST).items():
        held.add(table, warehouse.query(f"SELECT * FROM artrec.{table}"))
        for frame in frames:
            sent.add(table, frame)
    assert held.checksum == sent.checksum


def test_an_app_reads_a_persons_recommendations_by_one_select(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)
    statement = "SELECT rank, artwork_id, score FROM artrec.recommendations_current WHERE user_id = $1 ORDER BY rank"
    rows = warehouse.query(statement, ["visitor-1"])
    assert rows.rows() == [(1, "demo:2", 2.0), (2, "demo:3", 1.5), (3, "demo:4", pytest.approx(4 / 3))]
    assert warehouse.query(statement, ["nobody"]).schema == rows.schema


def test_current_serves_the_default_strategy_and_by_strategy_all(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)
    assert warehouse.query("SELECT DISTINCT strategy FROM artrec.recommendations_current").rows() == [("main",)]
    both = warehouse.query("SELECT DISTINCT strategy FROM artrec.recommendations_by_strategy_current ORDER BY 1")
    assert both.rows() == [("fresh",), ("main",)]
    people = warehouse.query("SELECT DISTINCT user_id FROM artrec.recommendations_current ORDER BY 1")
    assert people.get_column("user_id").to_list() == PEOPLE


@pytest.mark.parametrize(
    ("view", "table"),
    [
        ("recommendations_current", "recommendations_v1"),
        ("recommendations_by_strategy_current", "recommendations_v1"),
        ("similar_artworks_current", "similar_artworks_v1"),
        ("artwork_audiences_current", "artwork_audiences_v1"),
        ("popular_artworks_current", "popular_artworks_v1"),
        ("artworks_current", "artworks_v1"),
    ],
)
def test_views_have_their_tables_columns_and_types(warehouse: Warehouse, view: str, table: str) -> None:
    publish(warehouse, FIRST)
    assert dict(warehouse.query(f"SELECT * FROM artrec.{view}").schema) == WAREHOUSE[table][0]


def test_a_rerun_replaces_the_day(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST, "1")
    publish(warehouse, FIRST, "2")
    assert served(warehouse) == [(FIRST, "2")]
    assert warehouse.query("SELECT count(*) AS n FROM artrec.recommendations_v1").item() == ROWS["recommendations_v1"]
    assert warehouse.publications().get_column("model_version").to_list() == ["1", "2"]


def test_the_next_day_is_served_and_the_older_one_stays(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST, "1")
    publish(warehouse, SECOND, "2")
    assert served(warehouse) == [(SECOND, "2")]
    older = warehouse.query("SELECT count(*) AS n FROM artrec.artworks_v1 WHERE run_date = $1", [FIRST])
    assert older.item() == len(ARTWORKS)


def test_a_backfill_of_an_older_day_does_not_change_what_is_served(warehouse: Warehouse) -> None:
    publish(warehouse, SECOND, "1")
    publish(warehouse, FIRST, "2")
    assert served(warehouse) == [(SECOND, "1")]
    freshness = warehouse.query("SELECT served_run_date, attempted_run_date, stale FROM artrec.freshness")
    assert freshness.rows() == [(SECOND, SECOND, False)]


def test_a_failed_audit_leaves_yesterday_served_and_visibly_stale(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)

    def fails(loaded: Mapping[str, int]) -> None:
        assert loaded == ROWS
        raise GateFailed("no")

    with pytest.raises(GateFailed, match="no"):
        warehouse.publish(publication(SECOND, "2"), day_tables(SECOND, "2"), fails)
    warehouse.record(publication(SECOND, "2", status="failed"))
    assert served(warehouse) == [(FIRST, "1")]
    assert (
        warehouse.query("SELECT count(*) AS n FROM artrec.recommendations_v1 WHERE run_date = $1", [SECOND]).item() == 0
    )
    rows = warehouse.query("SELECT served_run_date, attempted_run_date, attempted_status, stale FROM artrec.freshness")
    assert rows.rows() == [(FIRST, SECOND, "failed", True)]
    publish(warehouse, SECOND, "3")
    assert served(warehouse) == [(SECOND, "3")]
    assert warehouse.query("SELECT stale FROM artrec.freshness").item() is False


def test_a_failed_audit_of_a_rerun_leaves_the_day_as_it_was(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST, "1")

    def fails(loaded: Mapping[str, int]) -> None:
        raise GateFailed("no")

    with pytest.raises(GateFailed):
        warehouse.publish(publication(FIRST, "2"), day_tables(FIRST, "2"), fails)
    assert served(warehouse) == [(FIRST, "1")]


def test_a_first_night_that_fails_serves_nothing(warehouse: Warehouse) -> None:
    warehouse.record(publication(FIRST, status="failed"))
    assert served(warehouse) == []
    assert warehouse.query("SELECT served_run_date, stale FROM artrec.freshness").rows() == [(None, True)]


def test_two_rows_of_one_key_stop_the_publication(warehouse: Warehouse) -> None:
    tables = day_tables(FIRST)
    tables["artworks_v1"] *= 2
    with pytest.raises(GateFailed, match=r"artworks_v1 of 2026-03-30 .* have its own \(run_date, artwork_id\)"):
        warehouse.publish(publication(FIRST), tables, no_audit)
    assert warehouse.publications().height == 0


def test_rows_of_another_day_stop_the_publication(warehouse: Warehouse) -> None:
    tables = {**day_tables(FIRST), "artworks_v1": day_tables(SECOND)["artworks_v1"]}
    with pytest.raises(GateFailed, match="every row must be of that day"):
        warehouse.publish(publication(FIRST), tables, no_audit)
    assert warehouse.publications().height == 0


def test_a_publication_without_one_of_the_tables_is_refused(warehouse: Warehouse) -> None:
    tables = day_tables(FIRST)
    del tables["artworks_v1"]
    with pytest.raises(ArtrecError, match="artworks_v1"):
        warehouse.publish(publication(FIRST), tables, no_audit)


def test_keep_days_removes_the_oldest_and_says_so(warehouse: Warehouse) -> None:
    publish(warehouse, FIRST)
    publish(warehouse, SECOND)
    assert publish(warehouse, THIRD, keep_days=2) == [FIRST]
    days = warehouse.query("SELECT DISTINCT run_date FROM artrec.recommendations_v1 ORDER BY 1")
    assert days.get_column("run_date").to_list() == [SECOND, THIRD]
    log = warehouse.publications().select("run_date", "status").rows()
    assert log[2:] == [(FIRST, "removed"), (THIRD, "published")]
    assert served(warehouse) == [(THIRD, "1")]
    assert warehouse.query("SELECT stale FROM artrec.freshness").item() is False


def test_keep_days_spares_the_day_that_is_backfilled(warehouse: Warehouse) -> None:
    publish(warehouse, SECOND)
    assert publish(warehouse, FIRST, keep_days=1) == []
    assert publish(warehouse, THIRD, keep_days=1) == [FIRST, SECOND]


def test_nothing_published_yet_is_said(warehouse: Warehouse) -> None:
    assert warehouse.publications().height == 0
    assert dict(warehouse.publications().schema) == PUBLICATION
    with pytest.raises(ArtrecError, match="nothing is published"):
        warehouse.query("SELECT 1 FROM artrec.recommendations_current")


@pytest.mark.parametrize("at", ["loading", "audit"])
def test_a_killed_publisher_leaves_the_old_day_and_the_next_one_works(
    warehouse: Warehouse, killed_publisher: Callable[[str, str, str], int], at: str
) -> None:
    publish(warehouse, FIRST, "1")
    assert killed_publisher(FIRST, "2", at) == -9
    assert killed_publisher(SECOND, "2", at) == -9
    assert served(warehouse) == [(FIRST, "1")]
    assert warehouse.publications().height == 1
    publish(warehouse, FIRST, "3")
    publish(warehouse, SECOND, "4")
    assert served(warehouse) == [(SECOND, "4")]
    assert (
        warehouse.query("SELECT count(*) AS n FROM artrec.recommendations_v1").item() == 2 * ROWS["recommendations_v1"]
    )


def test_a_reader_never_sees_half_a_day(url: str, warehouse: Warehouse) -> None:
    publish(warehouse, FIRST, "1")
    done = threading.Event()
    seen: list[tuple[object, ...]] = []
    failures: list[BaseException] = []
    # One statement: what is served, and what the publication that goes with it says.
    statement = (
        "SELECT count(*) AS rows, min(r.run_date) AS first, max(r.run_date) AS last, min(r.model_version) AS oldest,"
        " max(r.model_version) AS newest, max(s.run_date) AS said, max(s.model_version) AS version"
        " FROM artrec.recommendations_current r CROSS JOIN artrec.served s"
    )

    def read() -> None:
        reader = open_warehouse(url)
        try:
            while not done.is_set():
                seen.append(reader.query(statement).row(0))
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, 9):
        # A rerun of the day served, then the next day.
        publish(warehouse, f"2026-03-{29 + number // 2:02d}" if number < 6 else f"2026-04-{number:02d}", str(number))
        time.sleep(0.01)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len(seen) > 10
    for rows, first, last, oldest, newest, said, version in seen:
        assert (rows, first, oldest) == (len(PEOPLE) * 3, last, newest)
        assert (first, oldest) == (said, version)


def test_two_publishers_at_once_do_not_lose_each_others_day(url: str) -> None:
    days = [f"2026-03-{number:02d}" for number in range(10, 14)]
    failures: list[BaseException] = []

    def one(day: str) -> None:
        try:
            publish(open_warehouse(url), day)
        except BaseException as error:
            failures.append(error)

    publishers = [threading.Thread(target=one, args=(day,)) for day in days]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    assert not failures
    rows = open_warehouse(url).query(
        "SELECT run_date, count(*) AS n FROM artrec.recommendations_v1 GROUP BY 1 ORDER BY 1"
    )
    assert rows.rows() == [(day, ROWS["recommendations_v1"]) for day in days]
    assert open_warehouse(url).publications().height == len(days)


def test_a_column_added_since_is_added_to_a_warehouse_that_is_there(
    url: str, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(warehouse, FIRST)
    schema, key = WAREHOUSE["recommendations_v1"]
    wider = {"surprise": pl.Float64(), **schema}
    monkeypatch.setitem(WAREHOUSE, "recommendations_v1", (wider, key))
    from artrec_core.warehouse import schema as sql

    monkeypatch.setitem(sql.TABLES, "recommendations_v1", (wider, key))
    publish(open_warehouse(url), SECOND)
    rows = warehouse.query("SELECT * FROM artrec.recommendations_current")
    assert set(rows.columns) == {"surprise", *RECOMMENDATION}
    assert rows.get_column("surprise").null_count() == rows.height


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ArtrecError, match="mysql://"):
        open_warehouse("mysql://host/db")


@pytest.mark.parametrize("address", ["days.duckdb", "folder/days.duckdb", "C:/days.duckdb"])
def test_a_path_opens_a_duckdb_file_that_is_not_created_before_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert type(open_warehouse(address)).__name__ == "DuckDBWarehouse"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["postgresql://127.0.0.1:9/none", "postgres://127.0.0.1:9/none"])
def test_a_postgresql_url_opens_no_connection_before_its_use(address: str) -> None:
    assert type(open_warehouse(address)).__name__ == "PostgresWarehouse"
