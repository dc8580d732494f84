"""train: a new model version from the night's catalogue and histories, measured beside the baselines and registered."""

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
from artrec_core.lake import day_of, digest_of
from jobs.step import ConfigOption, DateOption, Figures, Night, SetOption, Step, code_version, run_command, run_step
from jobs.training.mlflow_follower import followed, passes_of, seconds_of
from jobs.training.tags import HOLDOUT, REFIT, SETTINGS

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.model.registry import Registry, Version
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.training_split import TrainingSplit

INPUTS = ("catalogue", "histories", "people")
# What the report page draws: losses, validation, the figures of the model and of the baselines.
NOTE = "training.json"
FIRST_CHAMPION = "the first version; there was nothing to compare it with"
LOST_CHAMPION = "the files of version {} are gone; there was nothing to compare it with"
# Nobody is tested where nothing is held out: a model's soundness shows in the vectors of so many people.
PEOPLE_LOOKED_AT = 1000
# Keys of `train` that do not decide after how many passes a model is at its best.
NOT_OF_PASSES = {"holdout", "workers", "use_gpu", "launcher", "deepspeed", "max_failures", "experiment", "seed"}


def inputs(night: Night) -> dict[str, str]:
    """The night's tables."""
    return {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in INPUTS}


def settings(recipe: Recipe) -> list[Any]:
    """What a version depends on."""
    return [recipe.model, recipe.train, recipe.encode]


def run(night: Night) -> Figures:
    """Train, measure, register; the first version becomes the champion, so that the night can go on."""
    from artrec_core.model.registry import Registry

    version = trained(night)
    registry = Registry(night.recipe.store)
    champion = _ensure_champion(version, registry)
    return {"version": version.name, "champion": champion.name, **version.figures}


def _ensure_champion(version: "Version", registry: "Registry") -> "Version":
    """The champion, which a new version becomes itself where no other can serve: there is none, or its files are gone."""
    from artrec_core.model.registry import AnotherChampion

    champion = registry.champion()
    if champion is not None and registry.has_files(champion):
        return champion
    why = FIRST_CHAMPION if champion is None else LOST_CHAMPION.format(champion.name)
    try:
        return registry.promote(version, why, by="train", instead_of=None if champion is None else champion.name)
    except AnotherChampion:  # another training ended at the same moment
        return _ensure_champion(version, registry)


def run_challenger(night: Night) -> Figures:
    """Train, measure, register; what becomes of the version is for the gate to say."""
    version = trained(night)
    return {"version": version.name, **version.figures}


def trained(night: Night) -> "Version":
    """The version of this night's inputs, settings and code, registered once whatever was killed on the way.

    Raises `GateFailed` where the model that came out must not serve: it is not registered.
    """
    from artrec_core.model.distributed.launch import launch, ray_for
    from artrec_core.model.registry import FINGERPRINT, Registry

    registry, folder, begun = Registry(night.recipe.store), _run_folder(night), time.monotonic()
    there = registry.find(night.fingerprint)
    if there is not None and registry.has_files(there) and not folder.exists():
        return there
    recipe = _with_passes(night.recipe, registry)
    tags = _tags(night) | {FINGERPRINT: night.fingerprint}
    (folder / "failed.txt").unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as beside:
        # Ray's start waits for its own processes: the data are made in the meantime.
        prepared = beside.submit(_prepared, night, folder)
        with ray_for(recipe):
            base, split, data = prepared.result()
            # Not before: what it brings would keep Ray waiting.
            from artrec_core.evaluation.ranking import held_out_ndcg
            from artrec_core.model.run import METRICS

            with followed(registry, recipe, tags, folder / METRICS) as follower:
                launch(recipe, folder, base, held_out_ndcg if recipe.train.holdout else None)
                launched = time.monotonic() - begun
                measured = _measured(folder, data, split)
    figures: Figures = {
        "people_tested": len(split.test_users),
        "passes": passes_of(follower.lines),
        **measured,
        "seconds": seconds_of(follower.lines, launched),
    }
    if registry.champion() is None:
        _keep_vectors(night, folder, data, split)
    version = registry.register(folder / "model", figures, tags, follower.run_id)
    registry.log_metrics(follower.run_id, _flat(measured))
    registry.end_run(follower.run_id)
    curves = {
        "version": version.name,
        "model": version.model_digest,
        "lines": follower.lines,
        "figures": figures,
        "tags": tags,
        "run_id": follower.run_id,
    }
    night.lake.write_note(NOTE, night.day, json.dumps(curves, indent=1).encode())
    shutil.rmtree(folder, ignore_errors=True)
    return version


def _prepared(night: Night, folder: Path) -> "tuple[Path, TrainingSplit, TrainingData]":
    """The base model, the frozen split, and what is learnt from, which is also left in the run's folder."""
    from artrec_core.model.base_models import text_base
    from artrec_core.model.training_split import read_training_split

    base = text_base(night.recipe.model, night.recipe.store.models, lambda: _documents(night))
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    data = _data(night, base, split)
    data.save(folder / "data")
    return base, split, data


def _documents(night: Night) -> list[str]:
    from artrec_core.columns import DOCUMENT

    texts: list[str] = night.lake.read("catalogue", night.day)[DOCUMENT].to_list()
    return texts


def _with_passes(recipe: Recipe, registry: "Registry") -> Recipe:
    """Without a holdout nothing says when to stop: the passes that validated best under the same settings, else `user_epochs`."""
    if recipe.train.holdout:
        return recipe
    alike = [one for one in registry.versions() if one.tags.get(SETTINGS) == _settings_digest(recipe)]
    known = [int(one.figures["passes"]) for one in alike if one.tags.get(HOLDOUT) == "true" and one.figures["passes"]]
    if not known:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"user_epochs": known[-1]})})


def _settings_digest(recipe: Recipe) -> str:
    return digest_of([recipe.model.model_dump(), recipe.train.model_dump(exclude=NOT_OF_PASSES)])


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
        HOLDOUT: str(night.recipe.train.holdout).lower(),
        REFIT: str(night.recipe.train.refit).lower(),
        SETTINGS: _settings_digest(night.recipe),
    }


def _data(night: Night, base: Path, split: "TrainingSplit") -> "TrainingData":
    """What the workers read, with the text vectors where the text tower does not move."""
    train = night.recipe.train
    data = split.training_data(refit=train.refit and train.holdout)
    return replace(data, text_vectors=_frozen_vectors(night, base, split.catalogue, data))


def _frozen_vectors(night: Night, base: Path, catalogue: "pl.DataFrame", data: "TrainingData") -> Any:
    """Text vectors of a tower that does not move: encoded once, kept as the night's text_vectors, taken over by embed."""
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
    others = data.texts[len(data.documents) :]
    return np.concatenate([documents, encode(encoder, others, batch_tokens=night.recipe.encode.batch_tokens)])


def _keep_vectors(night: Night, folder: Path, data: "TrainingData", split: "TrainingSplit") -> None:
    """What the first version's training encoded becomes the night's text vectors, and embed need not do it again.

    Before the version is registered, so that a night that was killed has the same ones. Of a later version there is
    nothing to keep: the night it was trained on is served with the champion's vectors.
    """
    import numpy as np

    from artrec_core.model.run import VECTORS
    from artrec_core.model.two_tower import TwoTower
    from jobs.embedding.documents import keep_trained

    if data.text_vectors is None:
        digest = TwoTower.load(folder / "model").text_tower_digest
        keep_trained(night, digest, split.catalogue, data.interests, np.load(folder / VECTORS))


def _measured(folder: Path, data: "TrainingData", split: "TrainingSplit") -> dict[str, dict[str, float]]:
    """HR, NDCG and MRR on the test works, of the model and of the baselines, all from what came before the test.

    Raises `GateFailed` where the model's vectors must not be served.
    """
    import numpy as np
    import torch

    from artrec_core.evaluation.holdout import find_fault
    from artrec_core.evaluation.ranking import held_out_accuracy
    from artrec_core.model.run import VECTORS
    from artrec_core.model.two_tower import TwoTower
    from artrec_core.model.user_phase import encode_users

    tower = TwoTower.load(folder / "model")
    vectors = data.text_vectors if data.text_vectors is not None else np.load(folder / VECTORS)
    text, stated = np.split(np.array(vectors), [len(data.documents)])
    tested = split.test_users
    looked_at = tested if len(tested) else np.arange(min(len(data.user_ids), PEOPLE_LOOKED_AT))
    with torch.inference_mode():
        works = tower.artwork_vectors(torch.from_numpy(text), torch.arange(len(text)))
        users = encode_users(tower, works, torch.from_numpy(stated), data.interest_of, split.before_test, looked_at)
    if (fault := find_fault(users.numpy(), works.numpy())) is not None:
        raise GateFailed(
            f"the model that was trained is not registered, because {fault};"
            " lower train.text_learning_rate or train.user_learning_rate and train again"
        )
    if not len(tested):
        return {}
    own = held_out_accuracy(users.numpy(), works.numpy(), split.before_test.take(tested), split.test_artworks)
    return {
        name: {figure: round(float(each.mean()), 4) for figure, each in values.items()}
        for name, values in {"model": own, **_baselines(split)}.items()
    }


def _baselines(split: "TrainingSplit") -> dict[str, dict[str, Any]]:
    """The same of popularity, ALS and EASE, a value a person."""
    import numpy as np

    from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
    from artrec_core.evaluation.ranking import KS, seen_matrix
    from artrec_core.recs.interaction_models import Als, Baseline, Ease, Popularity

    people, targets, found = split.test_users, split.test_artworks.astype(np.int32), {}
    interactions = seen_matrix(split.before_test, len(split.artwork_ids))
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
    return found


def _flat(measured: dict[str, dict[str, float]]) -> list[tuple[str, float, int]]:
    return [(f"test/{who}/{name}", value, 0) for who, values in measured.items() for name, value in values.items()]


def _registered(night: Night) -> bool:
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
    """Train only where no version is served yet."""
    from artrec_core.model.registry import Registry

    champion = Registry(night.recipe.store).champion()
    # Of this night's own version, what a kill left to do (the note) is done first; its training is not repeated.
    unfinished = _run_folder(night).exists()
    return {"champion": champion.name, "trained": 0} if champion is not None and not unfinished else run(night)


HELP = "Train a model version, measure it beside popularity, ALS and EASE, and register it."
STEP = Step("train", HELP, (), inputs, settings, run, lambda night: _registered(night) and _champion_has_files(night))
# The nightly run: the champion stands whatever the day's data.
IF_NEEDED = Step("train", HELP, (), inputs, settings, run_if_needed, _has_champion)
# A retrain: the gate decides about the champion.
CHALLENGER = Step("train", HELP, (), inputs, settings, run_challenger, _registered)


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    if_needed: Annotated[bool, typer.Option("--if-needed", help="Train only where there is no champion yet.")] = False,
) -> None:
    """Train a model version, measure it beside popularity, ALS and EASE, and register it.

    The first version becomes the champion; `artrec retrain` trains later ones and promotes those that pass the gate.
    """
    run_step(IF_NEEDED if if_needed else STEP, load(config, overrides), day_of(date))


if __name__ == "__main__":
    run_command(command, "python -m jobs.train")
