"""What every step has in common: its night, its fingerprint, its figures, its command line."""

import hashlib
import io
import logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict

import artrec_core
from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake, Manifest, Part, day_of, digest_of
from artrec_core.locks import locked
from artrec_core.processes import ending_in_order
from artrec_core.stores import Place, advised
from artrec_core.urls import redacted

Figures = dict[str, Any]
log = logging.getLogger("artrec")


class StepManifest(BaseModel):
    """What a step did for a night: the line of figures it ends with, kept as a note of the day."""

    model_config = ConfigDict(extra="forbid")
    step: str
    run_date: str
    fingerprint: str
    made_from: dict[str, str]
    figures: dict[str, Any]
    seconds: float
    peak_memory_mb: int
    code_version: str
    unchanged: bool = False  # the latest run found nothing to do; all else tells of the run that did the work

    def line(self) -> str:
        """One line for a log: `crawl 2026-03-30: artworks 430, events 60,112 (2.1 s, 310 MB)`."""
        shown = ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.figures.items())
        return f"{self.step} {self.run_date}: {shown} ({self.seconds:.1f} s, {self.peak_memory_mb:,} MB)"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass
class Night:
    """One night of one recipe, as a step sees it."""

    recipe: Recipe
    day: str
    fingerprint: str = ""
    made_from: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lake = Lake(self.recipe.store.lake)
        self._begun = time.monotonic()

    def commit(
        self,
        table: str,
        writers: dict[str, list[Part]],
        figures: Figures | None = None,
        model_version: str | None = None,
    ) -> Manifest:
        """Swap in the day of a table as made by this step from its inputs."""
        return self.lake.commit(
            table,
            self.day,
            writers,
            fingerprint=self.fingerprint,
            code_version=code_version(),
            made_from=self.made_from,
            figures=figures,
            seconds=time.monotonic() - self._begun,
            model_version=model_version,
        )

    def step_manifest(self, step: str) -> StepManifest | None:
        """What a step did for this night, or None."""
        raw = self.lake.read_note(f"{step}.json", self.day)
        return None if raw is None else StepManifest.model_validate_json(raw)


@dataclass(frozen=True)
class Step:
    """A step of the night.

    `inputs` names what the step is made from with a digest each (it raises `MissingPartition` where an input is not
    there); `settings` are the parts of the recipe it depends on; `run` does the work and returns its figures. A step whose
    output is gone runs again: `notes` are the files it leaves beside the tables, and `stands` says whether all else of the
    same fingerprint is still there, by default, whether every table in `outputs` is.
    """

    name: str
    help: str
    outputs: tuple[str, ...]
    inputs: Callable[[Night], dict[str, str]]
    settings: Callable[[Recipe], Any]
    run: Callable[[Night], Figures]
    stands: Callable[[Night], bool] | None = None
    notes: tuple[str, ...] = ()


def run_step(step: Step, recipe: Recipe, day: str) -> StepManifest:
    """Run a step for a night, or say that nothing changed since it last ran; its manifest is printed and returned.

    Of two that are started at once, in one store, the second waits for the first.
    """
    Lake(recipe.store.lake).check_writable()
    # The second would do the same work beside the first; and trainings of one fingerprint meet in one folder.
    lock = Path(recipe.store.work) / "locks" / f"{step.name}-{day}.lock"
    with locked(lock, f"{step.name} {day}: another run of it is at work in this store; waiting for it"):
        return _run_alone(step, recipe, day)


def _run_alone(step: Step, recipe: Recipe, day: str) -> StepManifest:
    night = night_of(step, recipe, day)
    before = night.step_manifest(step.name)
    if before is not None and before.fingerprint == night.fingerprint and _stands(step, night):
        print(f"{step.name} {day}: unchanged since it last ran; nothing to do", flush=True)
        marked = before.model_copy(update={"unchanged": True})
        night.lake.write_note(f"{step.name}.json", day, marked.model_dump_json(indent=1).encode())
        return before
    begun = time.monotonic()
    figures = step.run(night)
    manifest = StepManifest(
        step=step.name,
        run_date=day,
        fingerprint=night.fingerprint,
        made_from=night.made_from,
        figures=figures,
        seconds=round(time.monotonic() - begun, 2),
        peak_memory_mb=_peak_memory_mb(),
        code_version=code_version(),
    )
    night.lake.write_note(f"{step.name}.json", day, manifest.model_dump_json(indent=1).encode())
    print(manifest.line(), flush=True)
    return manifest


def night_of(step: Step, recipe: Recipe, day: str) -> Night:
    """The night as the step sees it: what it is made from and its fingerprint; `MissingPartition` where an input is not there."""
    night = Night(recipe, day)
    night.made_from = step.inputs(night)
    night.fingerprint = digest_of([step.name, code_version(), night.made_from, _plain(step.settings(recipe))])
    return night


def _stands(step: Step, night: Night) -> bool:
    if any(night.lake.read_note(note, night.day) is None for note in step.notes):
        return False
    if step.stands is not None:
        return step.stands(night)
    return all(night.lake.stands(table, night.day, night.fingerprint) for table in step.outputs)


def _plain(settings: Any) -> Any:
    if isinstance(settings, BaseModel):
        return settings.model_dump(mode="json")
    if isinstance(settings, list | tuple):
        return [_plain(one) for one in settings]
    return settings


@cache
def code_version() -> str:
    """A digest of the code that makes the tables: the same sources, the same version."""
    root = Path(artrec_core.__file__).parent.parent
    files = sorted(path for name in ("artrec_core", "expectations", "jobs") for path in (root / name).rglob("*.py"))
    digest = hashlib.blake2b(digest_size=6)
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _peak_memory_mb() -> int:
    """Peak resident memory of this process or of its largest child, in MB."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak // 1024)


ConfigOption = Annotated[str, typer.Option("--config", "-c", help="The recipe, a TOML file.", metavar="FILE")]
DateOption = Annotated[str, typer.Option("--date", "-d", help="The night, YYYY-MM-DD.", metavar="DATE")]
SetOption = Annotated[
    list[str], typer.Option("--set", "-s", help="Override one value, as in train.text_epochs=1.", metavar="KEY=VALUE")
]


def step_command(step: Step) -> Callable[[str, str, list[str]], None]:
    """The command line of a step, the same under `artrec <step>` and `python -m jobs.<step>`."""

    def command(config: ConfigOption, date: DateOption, overrides: SetOption = []) -> None:  # noqa: B006
        run_step(step, load(config, overrides), day_of(date))

    command.__doc__ = step.help
    return command


def main(step: Step) -> None:
    """`python -m jobs.<step>`."""
    run_command(step_command(step), f"python -m jobs.{step.name}")


def run_command(command: Any, name: str) -> None:
    """Run a typer command (or app); an `ArtrecError` ends it with one line and exit status 1, a signal in order."""
    set_up_log()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Through a pipe too, each line is there when it is said.
        sys.stdout.reconfigure(line_buffering=True)
    app = command
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
    with ending_in_order():
        try:
            app(prog_name=name)
        except ArtrecError as error:
            print(f"artrec: {error}", file=sys.stderr, flush=True)
            sys.exit(1)
        except Exception as error:
            print(_last_words(error), file=sys.stderr, flush=True)
            sys.exit(1)


def _last_words(error: Exception) -> str:
    """One line where it is a file that cannot be written or read; else the traceback, without a password that it quotes."""
    try:
        if isinstance(error, OSError):
            with advised(Place("a file", str(error.filename or ""), "its key in the recipe")):
                raise error
    except ArtrecError as advice:
        return f"artrec: {advice}"
    except OSError:
        pass
    return redacted("".join(traceback.format_exception(error)).rstrip())


class RedactedFormatter(logging.Formatter):
    """Lines of a log in which URLs have no passwords, whoever wrote them."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return redacted(super().format(record))


def set_up_log() -> None:
    """Plain log lines on standard error; libraries are heard only when they warn."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactedFormatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    log.setLevel(os.environ.get("ARTREC_LOG_LEVEL", "INFO"))
