"""DAGs as Airflow parses them: an Airflow home of the test's own, `dags/` on `sys.path`."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

DAGS = ROOT / "dags"

# Airflow reads its environment when it is first imported.
_HOME = tempfile.mkdtemp(prefix="artrec-airflow-")
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
    }
)
if str(DAGS) not in sys.path:
    sys.path.append(str(DAGS))


@pytest.fixture
def fake_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the Python that runs jobs, to be written by the test; it is called as `-m jobs.<job> --config …`."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    monkeypatch.setenv("ARTREC_PYTHON", str(path))
    return path


@pytest.fixture(scope="session")
def bag() -> "DagBag":
    """All DAGs of the project, parsed by Airflow."""
    from airflow.dag_processing.dagbag import DagBag  # only now: it reads the environment that is set above

    return DagBag(DAGS)


@pytest.fixture(scope="session")
def nightly(bag: "DagBag") -> "DAG":
    """The DAG `nightly`."""
    return bag.dags["nightly"]


@pytest.fixture(scope="session")
def retrain(bag: "DagBag") -> "DAG":
    """The DAG `retrain`."""
    return bag.dags["retrain"]


def upstream_tasks(dag: "DAG") -> dict[str, set[str]]:
    """The ids of the tasks that each task waits for, by task id."""
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}
