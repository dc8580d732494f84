"""The stages of a training, from the lines that its workers write (`artrec_core.model.run.Run.note`)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from jobs.progress import Stage, stages, time_left

# The workers' lines: one JSON object for each note, with its phase and the time (`at`, seconds).
TrainingLines: TypeAlias = list[dict[str, Any]]

NAMES = {
    "text": "text tower",
    "encode": "text vectors",
    "user": "user tower",
    "refit": "user tower on all events",
}
SECONDS_BETWEEN_LOOKS = 1.0
# The pace of this many latest lines gives the remaining time.
PACE_LINES = 50


class LinesFile:
    """The JSON lines of a file that grows. A line that is only half written is read the next time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: TrainingLines = []
        self._bytes_read = 0

    def read(self) -> TrainingLines:
        """All complete lines so far."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self._bytes_read)
                new_bytes = file.read()
            complete = new_bytes[: new_bytes.rfind(b"\n") + 1]
            self._bytes_read += len(complete)
            self.lines = [*self.lines, *(json.loads(line) for line in complete.splitlines())]
        return self.lines


@contextmanager
def show_stages(command: str, path: Path) -> Iterator[None]:
    """Show the stages of a training that runs in the block and writes its lines to the file `path`."""
    ended = threading.Event()
    thread = threading.Thread(target=_show_until, args=(command, LinesFile(path), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_until(command: str, file: LinesFile, ended: threading.Event) -> None:
    with stages(command) as show:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            show(stages_of(file.read()))
        show(stages_of(file.read()))


def stages_of(lines: TrainingLines) -> list[Stage]:
    """The stages of a training in their order, as they are at the last line. Only lines since the latest start count."""
    latest_start = max((row for row, line in enumerate(lines) if line["phase"] == "start"), default=0)
    progress_lines = [line for line in lines[latest_start:] if _progress(line) is not None]
    phases = dict.fromkeys(line["phase"] for line in progress_lines)
    return [_stage(phase, [line for line in progress_lines if line["phase"] == phase]) for phase in phases]


def _stage(phase: str, lines: TrainingLines) -> Stage:
    done, total = _progress(lines[-1]) or (0.0, 0.0)
    facts = [_position(lines[-1])]
    # A line in the middle of an epoch may have no metrics: those of the last line that has some are shown.
    for line in [line for line in lines if "loss" in line][-1:]:
        facts.append(f"loss {line['loss']:.2f}")
        if "validation" in line:
            facts.append(f"validation NDCG@10 {line['validation']:.3f}".replace(" 0.", " ."))
    if (seconds := _seconds_left(lines[-PACE_LINES:])) is not None:
        facts.append(time_left(seconds))
    return Stage(phase, done, total, f"{NAMES[phase]} {', '.join(facts)}")


def _progress(line: dict[str, Any]) -> tuple[float, float] | None:
    """How much of its phase is done at a line, and the total in the same unit; None if the line does not say."""
    match line:
        case {"phase": "text", "step": step, "steps": steps}:
            return step, steps
        case {"phase": "encode", "text": text, "texts": texts}:
            return text, texts
        case {"epoch": epoch, "epochs": epochs}:
            return epoch, epochs
        case {"in_epoch": epoch, "epochs": epochs, "step": step, "steps": steps}:
            return epoch - 1 + step / steps, epochs
    return None


def _position(line: dict[str, Any]) -> str:
    if "text" in line:
        return f"{line['text']:,} of {line['texts']:,}"
    epoch = f"epoch {line.get('epoch', line.get('in_epoch'))} of {line['epochs']}"
    return f"{epoch}, step {line['step']:,} of {line['steps']:,}" if "step" in line else epoch


def _seconds_left(lines: TrainingLines) -> float | None:
    """The remaining seconds at the pace of these lines; None if there is no pace yet, or nothing remains.

    The first line only gives the start time of the pace.
    """
    (first, _), (last, total) = (_progress(line) or (0.0, 0.0) for line in (lines[0], lines[-1]))
    if not first < last < total:
        return None
    return float((lines[-1]["at"] - lines[0]["at"]) / (last - first) * (total - last))
