"""A model of an evaluation that runs in a process of its own. Its peak memory is measured."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT, Popen
from typing import Any

import psutil  # type: ignore[import-untyped]

from artrec_core.errors import ArtrecError
from artrec_core.processes import child_process
from jobs.evaluation.worker import RESULT
from jobs.progress import stages
from jobs.training.stages import LinesFile, stages_of

LOG = "log.txt"
SECONDS_BETWEEN_LOOKS = 0.1
TRAINING_LINES = "training/metrics.jsonl"


@dataclass(frozen=True)
class ModelRun:
    """A model with a seed, the folder of its evaluation task, and the folder of its results."""

    model: str
    seed: int
    task_folder: Path
    folder: Path

    def run(self, config: str, overrides: list[str]) -> dict[str, Any]:
        """Run the model in a process; afterwards its lists lie in the folder. An earlier result is taken as it is.

        Parameters
        ----------
        config, overrides
            The recipe's file and its overrides.

        Returns
        -------
        The result that the worker wrote, with the peak of the resident memory of all its processes.

        Raises
        ------
        ArtrecError
            If the process failed.
        """
        path = self.folder / RESULT
        if path.exists():
            earlier_result: dict[str, Any] = json.loads(path.read_text())
            return earlier_result
        self.folder.mkdir(parents=True, exist_ok=True)
        line = [sys.executable, "-m", "jobs.evaluation.worker", "--config", config, "--question", str(self.task_folder)]
        line += ["--model", self.model, "--seed", str(self.seed), "--into", str(self.folder)]
        line += [part for override in overrides for part in ("--set", override)]
        with open(self.folder / LOG, "wb") as log, child_process(line, stdout=log, stderr=STDOUT) as process:
            peak_bytes = self._watch(process)
        if process.returncode or not path.exists():
            raise ArtrecError(self._failure(process.returncode))
        result: dict[str, Any] = json.loads(path.read_text())
        result["peak_memory_mb"] = max(result["peak_memory_mb"], round(peak_bytes / 2**20))
        path.write_text(json.dumps(result, indent=1))
        return result

    def _watch(self, process: Popen[bytes]) -> int:
        """Show the training's stages until the process ends; its peak resident memory in bytes, descendants included."""
        peak_bytes, file = 0, LinesFile(self.folder / TRAINING_LINES)
        with stages(f"evaluate: {self.model}, seed {self.seed}") as show:
            while process.poll() is None:
                peak_bytes = max(peak_bytes, _resident_bytes(process.pid))
                shown_count = len(file.lines)
                if len(lines := file.read()) > shown_count:
                    show(stages_of(lines))
                time.sleep(SECONDS_BETWEEN_LOOKS)
            show(stages_of(file.read()))
        return peak_bytes

    def _failure(self, status: int) -> str:
        log = self.folder / LOG
        last_line = (log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"])[-1]
        return (
            f"{self.model} with seed {self.seed} failed (exit status {status}): {last_line.removeprefix('artrec: ')}; "
            f"its log is {log}, and `artrec evaluate` continues from here"
        )


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants. A page that several of them share counts for each."""
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
