"""MLflow's SQLite file is set up once by any number of processes, survives kills, and gives one line of advice on errors."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from artrec_core.model import mlflow_store
from artrec_core.model.mlflow_store import explain_errors, open_client, set_up
from tests.conftest import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mlflow.db"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def open_in_processes(what: str, folder: Path, rounds: int) -> list[list[int]]:
    command = [sys.executable, str(Path(__file__).parent / "store_openers.py"), what, str(folder), str(rounds)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    statuses: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return statuses


def test_processes_that_open_a_fresh_store_at_once_all_get_it(tmp_path: Path) -> None:
    assert open_in_processes("race", tmp_path, 1) == [[0, 0, 0, 0]]
    assert [file.read_text() for file in tmp_path.rglob("error-*")] == []


@pytest.mark.slow
def test_a_store_whose_set_up_was_killed_opens_when_it_is_run_again(tmp_path: Path) -> None:
    statuses = open_in_processes("kill", tmp_path, 12)
    assert -9 in {killed for killed, _ in statuses}
    assert [again for _, again in statuses] == [0] * 12
    assert [file.read_text() for file in tmp_path.rglob("error-*")] == []


def older_database(path: Path) -> None:
    """The database of an MLflow three migrations ago, with an experiment in it."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine, config = create_sqlalchemy_engine(url(path)), _get_alembic_config(url(path))
    revision = ScriptDirectory.from_config(config).get_current_head()
    for _ in range(3):
        script = ScriptDirectory.from_config(config).get_revision(revision)
        revision = script.down_revision
    Base.metadata.create_all(engine)
    command.upgrade(config, revision)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'ours', 'active')"
        )


def test_the_database_of_an_older_mlflow_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older_database(path)
    before = path.read_bytes()
    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            set_up(url(path))
    assert path.read_bytes() == before
    assert open_client(url(path)).get_experiment("7").name == "ours"
    assert sorted(file.name for file in path.parent.iterdir()) == [f".{path.name}.lock", path.name]


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_store_that_is_set_up_is_left_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(url(path))
    monkeypatch.setattr(mlflow_store, "_migrate_atomically", _die)
    set_up(url(path))
    set_up("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"no database, but long enough to have a header" * 40, "the file is damaged; put a backup in its place"),
        ("CREATE TABLE experiments (name TEXT)", "its tables are incomplete"),
        (
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('tomorrow');"
            "CREATE TABLE experiments (name TEXT)",
            "a newer MLflow wrote it",
        ),
    ],
)
def test_a_file_that_cannot_be_set_up_gives_one_line_and_stays_unchanged(
    path: Path, content: bytes | str, advice: str
) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(content)
    before = path.read_bytes()
    with pytest.raises(ArtrecError, match=f"mlflow.db cannot be read or written .*{advice}") as raised:
        open_client(url(path))
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_a_file_that_another_process_holds_is_waited_for_and_then_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(url(path))
    monkeypatch.setattr(mlflow_store, "PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            ArtrecError, match="another process has been writing to it for a long time; wait for it or end it"
        ):
            open_client(url(path))


def test_without_mlflow_s_private_function_mlflow_itself_checks_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_client(url(path)).create_experiment("ours")
    monkeypatch.delattr("mlflow.store.db.utils._get_latest_schema_revision")
    monkeypatch.setattr(mlflow_store, "_migrate_atomically", _die)
    assert open_client(url(path)).get_experiment_by_name("ours").name == "ours"


def _write_to_a_read_only_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE a (b)")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.execute("INSERT INTO a VALUES (1)")


def _write_to_a_full_disk(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE a (b)")


def _write_to_a_file_that_is_gone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE a (b)")
        path.unlink()
        connection.execute("INSERT INTO a VALUES (1)")


def _open_in_no_folder(path: Path) -> None:
    sqlite3.connect(path / "not there" / "mlflow.db")


def _be_refused(path: Path) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _find_no_space(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize(
    ("fail", "advice"),
    [
        (_write_to_a_read_only_file, "give this user write access to the file and its folder"),
        (_write_to_a_file_that_is_gone, "another file replaced it meanwhile"),
        (_open_in_no_folder, "give this user write access to the file and its folder"),
        (_be_refused, "give this user write access to the file and its folder"),
        (_write_to_a_full_disk, "make room on its disk"),
        (_find_no_space, "make room on its disk"),
    ],
)
def test_an_error_says_what_to_do(path: Path, fail: Callable[[Path], None], advice: str) -> None:
    with pytest.raises(ArtrecError, match=advice), explain_errors(url(path)):
        fail(path)


def test_answers_of_mlflow_and_faults_of_the_caller_are_raised_unchanged(path: Path) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="not found"):
        open_client(url(path)).get_registered_model("none")
    with pytest.raises(TypeError):
        open_client(url(path)).get_registered_model()
