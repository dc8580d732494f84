"""train: a new model version from the night's catalogue and histories, measured beside the baselines and registered."""

import json
import math
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.lake import day_of
from jobs.progress import progress
from jobs.step import ConfigOption, DateOption, Figures, Night, SetOption, Step, code_version, run_command, run_step

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.data.holdout import Holdout
    from artrec_core.model.registry import Registry
    from artrec_core.model.training_data import TrainingData

INPUTS = ("catalogue", "histories", "people")
# What the report page draws: losses, validation, the figures of the model and of the baselines.
NOTE = "training.json"
FIRST_CHAMPION = "the first version; there was nothing to compare it with"


def inputs(night: Night) -> dict[str, str]:
    """The night's tables."""
    return {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in INPUTS}


def settings(recipe: Recipe) -> list[Any]:
    """What a version depends on."""
    return [recipe.model, recipe.train, recipe.encode]


def run(night: Night) -> Figures:
    """Train, measure, register; the first version becomes the champion."""
    from artrec_core.model.base_models import prepared
    from artrec_core.model.launch import launch
    from artrec_core.model.registry import FINGERPRINT, Registry
    from artrec_core.recs.held_out import held_out_ndcg

    recipe, begun = night.recipe, time.monotonic()
    base = prepared(recipe.model.base, recipe.store.models)
    folder = _run_folder(night)
    data, held_out = _data(night, base)
    data.save(folder / "data")
    registry = Registry(recipe.store)
    tags = _tags(night) | {FINGERPRINT: night.fingerprint}
    (folder / "failed.txt").unlink(missing_ok=True)
    with _followed(registry, recipe, tags, folder) as follower:
        launch(recipe, folder, base, held_out_ndcg)
    launched = time.monotonic() - begun
    measured = _measured(folder, data, held_out)
    seconds = _seconds(follower.lines, launched)
    figures: Figures = {"people_tested": held_out.test.height, **measured, "seconds": seconds}
    version = registry.register(folder / "model", figures, tags, follower.run_id)
    registry.log_metrics(follower.run_id, _flat(measured))
    registry.end_run(follower.run_id)
    if registry.champion() is None:
        version = registry.promote(version, FIRST_CHAMPION)
    curves = {
        "version": version.name,
        "lines": follower.lines,
        "figures": figures,
        "tags": tags,
        "run_id": follower.run_id,
    }
    night.lake.write_note(NOTE, night.day, json.dumps(curves, indent=1).encode())
    shutil.rmtree(folder, ignore_errors=True)
    return {"version": version.name, "champion": registry.champion().name, **figures}  # type: ignore[union-attr]


def _run_folder(night: Night) -> Path:
    """Where the workers of this run meet; it goes when everything it holds is registered and noted."""
    return Path(night.recipe.store.work).resolve() / "train" / night.fingerprint


def _tags(night: Night) -> dict[str, str]:
    """What a version was made from; a version without its seed, data digests and code version is not registered."""
    return {
        "run_date": night.day,
        "seed": str(night.recipe.train.seed),
        "code_version": code_version(),
        "data": json.dumps(night.made_from, sort_keys=True),
        "recipe": night.recipe.name,
        "base": night.recipe.model.base,
        "tuning": night.recipe.model.tuning,
    }


def _data(night: Night, base: Path) -> tuple["TrainingData", "Holdout"]:
    """What the workers read: nothing in it tells of the test works."""
    import numpy as np

    from artrec_core.columns import ARTWORK_ID, DOCUMENT, USER_ID
    from artrec_core.data.holdout import leave_one_out
    from artrec_core.model.batches import sequences
    from artrec_core.model.embeddings import distinct_interests
    from artrec_core.model.training_data import TrainingData
    from jobs.embed import everyone

    catalogue = night.lake.read("catalogue", night.day).sort(ARTWORK_ID)
    histories = night.lake.read("histories", night.day)
    people = everyone(night.lake.read("people", night.day), histories)
    held_out = leave_one_out(in_catalogue(histories, catalogue))
    user_ids, artwork_ids = people[USER_ID].to_list(), catalogue[ARTWORK_ID].to_list()
    documents = catalogue[DOCUMENT].to_list()
    interests, interest_of = distinct_interests(people)
    validation = np.stack(
        [_rows(held_out.validation[USER_ID], user_ids), _rows(held_out.validation[ARTWORK_ID], artwork_ids)], 1
    )
    told = sequences(held_out.train, user_ids, artwork_ids)
    data = TrainingData(
        artwork_ids=artwork_ids,
        documents=documents,
        interests=interests,
        interest_of=interest_of,
        queries=queries(catalogue),
        histories=told,
        validation=validation,
        text_vectors=_frozen_vectors(night, base, catalogue, interests),
        people=user_ids,
        refit=sequences(held_out.before_test, user_ids, artwork_ids) if night.recipe.train.refit else None,
    )
    return data, held_out


def in_catalogue(histories: "pl.DataFrame", catalogue: "pl.DataFrame") -> "pl.DataFrame":
    """The events with works that can be recommended: what cannot be found again is nothing to be measured by."""
    return histories.join(catalogue.select("artwork_id"), on="artwork_id", how="semi", maintain_order="left")


def queries(catalogue: "pl.DataFrame") -> list[tuple[str, int]]:
    """(text, row) pairs a work may be asked for by: its title, its makers, its subjects, its movement and culture."""
    import polars as pl

    from artrec_core.columns import CLASSIFICATION, CULTURE, MEDIUM, MOVEMENT, SUBJECTS, TITLE
    from artrec_core.data.artwork import creator_names

    asked = catalogue.select(
        pl.col(TITLE),
        creator_names().list.join(", ").alias("makers"),
        pl.col(SUBJECTS).list.drop_nulls().list.join(", ").alias("subjects"),
        pl.concat_str([MOVEMENT, CULTURE], separator=", ", ignore_nulls=True).alias("movement"),
        pl.concat_str([CLASSIFICATION, MEDIUM], separator=", ", ignore_nulls=True).alias("medium"),
    )
    return [(text, row) for row, texts in enumerate(asked.iter_rows()) for text in texts if text]


def _frozen_vectors(night: Night, base: Path, catalogue: "pl.DataFrame", interests: list[str]) -> Any:
    """Text vectors of a tower that does not move: encoded once, kept as the night's text_vectors, taken over by embed."""
    import numpy as np
    import torch

    from artrec_core.columns import CONTENT_HASH
    from artrec_core.model.text_encoder import TextEncoder, encode
    from artrec_core.recs.arrays import vectors_of
    from jobs.embed import encode_documents

    model = night.recipe.model
    if model.tuning != "frozen":
        return None
    if night.recipe.encode.threads is not None:
        torch.set_num_threads(night.recipe.encode.threads)
    encoder = TextEncoder.load(base, pooling=model.pooling, max_tokens=model.max_tokens, precision=model.precision)
    parts, encoded, reused = encode_documents(night, encoder, encoder.digest(), catalogue)
    night.commit("text_vectors", parts, {"documents_encoded": encoded, "documents_reused": reused})
    table = night.lake.read("text_vectors", night.day)
    documents, _ = vectors_of(catalogue[CONTENT_HASH], table, CONTENT_HASH)
    return np.concatenate([documents, encode(encoder, interests, batch_tokens=night.recipe.encode.batch_tokens)])


def _rows(values: "pl.Series", among: list[str]) -> Any:
    import numpy as np

    where = {one: row for row, one in enumerate(among)}
    return np.array([where[one] for one in values.to_list()], np.int64)


def _measured(folder: Path, data: "TrainingData", held_out: "Holdout") -> dict[str, dict[str, float]]:
    """HR, NDCG and MRR on the test works, of the model and of the baselines, all from what came before the test."""
    import numpy as np
    import torch

    from artrec_core.columns import ARTWORK_ID, USER_ID
    from artrec_core.model.batches import sequences
    from artrec_core.model.train_loop import VECTORS
    from artrec_core.model.two_tower import TwoTower
    from artrec_core.model.user_phase import user_states
    from artrec_core.recs.baselines import Als, Baseline, Ease, Popularity
    from artrec_core.recs.held_out import KS, held_out_accuracy, seen_works
    from artrec_core.recs.metrics import rank_accuracy, ranks_of_scores

    people, targets = _rows(held_out.test[USER_ID], data.people), _rows(held_out.test[ARTWORK_ID], data.artwork_ids)
    if not len(people):
        return {}
    before = sequences(held_out.before_test, data.people, data.artwork_ids)
    tower = TwoTower.load(folder / "model")
    vectors = data.text_vectors if data.text_vectors is not None else np.load(folder / VECTORS)
    text, interests = np.split(np.array(vectors), [len(data.documents)])
    with torch.inference_mode():
        works = tower.works(torch.from_numpy(text), torch.arange(len(text)))
        users = user_states(tower, works, torch.from_numpy(interests), data.interest_of, before, people)
    found = {"model": held_out_accuracy(users.numpy(), works.numpy(), before.take(people), targets)}
    interactions = seen_works(before, len(text))
    exclude = interactions[people]
    baselines: list[Baseline] = [Popularity(), Als(), Ease()]
    for baseline in baselines:
        baseline.fit(interactions)
        blocks = [
            ranks_of_scores(baseline.scores(people[some]), targets[some], exclude=exclude[some])
            for some in (slice(start, start + 1024) for start in range(0, len(people), 1024))
        ]
        better, tied = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        found[baseline.name] = rank_accuracy(better, tied, KS)
    return {
        name: {figure: round(float(each.mean()), 4) for figure, each in values.items()}
        for name, values in found.items()
    }


def _flat(measured: dict[str, dict[str, float]]) -> list[tuple[str, float, int]]:
    return [(f"test/{who}/{name}", value, 0) for who, values in measured.items() for name, value in values.items()]


def _seconds(lines: list[dict[str, Any]], launched: float) -> dict[str, float]:
    phases = {str(line["phase"]): float(line["seconds"]) for line in lines if line.get("done")}
    return {"start_up": round(launched - sum(phases.values()), 1)} | {
        name: round(one, 1) for name, one in phases.items()
    }


class _Follower:
    """Reads the lines that the workers write, shows them, and logs them to MLflow as they come."""

    def __init__(self, registry: "Registry", recipe: Recipe, tags: dict[str, str], file: Path) -> None:
        self.registry, self.recipe, self.tags, self.file = registry, recipe, tags, file
        self.lines: list[dict[str, Any]] = []
        self.run_id = ""
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        try:
            parameters = {**self.recipe.model.model_dump(), **self.recipe.train.model_dump()}
            self.run_id = self.registry.start_run(self.recipe.train.experiment, self.tags, parameters)
            with progress("train: steps of the text tower, then passes of the user tower", None) as advance:
                while not self.ended.wait(1.0):
                    self._log(advance)
                self._log(advance)
        except Exception as error:  # raised again where the training is waited for
            self.error = error

    def _log(self, advance: Any) -> None:
        lines = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        fresh, self.lines = lines[len(self.lines) :], lines
        metrics = [
            (f"{line['phase']}/{name}", float(line[name]), int(line.get("step", line.get("epoch", 0))))
            for line in fresh
            for name in ("loss", "validation")
            if name in line
        ]
        if metrics:
            self.registry.log_metrics(self.run_id, metrics)
        advance(sum("epoch" in line or "loss" in line for line in fresh))


@contextmanager
def _followed(registry: "Registry", recipe: Recipe, tags: dict[str, str], folder: Path) -> Iterator[_Follower]:
    follower = _Follower(registry, recipe, tags, folder / "metrics.jsonl")
    follower.thread.start()
    try:
        yield follower
    except BaseException:
        follower.ended.set()
        follower.thread.join()
        if follower.run_id:
            registry.end_run(follower.run_id, "FAILED")
        raise
    follower.ended.set()
    follower.thread.join()
    if follower.error is not None:
        raise ArtrecError(f"MLflow at {recipe.store.mlflow} cannot be written ({follower.error})") from follower.error


def _registered(night: Night) -> bool:
    from artrec_core.model.registry import Registry

    return Registry(night.recipe.store).find(night.fingerprint) is not None


def _has_champion(night: Night) -> bool:
    from artrec_core.model.registry import Registry

    return Registry(night.recipe.store).champion() is not None


def run_if_needed(night: Night) -> Figures:
    """Train only where no version is served yet."""
    from artrec_core.model.registry import Registry

    champion = Registry(night.recipe.store).champion()
    # Of this night's own version, what a kill left to do (the note) is done first; its training is not repeated.
    unfinished = _run_folder(night).exists()
    return {"champion": champion.name, "trained": 0} if champion is not None and not unfinished else run(night)


HELP = "Train a model version, measure it beside popularity, ALS and EASE, and register it."
STEP = Step("train", HELP, (), inputs, settings, run, _registered)
# The nightly run: the champion stands whatever the day's data.
IF_NEEDED = Step("train", HELP, (), inputs, settings, run_if_needed, _has_champion)


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    if_needed: Annotated[bool, typer.Option("--if-needed", help="Train only where there is no champion yet.")] = False,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Make the version champion if it passes the gate.")
    ] = False,
) -> None:
    """Train a model version, measure it beside popularity, ALS and EASE, and register it."""
    recipe = load(config, overrides)
    manifest = run_step(IF_NEEDED if if_needed else STEP, recipe, day_of(date))
    if promote and "version" in manifest.figures:
        print(f"train {date}: {promoted(recipe, manifest.figures)}", flush=True)


def promoted(recipe: Recipe, figures: Figures) -> str:
    """Make the trained version champion if it passes the gate, and say so.

    The gate: on the same held-out events it places works better than the popular list does. A model that is empty, broken
    or not a number does not. `GateFailed` leaves the champion as it is.
    """
    from artrec_core.model.registry import Registry

    model, popular = (float(figures.get(name, {}).get("ndcg@10", math.nan)) for name in ("model", "popularity"))
    name = str(figures["version"])
    told = f"NDCG@10 {model:.4f}, popularity {popular:.4f} on the same held-out events"
    if not model > popular:
        raise GateFailed(f"version {name} is registered but not promoted: {told}; the champion stays as it was")
    Registry(recipe.store).promote(name, told)
    return f"version {name} is champion now: {told}"


if __name__ == "__main__":
    run_command(command, "python -m jobs.train")
