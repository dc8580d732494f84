import polars as pl
import pytest

from artrec_core.warehouse.checksum import RowChecksum

ROWS = pl.DataFrame({"artwork_id": ["a", "b", "c"], "score": [0.5, 0.25, None], "reason": ["x", None, ""]})


def checksum(*frames: pl.DataFrame) -> str:
    tally = RowChecksum()
    for frame in frames:
        tally.add("t", frame)
    return tally.checksum


def test_the_order_and_the_pieces_do_not_matter() -> None:
    assert (
        checksum(ROWS)
        == checksum(ROWS[2:], ROWS[:1], ROWS[1:2])
        == checksum(ROWS.select("reason", "score", "artwork_id"))
    )


def test_it_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert checksum(ROWS) == "9f0ff7d7449c7cc03da97c41"


@pytest.mark.parametrize(
    "other",
    [
        ROWS[:2],
        pl.concat([ROWS, ROWS[:1]]),
        ROWS.with_columns(pl.col("score") + 1e-12),
        ROWS.with_columns(pl.col("reason").fill_null("")),
        ROWS.with_columns(pl.col("artwork_id").reverse()),
    ],
)
def test_any_other_rows_have_another(other: pl.DataFrame) -> None:
    assert checksum(other) != checksum(ROWS)


def test_a_time_of_day_does_not_count() -> None:
    moment = pl.lit("2026-03-30 02:00").str.to_datetime(time_zone="UTC").alias("published_at")
    assert checksum(ROWS.with_columns(moment)) == checksum(ROWS)


def test_an_empty_table_counts() -> None:
    with_empty = RowChecksum()
    with_empty.add("t", ROWS)
    with_empty.add("u", ROWS[:0])
    assert with_empty.rows == {"t": 3, "u": 0}
    assert with_empty.checksum != checksum(ROWS)
