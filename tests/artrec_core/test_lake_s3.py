"""The lake on an S3 store (moto's server on this machine): the same promises as on a folder."""

from collections.abc import Iterator

import boto3
import fsspec
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from artrec_core.columns import ARTWORK_ID, LAKE, conform
from artrec_core.errors import ArtrecError, MissingPartition
from artrec_core.lake import Lake

DAY = "2026-01-05"


# One server for the module: fsspec keeps its S3 client, with its endpoint, for the life of the process.
@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="art")
        yield Lake("s3://art/lake")
    server.stop()


def works(*ids: str) -> pl.DataFrame:
    return conform(pl.DataFrame({ARTWORK_ID: list(ids)}), LAKE["item_vectors"])


def test_a_day_is_whole_or_not_there_and_is_replaced_whole(lake: Lake) -> None:
    lake.check_writable()
    part = lake.write_part("item_vectors", DAY, works("a", "b"))
    with pytest.raises(MissingPartition):
        lake.read("item_vectors", DAY)
    lake.commit("item_vectors", DAY, {"w": [part]}, fingerprint="f", code_version="c")
    assert lake.read("item_vectors", DAY)[ARTWORK_ID].to_list() == ["a", "b"]
    replaced = lake.write_part("item_vectors", DAY, works("c"))
    lake.commit("item_vectors", DAY, {"w": [replaced]}, fingerprint="f", code_version="c")
    assert lake.read("item_vectors", DAY)[ARTWORK_ID].to_list() == ["c"]
    assert lake.days("item_vectors", up_to=DAY) == [DAY]
    assert lake.sweep("item_vectors", DAY, older_than_seconds=-1e9) == 1
    assert lake.read("item_vectors", DAY)[ARTWORK_ID].to_list() == ["c"]


def test_notes_lie_beside_the_tables(lake: Lake) -> None:
    assert lake.read_note("crawl.json", DAY) is None
    assert lake.write_note("crawl.json", DAY, b"{}") == f"s3://art/lake/_notes/run_date={DAY}/crawl.json"
    assert lake.read_note("crawl.json", DAY) == b"{}"


@pytest.mark.usefixtures("lake")
def test_a_bucket_that_is_not_there_is_said_and_is_not_taken_for_an_empty_one() -> None:
    absent = Lake("s3://none/lake")
    for use in (absent.check_writable, lambda: absent.find_manifest("item_vectors", DAY)):
        with pytest.raises(
            ArtrecError, match=r"s3://none/lake cannot be used .*create the bucket, or correct store\.lake"
        ):
            use()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "none"}, "correct AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer; check AWS_ENDPOINT_URL"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_what_keeps_from_the_object_store_is_said_in_one_line(
    settings: dict[str, str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", **settings}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    # fsspec keeps its clients, with the credentials that they began with.
    clients = fsspec.get_filesystem_class("s3")
    clients.clear_instance_cache()
    with pytest.raises(ArtrecError, match=advice) as caught:
        Lake("s3://art/lake").check_writable()
    clients.clear_instance_cache()
    assert "\n" not in str(caught.value)
