"""A night with a password in every URL: nothing that it prints, logs or leaves behind holds one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import ROOT
from tests.end_to_end.small_world import DAY, small_recipe
from tests.postgres_server import running_postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# With letters that a URL must encode; each is searched for as it is and as the URL writes it.
WAREHOUSE, WAREHOUSE_IN_URL = "w4reh%use/pw", "w4reh%25use%2Fpw"
MLFLOW, S3_SECRET = "mlfl0wpw", "s3kretpw"
SECRETS = [one.encode() for one in (WAREHOUSE, WAREHOUSE_IN_URL, "w4reh", MLFLOW, S3_SECRET)]


@contextmanager
def warehouse() -> Iterator[str]:
    """The URL of a database that asks for a password."""
    with running_postgres() as (url, folder):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE painter LOGIN PASSWORD '{WAREHOUSE}'")  # type: ignore[arg-type]
            connection.execute("CREATE DATABASE art OWNER painter")
            rules = folder / "pg_hba.conf"
            rules.write_text("local art painter scram-sha-256\n" + rules.read_text())
            connection.execute("SELECT pg_reload_conf()")
        yield f"postgresql://painter:{WAREHOUSE_IN_URL}@/art?host={folder}"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The URL, with a login, of an MLflow server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/served"]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen([*line, *stores], stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://curator:{MLFLOW}@127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(address, timeout=1):
            return
        assert process.poll() is None, "the MLflow server ended"
        time.sleep(0.2)
    raise AssertionError(f"{address} never answered")


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """The environment in which `s3://art` is a bucket of an object store on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client(environment).create_bucket(Bucket="art")
    yield environment
    server.stop()


def client(environment: dict[str, str]) -> "boto3.client":
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


def everything_left(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """What lies in the folder, recipes aside, and in the bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".toml":
            yield str(path.relative_to(folder)), path.read_bytes()
    s3 = client(environment)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="art"):
        for entry in page["Contents"]:
            yield f"s3://art/{entry['Key']}", s3.get_object(Bucket="art", Key=entry["Key"])["Body"].read()


def test_no_log_page_or_note_of_a_night_holds_a_password(tmp_path: Path) -> None:
    with warehouse() as database, mlflow_server(tmp_path) as mlflow, object_store() as s3:
        recipe = small_recipe(tmp_path, lake="s3://art/lake", warehouse=database, mlflow=mlflow)
        wrong = ["--set", f"store.warehouse={database.replace('%25', '%')}"]
        away = ["--set", f"store.mlflow={mlflow.rpartition(':')[0]}:9"]
        own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment = {
            **{**own, **s3},
            "PYTHONPATH": str(ROOT),  # Airflow's tasks, too, run the code that is tested
            "ARTREC_AIRFLOW_HOME": str(tmp_path / "airflow"),
            "ARTREC_PYTHON": sys.executable,
            "ARTREC_LOG_LEVEL": "DEBUG",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }
        said: dict[str, bytes] = {}

        def run(name: str, *line: str | Path) -> int:
            done = subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, check=False)
            said[name] = done.stdout + done.stderr
            return done.returncode

        def told() -> str:
            return b"\n".join(said.values()).decode()[-20_000:]

        def artrec(name: str, command: str, *more: str) -> int:
            return run(name, sys.executable, "-m", f"jobs.{command}", *more, "--config", str(recipe))

        assert run("the night", ROOT / "infra" / "airflow.sh", "test", "nightly", DAY, recipe) == 0, told()
        assert artrec("doctor", "doctor") == 0, told()
        assert artrec("show", "show", "--examples", "2") == 0, told()
        assert artrec("models", "models") == 0, told()
        assert artrec("mlflow", "mlflow") == 0, told()
        assert artrec("a URL that cannot be read", "show", "--examples", "2", *wrong) == 1
        assert artrec("MLflow away", "models", *away) == 1
        assert artrec("all away", "doctor", *wrong, *away) == 1
        assert artrec("the night again", "nightly", "--date", DAY, *away) == 1
        assert artrec("no recipe", "show", "--examples", "2", "--set", f"store.warehouse.url={database}") == 1
        assert b"postgresql://***@/art" in said["show"]
        assert b"recommended, and why" in said["show"]
        assert b"cannot be read" in said["MLflow away"]
        found = [*said.items(), *everything_left(tmp_path, s3)]
    assert {name for name, _ in found} > {"airflow/airflow.db", f"s3://art/lake/_notes/run_date={DAY}/report.html"}
    assert [(name, secret) for name, raw in found for secret in SECRETS if secret in raw] == []
