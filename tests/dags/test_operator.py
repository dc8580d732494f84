"""A job as a task: its lines, its end, and that nothing of it is left when the task is killed."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import structlog

from artrec_dags import operator
from artrec_dags.operator import JobFailed, JobOperator, stop_group
from tests.conftest import ROOT
from tests.waiting import wait_until


def job(name: str = "score", **arguments: object) -> JobOperator:
    return JobOperator(task_id=name, job=name, config="r.toml", date="2026-03-30", **arguments)  # type: ignore[arg-type]


def lines_of(task: JobOperator) -> list[str]:
    """What the task logs, placeholders filled in; the task may fail."""
    with structlog.testing.capture_logs() as logged, contextlib.suppress(JobFailed):
        task.execute({})
    return [entry["event"] for entry in logged if entry["log_level"] == "info"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(path: Path, words: int) -> list[int]:
    for _ in range(200):
        if path.exists() and len(path.read_text().split()) >= words:
            return [int(word) for word in path.read_text().split()]
        time.sleep(0.05)
    raise AssertionError(f"{path} never held {words} words")


def test_the_command_is_the_one_a_person_types() -> None:
    task = job(arguments=["--set", "train.text_epochs=1"])
    assert task.command()[1:] == [
        *("-m", "jobs.score", "--config", "r.toml", "--date", "2026-03-30", "--set", "train.text_epochs=1")
    ]
    assert task.command()[0] == sys.executable


def test_what_other_tasks_answered_stands_among_the_arguments() -> None:
    task = job(arguments=[["--set", "a.b=1"], "--version", "4"])
    assert task.command()[7:] == ["--set", "a.b=1", "--version", "4"]


def test_no_password_is_logged(fake_python: Path) -> None:
    fake_python.write_text("#!/bin/sh\necho cannot reach http://u:s3cret@h\n")
    lines = lines_of(job(arguments=["--set", "store.warehouse=postgresql://u:s3cret@h/db"]))
    assert lines[0].endswith("--set store.warehouse=postgresql://***@h/db")
    assert lines[1] == "cannot reach http://***@h"


def test_every_line_is_logged_in_order_and_as_it_was(fake_python: Path) -> None:
    fake_python.write_text("#!/bin/sh\necho one 100%\necho two >&2\necho\nprintf 'thr\\351e'\n")
    assert lines_of(job()) == [
        "--- score: python -m jobs.score --config r.toml --date 2026-03-30",
        "one 100%",
        "two",
        "thr\ufffde",
    ]


def test_lines_are_logged_while_the_job_runs(
    fake_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The job ends only once its first line has been heard.
    heard = tmp_path / "heard"
    fake_python.write_text(f"#!/bin/sh\necho first\nwhile [ ! -e {heard} ]; do sleep 0.05; done\n")

    class Log:
        def info(self, text: str, *values: str) -> None:
            if values == ("first",):
                heard.touch()

    monkeypatch.setattr(operator, "log", Log())
    job().execute({})


def test_what_a_job_answers_is_for_the_tasks_after_it_and_not_logged(fake_python: Path) -> None:
    fake_python.write_text("""#!/bin/sh\necho one\necho 'answer: {"version": "4"}'\necho two\n""")
    task = job()
    with structlog.testing.capture_logs() as logged:
        assert task.execute({}) == {"version": "4"}
    assert "answer" not in str(logged)
    fake_python.write_text("#!/bin/sh\necho one\n")
    assert job().execute({}) is None


def test_a_job_runs_in_the_projects_root(fake_python: Path) -> None:
    fake_python.write_text("#!/bin/sh\npwd\n")
    assert lines_of(job())[-1] == str(ROOT)


def test_a_failed_job_says_its_own_last_error(fake_python: Path) -> None:
    fake_python.write_text(
        "#!/bin/sh\necho 'artrec: no catalogue; run prepare' >&2\necho leaked semaphore >&2\nexit 3\n"
    )
    with pytest.raises(
        JobFailed, match=r"^score 2026-03-30 failed with exit status 3: artrec: no catalogue; run prepare$"
    ):
        job().execute({})


def test_a_crashed_job_says_the_last_line_of_its_traceback(fake_python: Path) -> None:
    fake_python.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'raise KeyError(\"title\")'\n")
    with pytest.raises(JobFailed, match=r"exit status 1: KeyError: 'title'$"):
        job().execute({})


def test_a_job_out_of_memory_says_so(fake_python: Path) -> None:
    fake_python.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(JobFailed, match=r"ended by SIGKILL \(out of memory\?\): it printed nothing"):
        job().execute({})


def test_what_a_job_leaves_behind_ends_with_it(fake_python: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    fake_python.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {pids}\n")  # it holds the job's output open
    job().execute({})
    assert [alive(pid) for pid in wait_for(pids, 1)] == [False]


STUBBORN = """#!/bin/bash
(trap '' TERM; bash -c 'trap "" TERM; echo $$ >> {pids}; while :; do sleep 0.1; done' & echo $BASHPID >> {pids}; while :; do sleep 0.1; done) &
trap '' TERM
echo $$ >> {pids}
while :; do sleep 0.1; done
"""


def test_a_killed_task_leaves_no_process_of_a_job_that_will_not_end(
    fake_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "GRACE_SECONDS", 0.5)
    pids = tmp_path / "pids"
    fake_python.write_text(STUBBORN.format(pids=pids))
    task = job()
    killer = threading.Thread(target=lambda: (wait_for(pids, 3), task.on_kill()))
    killer.start()
    with pytest.raises(JobFailed, match="was stopped with its task"):
        task.execute({})
    killer.join()
    assert [alive(pid) for pid in wait_for(pids, 3)] == [False] * 3


def test_a_job_may_tidy_up_before_it_is_killed(fake_python: Path, tmp_path: Path) -> None:
    pids, tidied = tmp_path / "pids", tmp_path / "tidied"
    fake_python.write_text(
        f"#!/bin/bash\ntrap 'touch {tidied}; exit 143' TERM\necho $$ > {pids}\nwhile :; do sleep 0.05; done\n"
    )
    task = job()
    killer = threading.Thread(target=lambda: (wait_for(pids, 1), task.on_kill()))
    killer.start()
    with pytest.raises(JobFailed, match="was stopped with its task"):
        task.execute({})
    killer.join()
    assert tidied.exists()


def test_a_task_that_is_interrupted_takes_its_job_along(
    fake_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    fake_python.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >> {pids}\necho $$ >> {pids}\necho ready\nsleep 600\n")

    class Interrupted:
        def info(self, text: str, *values: str) -> None:
            if values == ("ready",):
                raise KeyboardInterrupt

    monkeypatch.setattr(operator, "log", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        job().execute({})
    assert [alive(pid) for pid in wait_for(pids, 2)] == [False, False]


def test_a_group_that_is_gone_is_stopped_already() -> None:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    stop_group(child, grace_seconds=1)


def test_the_grace_is_shorter_than_airflows_own() -> None:
    # Airflow's supervisor sends SIGKILL to the task five seconds after SIGTERM.
    assert operator.GRACE_SECONDS < 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_job_ends_with_a_task_that_is_killed(fake_python: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    fake_python.write_text(f"#!/bin/sh\necho $$ > {pids}\nexec sleep 600\n")
    code = "from artrec_dags.operator import JobOperator\n"
    code += "JobOperator(task_id='score', job='score', config='r.toml', date='2026-03-30').execute({})"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "dags")])
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}) as task:
        (job_pid,) = wait_for(pids, 1)
        task.kill()
    wait_until(lambda: not alive(job_pid))


@pytest.mark.parametrize(
    ("script", "message"),
    [("kill -TERM $$", "was ended by SIGTERM"), ("exit 143", "was ended by SIGTERM"), ("exit 200", "exit status 200")],
)
def test_a_job_that_a_signal_ended_says_so(fake_python: Path, script: str, message: str) -> None:
    fake_python.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(JobFailed, match=message):
        job().execute({})
