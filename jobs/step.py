"""What all steps share: the night, the fingerprint, the manifest with figures, and the command line."""

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
from artrec_core.lake import Lake, Manifest, Part, digest_of, parse_day
from artrec_core.locks import hold_lock
from artrec_core.processes import exit_on_signals
from artrec_core.stores import StoreAddress, explain_errors
from artrec_core.urls import redact

Figures = dict[str, Any]
log = logging.getLogger("artrec")


class StepManifest(BaseModel):
    """What a step did for a night; stored as a note of the day, and printed as one line.

    Attributes
    ----------
    made_from : a digest of each input, by its name
    figures : counts and measures, by their names
    seconds : time that the work took
    peak_memory_mb : peak resident memory of the process or of its largest child
    unchanged : whether the latest run found nothing to do; all other fields describe the run that did the work
    """

    model_config = ConfigDict(extra="forbid")
    step: str
    run_date: str
    fingerprint: str
    made_from: dict[str, str]
    figures: dict[str, Any]
    seconds: float
    peak_memory_mb: int
    code_version: str
    unchanged: bool = False

    def line(self) -> str:
        """One line for a log: `crawl 2026-03-30: artworks 430, events 60,112 (2.1 s, 310 MB)`."""
        figures = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in self.figures.items())
        return f"{self.step} {self.run_date}: {figures} ({self.seconds:.1f} s, {self.peak_memory_mb:,} MB)"


def _text(figure: object) -> str:
    if isinstance(figure, dict):
        return "{" + ", ".join(f"{name} {_text(value)}" for name, value in figure.items()) + "}"
    if isinstance(figure, int) and not isinstance(figure, bool):
        return f"{figure:,}"
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)


@dataclass
class Night:
    """One night of a recipe, as a step sees it.

    Attributes
    ----------
    recipe : the recipe
    day : the run date, YYYY-MM-DD
    fingerprint : digest of the step's name, code, inputs and settings
    made_from : a digest of each input, by its name
    lake : the lake of the recipe
    """

    recipe: Recipe
    day: str
    fingerprint: str = ""
    made_from: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lake = Lake(self.recipe.store.lake)
        self._started = time.monotonic()

    def commit(
        self,
        table: str,
        writers: dict[str, list[Part]],
        figures: Figures | None = None,
        model_version: str | None = None,
    ) -> Manifest:
        """Commit the day of a table, as this step made it from its inputs.

        Parameters
        ----------
        table
            Name of the lake table.
        writers
            The parts of each writer, by its name.
        figures
            Counts to store in the table's manifest.
        model_version
            The model version that made the rows, for tables that depend on one.

        Returns
        -------
        Manifest
            The manifest of the day, which replaces the one before.
        """
        return self.lake.commit(
            table,
            self.day,
            writers,
            fingerprint=self.fingerprint,
            code_version=code_version(),
            made_from=self.made_from,
            figures=figures,
            seconds=time.monotonic() - self._started,
            model_version=model_version,
        )

    def step_manifest(self, step: str) -> StepManifest | None:
        """The manifest of a step for this night; None if the step has not run."""
        raw = self.lake.read_note(f"{step}.json", self.day)
        return None if raw is None else StepManifest.model_validate_json(raw)


@dataclass(frozen=True)
class Step:
    """A step of the night.

    A step runs again if its fingerprint changed or if any of its output is missing.

    Attributes
    ----------
    name : the name of the command
    help : one sentence for `--help`
    outputs : the tables that the step commits
    inputs : the digests of its inputs by name; raises `MissingPartition` if an input is missing
    settings : the parts of the recipe that the step depends on
    run : does the work and returns its figures
    outputs_exist : whether the output of the same fingerprint is still there; by default, whether every table of `outputs` is
    notes : the files that the step writes beside the tables
    """

    name: str
    help: str
    outputs: tuple[str, ...]
    inputs: Callable[[Night], dict[str, str]]
    settings: Callable[[Recipe], Any]
    run: Callable[[Night], Figures]
    outputs_exist: Callable[[Night], bool] | None = None
    notes: tuple[str, ...] = ()


def run_step(step: Step, recipe: Recipe, day: str) -> StepManifest:
    """Run a step for a night, unless nothing changed since it last ran.

    If two runs of a step start at the same time in one store, the second waits for the first.

    Parameters
    ----------
    step
        The step.
    recipe
        The recipe.
    day
        The run date, YYYY-MM-DD.

    Returns
    -------
    StepManifest
        The manifest of this run, or of the earlier run if nothing changed. A line of its figures is printed.

    Raises
    ------
    ArtrecError
        If the step cannot do its work; the message says what to do.
    """
    Lake(recipe.store.lake).check_writable()
    # Without a lock the second run would do the same work again, and trainings of one fingerprint use the same folder.
    lock = Path(recipe.store.work) / "locks" / f"{step.name}-{day}.lock"
    with hold_lock(lock, f"{step.name} {day}: another run of this step is using the store; waiting for it"):
        return _run_alone(step, recipe, day)


def _run_alone(step: Step, recipe: Recipe, day: str) -> StepManifest:
    night = night_of(step, recipe, day)
    earlier = night.step_manifest(step.name)
    if earlier is not None and earlier.fingerprint == night.fingerprint and _outputs_exist(step, night):
        print(f"{step.name} {day}: unchanged since it last ran; nothing to do", flush=True)
        unchanged = earlier.model_copy(update={"unchanged": True})
        night.lake.write_note(f"{step.name}.json", day, unchanged.model_dump_json(indent=1).encode())
        return earlier
    started = time.monotonic()
    figures = step.run(night)
    manifest = StepManifest(
        step=step.name,
        run_date=day,
        fingerprint=night.fingerprint,
        made_from=night.made_from,
        figures=figures,
        seconds=round(time.monotonic() - started, 2),
        peak_memory_mb=_peak_memory_mb(),
        code_version=code_version(),
    )
    night.lake.write_note(f"{step.name}.json", day, manifest.model_dump_json(indent=1).encode())
    print(manifest.line(), flush=True)
    return manifest


def night_of(step: Step, recipe: Recipe, day: str) -> Night:
    """The night with the step's inputs and fingerprint; `MissingPartition` if an input is missing."""
    night = Night(recipe, day)
    night.made_from = step.inputs(night)
    night.fingerprint = digest_of([step.name, code_version(), night.made_from, _as_json(step.settings(recipe))])
    return night


def _outputs_exist(step: Step, night: Night) -> bool:
    if any(night.lake.read_note(note, night.day) is None for note in step.notes):
        return False
    if step.outputs_exist is not None:
        return step.outputs_exist(night)
    return all(night.lake.is_up_to_date(table, night.day, night.fingerprint) for table in step.outputs)


def _as_json(settings: Any) -> Any:
    if isinstance(settings, BaseModel):
        return settings.model_dump(mode="json")
    if isinstance(settings, list | tuple):
        return [_as_json(item) for item in settings]
    return settings


@cache
def code_version() -> str:
    """A digest of the source files of the library, the gates and the jobs."""
    root = Path(artrec_core.__file__).parent.parent
    files = sorted(path for name in ("artrec_core", "expectations", "jobs") for path in (root / name).rglob("*.py"))
    digest = hashlib.blake2b(digest_size=6)
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _peak_memory_mb() -> int:
    """Peak resident memory of this process or of its largest child, in MB."""
    peak = max(
        resource.getrusage(processes).ru_maxrss for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return int(peak // 1024)


ConfigOption = Annotated[str, typer.Option("--config", "-c", help="The recipe, a TOML file.", metavar="FILE")]
DateOption = Annotated[str, typer.Option("--date", "-d", help="The night's date, YYYY-MM-DD.", metavar="DATE")]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", "-s", help="Override one value of the recipe, as in train.text_epochs=1.", metavar="KEY=VALUE"
    ),
]


def step_command(step: Step) -> Callable[[str, str, list[str]], None]:
    """The typer command of a step, for `artrec <step>` and `python -m jobs.<step>`."""

    def command(config: ConfigOption, date: DateOption, overrides: SetOption = []) -> None:  # noqa: B006
        run_step(step, load(config, overrides), parse_day(date))

    command.__doc__ = step.help
    return command


def main(step: Step) -> None:
    """Run the command line of `python -m jobs.<step>`."""
    run_command(step_command(step), f"python -m jobs.{step.name}")


def run_command(command: Any, name: str) -> None:
    """Run a typer command or app.

    An `ArtrecError` is printed as one line, other errors as a traceback without passwords; both exit with status 1. After
    SIGTERM or SIGHUP, child processes are ended before the command exits.
    """
    set_up_log()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A pipe, too, gets each line when it is printed.
        sys.stdout.reconfigure(line_buffering=True)
    app = command
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
    with exit_on_signals():
        try:
            app(prog_name=name)
        except ArtrecError as error:
            print(f"artrec: {error}", file=sys.stderr, flush=True)
            sys.exit(1)
        except Exception as error:
            print(_error_text(error), file=sys.stderr, flush=True)
            sys.exit(1)


def _error_text(error: Exception) -> str:
    """One line if a file cannot be read or written; otherwise the traceback, without the passwords in it."""
    try:
        if isinstance(error, OSError):
            with explain_errors(StoreAddress("a file", str(error.filename or ""), "its key in the recipe")):
                raise error
    except ArtrecError as advice:
        return f"artrec: {advice}"
    except OSError:
        pass
    return redact("".join(traceback.format_exception(error)).rstrip())


class RedactedFormatter(logging.Formatter):
    """Removes passwords from all log lines, also from those of libraries."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return redact(super().format(record))


def set_up_log() -> None:
    """Write log lines to standard error: those of libraries from WARNING on, our own from ARTREC_LOG_LEVEL (default INFO) on."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactedFormatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    log.setLevel(os.environ.get("ARTREC_LOG_LEVEL", "INFO"))
