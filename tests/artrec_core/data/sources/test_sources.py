import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.columns import ARTWORK, LINE, QUARANTINE, RAW
from artrec_core.config import Source, load
from artrec_core.data.mapped_rows import MappedRows
from artrec_core.data.sources import read_lines, to_artworks
from artrec_core.errors import MissingInput

DAY = "2026-03-30"
FIELDS = {
    "artwork_id": "id",
    "title": "title",
    "year_from": "year",
    "creators": "by",
    "subjects": "tags",
    "price": "price",
}
SOURCES = {
    "tate": Source(name="tate", kind="tate", path="none"),
    "carnegie": Source(name="carnegie", kind="carnegie", path="none"),
    "walters": Source(name="walters", kind="walters", path="none"),
    "demo": Source(name="demo", kind="demo"),
    "shop": Source(name="shop", kind="jsonl", path="none", fields=FIELDS, museum="Shop", licence="CC0"),
}


def raw(source: Source, lines: list[str]) -> pl.DataFrame:
    crawled = datetime(2026, 3, 30, tzinfo=UTC)
    rows = [(source.name, number, line, crawled) for number, line in enumerate(lines, start=1)]
    return pl.DataFrame(rows, schema=RAW, orient="row")


def map_lines(source: Source, lines: list[str]) -> MappedRows:
    result = to_artworks(source, raw(source, lines))
    assert result.rows.schema == pl.Schema({LINE: pl.Int64(), **ARTWORK})
    assert result.unmapped.schema == pl.Schema(QUARANTINE)
    numbers = sorted([*result.rows[LINE], *result.unmapped[LINE]])
    assert numbers == list(range(1, len(lines) + 1)), "every line ends in exactly one of the two"
    return result


def test_every_line_ends_as_a_row_or_with_a_reason() -> None:
    lines = [
        '{"id": 7, "title": "Vase", "year": "1995", "by": "Ann", "tags": "Blue; Glass", "price": "3.5"}',
        "null",
        "",
        "{broken",
        "[1, 2]",
        "3",
        '{"id": 8, "title": ["no", {"title": 1}]}',
        '\ufeff{"id": 9, "title": "Bowl", "year": "abc"}',
        '{"id": 10, "title": "Far", "year": 1000000000000}',
    ]
    result = map_lines(SOURCES["shop"], lines)
    assert result.rows.select("artwork_id", "title", "year_from", "museum", "licence", "price").rows() == [
        ("shop:7", "Vase", 1995, "Shop", "CC0", 3.5),
        ("shop:9", "Bowl", None, "Shop", "CC0", None),
    ]
    assert result.rows["source"].unique().to_list() == ["shop"]
    assert result.rows["subjects"].to_list() == [["blue", "glass"], None]
    assert result.unmapped.select("line", "rule").rows() == [
        (2, "is_record"),
        (3, "is_json"),
        (4, "is_json"),
        (5, "is_record"),
        (6, "is_record"),
        (7, "mappable"),
        (9, "mappable"),
    ]
    assert result.unmapped["reason"].to_list()[:2] == ["the line holds null, not a record", "the line is empty"]
    assert result.unmapped["reason"].to_list()[-2:] == [
        "title holds an object where text was expected",
        "year_from holds a number that cannot be a year",
    ]
    assert result.unmapped["record"].to_list() == [lines[number - 1] for number in (2, 3, 4, 5, 6, 7, 9)]


HOSTILE = [
    "[" * 100_000,
    '{"id": ' + '{"a": ' * 50_000 + "1" + "}" * 50_001,
    '{"id": ' + "9" * 5_000 + "}",
    '{"id": 1e999, "title": NaN}',
    '{"id": "\\ud800", "title": "\\ud83d"}',
    '{"id": "a\\u0000b", "title": "\\u0000"}',
    '{"id": true, "title": false}',
    '{"id": -0.0, "year": Infinity}',
    "\x00",
    "\ufffd\ufffd",
    '"text"',
    "{}",
]


@pytest.mark.parametrize("kind", SOURCES)
def test_hostile_lines_crash_no_museum(kind: str) -> None:
    result = map_lines(SOURCES[kind], HOSTILE)
    assert result.unmapped.filter(pl.col("reason").str.len_chars() == 0).is_empty()


_KEY_WORDS = (
    "id title foreignTitle groupTitle classification medium dateText dateRange startYear endYear contributors fc mda role"
    " gender date movements name subjects children thumbnailUrl url creation_date creation_date_earliest images image_url"
    " creation_date_latest creator full_name cited_name nationality birth_date death_date party_type web_url ObjectID"
    " Title DateText DateBeginYear DateEndYear Creators ConcatDisplayName Role Gender Style Period Culture Dynasty"
    " Geographies GeoType GeographyTerm GeoHierarchy Keywords ObjectName Images IsPrimary ImageURLs Raw Description"
    " year by tags price creators born died year_from year_to"
)
KEYS = _KEY_WORDS.split()
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1889", "c.1830–5", "Dutch (?)", "after X (French, 1800-1850)", "<b>", "&amp;", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(values.map(json.dumps) | st.text(max_size=20), max_size=6), st.sampled_from(sorted(SOURCES)))
def test_no_line_is_lost_or_crashes(lines: list[str], kind: str) -> None:
    map_lines(SOURCES[kind], [line.encode("utf-8", "replace").decode() for line in lines])


def test_rows_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": number, "title": f"No {number}"}) if number % 3 else "null" for number in range(20)]
    together = map_lines(SOURCES["shop"], lines)
    monkeypatch.setattr("artrec_core.data.sources.CHUNK", 4)
    in_chunks = map_lines(SOURCES["shop"], lines)
    assert together.rows.equals(in_chunks.rows)
    assert together.unmapped.equals(in_chunks.unmapped)


# -- reading ----------------------------------------------------------------------------------------------------------


def write_source(path: Path, content: bytes) -> Source:
    path.write_bytes(content)
    return Source(name="tate", kind="tate", path=str(path))


def test_lines_are_read_as_received(tmp_path: Path) -> None:
    content = b'{"a": 1}\r\n\nnull\n{"bad": "\xff\xfe"}\nlast without an end'
    expected = ['{"a": 1}', "", "null", '{"bad": "\ufffd\ufffd"}', "last without an end"]
    assert list(read_lines(write_source(tmp_path / "plain.jsonl", content), DAY)) == expected
    assert list(read_lines(write_source(tmp_path / "packed.jsonl.gz", gzip.compress(content)), DAY)) == expected


def test_the_day_is_put_into_the_path_and_the_limit_holds(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.jsonl").write_text("1\n2\n3\n")
    source = Source(name="tate", kind="tate", path=f"{tmp_path}/{{date}}.jsonl", limit=2)
    assert list(read_lines(source, DAY)) == ["1", "2"]


def test_a_missing_or_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"source tate: there is no file .*none.jsonl; put it there"):
        list(read_lines(Source(name="tate", kind="tate", path=str(tmp_path / "none.jsonl")), DAY))
    packed = gzip.compress(b"null\n" * 10_000)
    with pytest.raises(MissingInput, match=r"cut off or damaged .*; fetch it again"):
        list(read_lines(write_source(tmp_path / "cut.gz", packed[: len(packed) // 2]), DAY))


def test_the_demo_world_is_read_from_the_package() -> None:
    source = SOURCES["demo"]
    lines = list(read_lines(source, DAY))
    result = map_lines(source, lines)
    assert result.unmapped.is_empty()
    assert result.rows["artwork_id"].n_unique() == len(lines) >= 400


# -- the real data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("museum", "rows", "unmapped"), [("carnegie", 28_258, 0), ("walters", 15_252, 70)])
def test_a_museum_is_mapped_whole(shared_data: Path, museum: str, rows: int, unmapped: int) -> None:
    source = Source(name=museum, kind=museum, path=str(shared_data / "museums" / f"{museum}.jsonl.gz"))  # type: ignore[arg-type]
    result = map_lines(source, list(read_lines(source, DAY)))
    assert (result.rows.height, result.unmapped.height) == (rows, unmapped)
    assert result.rows["artwork_id"].n_unique() == rows
    assert result.rows.filter(pl.col("year_from") > pl.col("year_to")).is_empty()
    assert result.rows.filter(pl.col("year_to") > 2026).is_empty()


@pytest.mark.slow
def test_tate_is_mapped_whole(shared_data: Path) -> None:
    test_a_museum_is_mapped_whole(shared_data, "tate", 69_202, 0)


def test_all_movies_are_mapped_by_their_recipe(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTREC_DATA", str(shared_data))
    recipe = load(Path(__file__).parents[4] / "infra" / "recipes" / "movielens.toml")
    source = recipe.sources[0]
    result = map_lines(source, list(read_lines(source, DAY)))
    assert (result.rows.height, result.unmapped.height) == (3_415, 0)
    toy_story: dict[str, Any] = result.rows.filter(pl.col("artwork_id") == "movies:1").row(0, named=True)
    assert (toy_story["title"], toy_story["year_from"], toy_story["subjects"]) == (
        "Toy Story",
        1995,
        ["animation", "adventure", "comedy"],
    )
    assert result.rows["creators"].null_count() == 0
