"""What a training is at, by the lines that its workers write (`artrec_core.model.run.Run.note`)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.progress import Stage, stages, time_left

Lines = list[dict[str, Any]]

NAMES = {
    "text": "text tower",
    "encode": "text vectors",
    "user": "user tower",
    "refit": "user tower on all events",
}
SECONDS_BETWEEN_LOOKS = 1.0
# So many of the latest lines say how long the rest takes.
PACE_LINES = 50


class LinesFile:
    """The lines of a file that grows; one that is half written is read the next time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: Lines = []
        self._read = 0

    def read(self) -> Lines:
        """All lines so far."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self._read)
                fresh = file.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            self._read += len(whole)
            self.lines = [*self.lines, *(json.loads(line) for line in whole.splitlines())]
        return self.lines


@contextmanager
def shown(command: str, path: Path) -> Iterator[None]:
    """Show what a training is at that goes on in the block and writes its lines to this file."""
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(command, LinesFile(path), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(command: str, file: LinesFile, ended: threading.Event) -> None:
    with stages(command) as show:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            show(stages_of(file.read()))
        show(stages_of(file.read()))


def stages_of(lines: Lines) -> list[Stage]:
    """The stages of a training in their order, each as it is now; of the latest start, where it was begun again."""
    begun = max((row for row, line in enumerate(lines) if line["phase"] == "start"), default=0)
    counted = [line for line in lines[begun:] if _count(line) is not None]
    phases = dict.fromkeys(line["phase"] for line in counted)
    return [_stage(phase, [line for line in counted if line["phase"] == phase]) for phase in phases]


def _stage(phase: str, lines: Lines) -> Stage:
    done, total = _count(lines[-1]) or (0.0, 0.0)
    facts = [_where(lines[-1])]
    # In the middle of an epoch, the figures are those of the last one.
    for line in [line for line in lines if "loss" in line][-1:]:
        facts.append(f"loss {line['loss']:.2f}")
        if "validation" in line:
            facts.append(f"validation NDCG@10 {line['validation']:.3f}".replace(" 0.", " ."))
    if (seconds := _seconds_left(lines[-PACE_LINES:])) is not None:
        facts.append(time_left(seconds))
    return Stage(phase, done, total, f"{NAMES[phase]} {', '.join(facts)}")


def _count(line: dict[str, Any]) -> tuple[float, float] | None:
    """How much of its phase was done at a line, of how much; None where the line does not tell."""
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


def _where(line: dict[str, Any]) -> str:
    if "text" in line:
        return f"{line['text']:,} of {line['texts']:,}"
    epoch = f"epoch {line.get('epoch', line.get('in_epoch'))} of {line['epochs']}"
    return f"{epoch}, step {line['step']:,} of {line['steps']:,}" if "step" in line else epoch


def _seconds_left(lines: Lines) -> float | None:
    """At the pace of these lines, the first of which only tells when the others began."""
    (first, _), (last, total) = (_count(line) or (0.0, 0.0) for line in (lines[0], lines[-1]))
    if not first < last < total:
        return None
    return float((lines[-1]["at"] - lines[0]["at"]) / (last - first) * (total - last))
