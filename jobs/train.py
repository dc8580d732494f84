"""train: train a model version on the night's catalogue and histories, measure it beside the baselines, register it."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artrec_core.config import Recipe, load
from artrec_core.errors import GateFailed
from artrec_core.lake import digest_of, parse_day
from jobs.step import ConfigOption, DateOption, Figures, Night, SetOption, Step, code_version, run_command, run_step
from jobs.training.mlflow_follower import best_epoch, follow_training, phase_seconds
from jobs.training.tags import BASELINE_SETTINGS, HOLDOUT, REFIT, SETTINGS

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.arrays import Float64Array
    from artrec_core.model.registry import Registry, Version
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.training_split import TrainingSplit

INPUTS = ("catalogue", "histories", "people")
# The note for the report page: losses, validation, and the metrics of the model and of the baselines.
NOTE = "training.json"
FIRST_CHAMPION = "the first version; there was nothing to compare it with"
LOST_CHAMPION = "the files of version {} are gone; there was nothing to compare it with"
# Where nothing is held out, the vectors of so many users are checked.
USERS_TO_CHECK = 1000
# Keys of `train` that have no influence on the best number of epochs.
NOT_OF_EPOCHS = {
    "holdout", "workers", "use_gpu", "launcher", "deepspeed", "max_failures", "experiment", "seed", "baselines",
}  # fmt: skip
# The metrics that are registered, at each length of list.
REGISTERED_METRICS = ("hr", "ndcg", "mrr")


def inputs(night: Night) -> dict[str, str]:
    """The night's tables."""
    return {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in INPUTS}


def settings(recipe: Recipe) -> list[Any]:
    """What a version depends on."""
    return [recipe.model, recipe.train, recipe.encode]


def run(night: Night) -> Figures:
    """Train, measure and register a version; the first one becomes the champion, so that the night can go on."""
    from artrec_core.model.registry import Registry

    version = train_version(night)
    registry = Registry(night.recipe.store)
    champion = _ensure_champion(version, registry)
    return {"version": version.name, "champion": champion.name, **version.figures}


def _ensure_champion(version: "Version", registry: "Registry") -> "Version":
    """The champion; the new version becomes the champion if there is none or if the champion's files are gone."""
    from artrec_core.model.registry import ChampionChanged

    champion = registry.champion()
    if champion is not None and registry.has_files(champion):
        return champion
    reason = FIRST_CHAMPION if champion is None else LOST_CHAMPION.format(champion.name)
    try:
        return registry.promote(version, reason, by="train", instead_of=None if champion is None else champion.name)
    except ChampionChanged:  # another training ended at the same moment
        return _ensure_champion(version, registry)


def run_challenger(night: Night) -> Figures:
    """Train, measure and register a version; the gate decides whether it is promoted."""
    version = train_version(night)
    return {"version": version.name, **version.figures}


def train_version(night: Night) -> "Version":
    """The version of this night's inputs, settings and code. A training that was killed goes on.

    Raises
    ------
    GateFailed
        If the model must not be served. Then it is not registered.
    """
    from artrec_core.model.distributed.launch import launch, training_cluster
    from artrec_core.model.registry import FINGERPRINT, Registry

    registry, folder, started = Registry(night.recipe.store), _run_folder(night), time.monotonic()
    version = registry.find(night.fingerprint)
    if version is not None and registry.has_files(version) and not folder.exists():
        return version
    recipe = _with_known_epochs(night.recipe, registry)
    tags = _tags(night) | {FINGERPRINT: night.fingerprint}
    (folder / "failed.txt").unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as executor:
        # Ray's start waits for its own processes: the data are prepared in the meantime.
        prepared = executor.submit(_prepare, night, folder)
        with training_cluster(recipe):
            base, split, data = prepared.result()
            # Imported here, because the import would keep Ray waiting.
            from artrec_core.evaluation.ranking import held_out_ndcg
            from artrec_core.model.run import METRICS

            with follow_training(registry, recipe, tags, folder / METRICS) as follower:
                launch(recipe, folder, base, held_out_ndcg if recipe.train.holdout else None)
                launched = time.monotonic() - started
                metrics, baseline_settings = _measure(night, folder, data, split)
    figures: Figures = {
        "people_tested": len(split.test_users),
        "epochs": best_epoch(follower.lines),
        **metrics,
        **({BASELINE_SETTINGS: baseline_settings} if baseline_settings else {}),
        "seconds": phase_seconds(follower.lines, launched),
    }
    if registry.champion() is None:
        _keep_vectors(night, folder, data, split)
    version = registry.register(folder / "model", figures, tags, follower.run_id)
    registry.log_metrics(follower.run_id, _flatten(metrics))
    registry.end_run(follower.run_id)
    note = {
        "version": version.name,
        "model": version.model_digest,
        "lines": follower.lines,
        "figures": figures,
        "tags": tags,
        "run_id": follower.run_id,
    }
    night.lake.write_note(NOTE, night.day, json.dumps(note, indent=1).encode())
    shutil.rmtree(folder, ignore_errors=True)
    return version


def _prepare(night: Night, folder: Path) -> "tuple[Path, TrainingSplit, TrainingData]":
    """The base model, the split, and the training data, which are also written into the run's folder."""
    from artrec_core.model.base_models import text_base
    from artrec_core.model.training_split import read_training_split

    base = text_base(night.recipe.model, night.recipe.store.models, lambda: _documents(night))
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    data = _training_data(night, base, split)
    data.save(folder / "data")
    return base, split, data


def _documents(night: Night) -> list[str]:
    from artrec_core.columns import DOCUMENT

    texts: list[str] = night.lake.read("catalogue", night.day)[DOCUMENT].to_list()
    return texts


def _with_known_epochs(recipe: Recipe, registry: "Registry") -> Recipe:
    """The recipe with a number of epochs for a training without a holdout, which cannot tell when to stop.

    It is the number that validated best in the last training with the same settings; without one, `user_epochs` stays.
    """
    if recipe.train.holdout:
        return recipe
    same_settings = [
        version for version in registry.versions() if version.tags.get(SETTINGS) == _settings_digest(recipe)
    ]
    epochs = [
        int(version.figures["epochs"])
        for version in same_settings
        if version.tags.get(HOLDOUT) == "true" and version.figures.get("epochs")
    ]
    if not epochs:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"user_epochs": epochs[-1]})})


def _settings_digest(recipe: Recipe) -> str:
    return digest_of([recipe.model.model_dump(), recipe.train.model_dump(exclude=NOT_OF_EPOCHS)])


def _run_folder(night: Night) -> Path:
    """The folder that the workers of this run share. It is removed when its contents are registered and noted."""
    return Path(night.recipe.store.work).resolve() / "train" / night.fingerprint


def _tags(night: Night) -> dict[str, str]:
    """What a version was made from: seed, data digests, code version and settings."""
    return {
        "run_date": night.day,
        "seed": str(night.recipe.train.seed),
        "code_version": code_version(),
        "data": json.dumps(night.made_from, sort_keys=True),
        "recipe": night.recipe.name,
        "base": night.recipe.model.base,
        "tuning": night.recipe.model.tuning,
        HOLDOUT: str(night.recipe.train.holdout).lower(),
        REFIT: str(night.recipe.train.refit).lower(),
        SETTINGS: _settings_digest(night.recipe),
    }


def _training_data(night: Night, base: Path, split: "TrainingSplit") -> "TrainingData":
    """What the workers read, with text vectors if the text tower is frozen."""
    train = night.recipe.train
    data = split.training_data(refit=train.refit and train.holdout)
    return replace(data, text_vectors=_frozen_vectors(night, base, split.catalogue, data))


def _frozen_vectors(night: Night, base: Path, catalogue: "pl.DataFrame", data: "TrainingData") -> Any:
    """Text vectors of a frozen tower. They are the night's `text_vectors`, so that embed need not encode again."""
    import numpy as np
    import torch

    from artrec_core.columns import CONTENT_HASH
    from artrec_core.model.text_encoder import TextEncoder, encode
    from artrec_core.recs.inputs.arrays import vectors_of
    from jobs.embedding.documents import encode_documents

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
    other_texts = data.texts[len(data.documents) :]
    return np.concatenate([documents, encode(encoder, other_texts, batch_tokens=night.recipe.encode.batch_tokens)])


def _keep_vectors(night: Night, folder: Path, data: "TrainingData", split: "TrainingSplit") -> None:
    """Keep the text vectors of the first version's training as the night's, so that embed need not encode again.

    This happens before the version is registered, so that a night that was killed has the same vectors. A later version
    keeps none: its night is served with the champion's vectors.
    """
    import numpy as np

    from artrec_core.model.run import VECTORS
    from artrec_core.model.two_tower import TwoTower
    from jobs.embedding.documents import commit_trained_vectors

    if data.text_vectors is None:
        digest = TwoTower.load(folder / "model").text_tower_digest
        commit_trained_vectors(night, digest, split.catalogue, data.interests, np.load(folder / VECTORS))


def _measure(
    night: Night, folder: Path, data: "TrainingData", split: "TrainingSplit"
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """HR, NDCG and MRR of the model and the baselines on the test artworks, and the settings of each baseline.

    Raises `GateFailed` if the model's vectors must not be served.
    """
    import numpy as np

    from artrec_core.evaluation.baselines import measure_baseline
    from artrec_core.evaluation.holdout import find_fault
    from artrec_core.evaluation.ranking import VectorModel, measure_ranking
    from artrec_core.evaluation.task import EvaluationTask
    from artrec_core.model.embeddings import item_vectors, text_lookup, trained_text_vectors, user_vectors
    from artrec_core.model.two_tower import TwoTower

    tower = TwoTower.load(folder / "model")
    text = trained_text_vectors(data, folder)
    is_tested = len(split.test_users) > 0
    users = split.people[split.test_users] if is_tested else split.people.head(USERS_TO_CHECK)
    artworks = item_vectors(tower, split.artwork_ids, text[: len(data.documents)])
    vectors = user_vectors(
        tower, users, split.held_out.before_test, split.artwork_ids, artworks, text_lookup(data.texts, text)
    )
    if (fault := find_fault(vectors, artworks)) is not None:
        raise GateFailed(
            f"the model that was trained is not registered, because {fault};"
            " lower train.text_learning_rate or train.user_learning_rate and train again"
        )
    if not is_tested:
        return {}, {}
    task = EvaluationTask.from_split(split)
    values = measure_ranking(
        VectorModel("model", vectors, artworks),
        np.arange(len(vectors)),
        split.test_artworks,
        exclude=task.excluded_pairs(with_hidden=True),
    )
    metrics: dict[str, dict[str, float]] = {"model": _means(values)}
    settings: dict[str, dict[str, Any]] = {}
    for name in night.recipe.train.baselines:
        values, choice = measure_baseline(name, task, split.test_artworks, seed=night.recipe.train.seed)
        metrics[name], settings[name] = _means(values), choice.settings
    return metrics, settings


def _means(values: "dict[str, Float64Array]") -> dict[str, float]:
    return {
        metric: round(float(per_user.mean()), 6)
        for metric, per_user in values.items()
        if metric.partition("@")[0] in REGISTERED_METRICS
    }


def _flatten(metrics: dict[str, dict[str, float]]) -> list[tuple[str, float, int]]:
    return [(f"test/{model}/{name}", value, 0) for model, values in metrics.items() for name, value in values.items()]


def _is_registered(night: Night) -> bool:
    from artrec_core.model.registry import Registry

    registry = Registry(night.recipe.store)
    version = registry.find(night.fingerprint)
    return version is not None and registry.has_files(version)


def _has_champion(night: Night) -> bool:
    from artrec_core.model.registry import Registry

    return Registry(night.recipe.store).champion() is not None


def _champion_has_files(night: Night) -> bool:
    from artrec_core.model.registry import Registry

    registry = Registry(night.recipe.store)
    champion = registry.champion()
    return champion is not None and registry.has_files(champion)


def run_if_needed(night: Night) -> Figures:
    """Train only if there is no champion yet."""
    from artrec_core.model.registry import Registry

    champion = Registry(night.recipe.store).champion()
    # A run that was killed after its version was registered still has its note to write; it does not train again.
    unfinished = _run_folder(night).exists()
    return {"champion": champion.name, "trained": 0} if champion is not None and not unfinished else run(night)


HELP = "Train a model version, measure it beside the baselines, and register it."
STEP = Step(
    "train", HELP, (), inputs, settings, run, lambda night: _is_registered(night) and _champion_has_files(night)
)
# The nightly run: if there is a champion, nothing is trained.
IF_NEEDED = Step("train", HELP, (), inputs, settings, run_if_needed, _has_champion)
# A retrain: the gate decides whether the new version becomes the champion.
CHALLENGER = Step("train", HELP, (), inputs, settings, run_challenger, _is_registered)


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    if_needed: Annotated[bool, typer.Option("--if-needed", help="Train only where there is no champion yet.")] = False,
) -> None:
    """Train a model version, measure it beside the baselines popularity, ALS and EASE, and register it.

    The first version becomes the champion; `artrec retrain` trains later ones and promotes those that pass the gate.
    """
    run_step(IF_NEEDED if if_needed else STEP, load(config, overrides), parse_day(date))


if __name__ == "__main__":
    run_command(command, "python -m jobs.train")
