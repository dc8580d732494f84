"""A model that answers in a process of its own, watched for the memory it takes."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT, Popen
from typing import Any

import psutil  # type: ignore[import-untyped]

from artrec_core.errors import ArtrecError
from artrec_core.processes import child
from jobs.evaluation.worker import ANSWER
from jobs.progress import stages
from jobs.training.stages import LinesFile, stages_of

LOG = "log.txt"
SECONDS_BETWEEN_LOOKS = 0.1
WATCHED = "training/metrics.jsonl"


@dataclass(frozen=True)
class Contestant:
    """Which model with which seed, the folder of its question and the folder of its answer."""

    model: str
    seed: int
    question: Path
    folder: Path

    def answered(self, config: str, overrides: list[str]) -> dict[str, Any]:
        """What the model says of its run, with the peak of its memory; lists lie in the folder then.

        An answer that stands is taken as it is. Raises `ArtrecError` where the process failed.
        """
        path = self.folder / ANSWER
        if path.exists():
            told: dict[str, Any] = json.loads(path.read_text())
            return told
        self.folder.mkdir(parents=True, exist_ok=True)
        line = [sys.executable, "-m", "jobs.evaluation.worker", "--config", config, "--question", str(self.question)]
        line += ["--model", self.model, "--seed", str(self.seed), "--into", str(self.folder)]
        line += [part for override in overrides for part in ("--set", override)]
        with open(self.folder / LOG, "wb") as log, child(line, stdout=log, stderr=STDOUT) as process:
            peak = self._watched(process)
        if process.returncode or not path.exists():
            raise ArtrecError(self._why(process.returncode))
        told = json.loads(path.read_text())
        told["peak_memory_mb"] = max(told["peak_memory_mb"], round(peak / 2**20))
        path.write_text(json.dumps(told, indent=1))
        return told

    def _watched(self, process: Popen[bytes]) -> int:
        """The largest resident memory (bytes) of the process and all it started, looked at while it runs."""
        peak, file = 0, LinesFile(self.folder / WATCHED)
        with stages(f"evaluate: {self.model}, seed {self.seed}") as show:
            while process.poll() is None:
                peak = max(peak, _resident(process.pid))
                known = len(file.lines)
                if len(lines := file.read()) > known:
                    show(stages_of(lines))
                time.sleep(SECONDS_BETWEEN_LOOKS)
            show(stages_of(file.read()))
        return peak

    def _why(self, status: int) -> str:
        log = self.folder / LOG
        last = (log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"])[-1]
        return (
            f"{self.model} with seed {self.seed} did not answer (exit status {status}): {last.removeprefix('artrec: ')}; "
            f"its log is {log}, and `artrec evaluate` goes on from here"
        )


def _resident(pid: int) -> int:
    """Resident memory of a process and its descendants in bytes; pages they share count once for each."""
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
