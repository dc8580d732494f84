"""Starts the training loop in this process, or on workers of Ray Train.

torch, ray and transformers take seconds to import, so they are imported inside functions.
"""

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.model.deepspeed_settings import deepspeed_file, has_bfloat16_weights
from artrec_core.processes import keep_signal_handlers
from artrec_core.processor import half_weights_notice, instruction_limit, precision_notice

log = logging.getLogger("artrec.model")

# Training reads its data from files. The object store carries messages only.
OBJECT_STORE_BYTES = 80 * 1024 * 1024
# For a local cluster that ends with its run. Nothing preempts it, so no process needs to watch for that. Workers started in
# advance would stay unused, because each worker of Ray Train has its own environment.
OWN_CLUSTER_ENVIRONMENT = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_prestart_worker_first_driver": "0"}
# Callbacks of Ray Train that start a process each, three seconds long. The first reads Ray Data, which artrec does not use in
# training. The second cleans up on a cluster that outlives the run.
UNUSED_CALLBACKS = {"DatasetsCallback", "PlacementGroupCleanerCallback"}


def launch(recipe: Recipe, folder: Path, base: Path, evaluator: Any) -> None:
    """Train with the recipe's launcher (`train_loop.train`).

    Parameters
    ----------
    recipe
        Its sections `model`, `train` and `encode` are used.
    folder
        Holds `data/` and receives the model. With the `ray` launcher, every machine of the cluster must see it.
    base
        The folder of the base model.
    evaluator
        Computes the validation metric of each user (`run.Evaluator`).

    Raises
    ------
    ArtrecError
        If training failed for a reason that a retry does not solve.
    """
    _launch(recipe, folder, _settings(recipe, folder, base) | {"evaluator": evaluator})


def launch_text(recipe: Recipe, folder: Path, base: Path) -> None:
    """Like `launch`, but the text phase only: afterwards `folder` holds the text vectors (`train_loop.run_text_phase`)."""
    _launch(recipe, folder, _settings(recipe, folder, base) | {"text_only": True})


def _settings(recipe: Recipe, folder: Path, base: Path) -> dict[str, Any]:
    return {
        "folder": str(folder.resolve()),
        "base": str(base.resolve()),
        "model": recipe.model.model_dump(),
        "train": {**recipe.train.model_dump(), "deepspeed": str(deepspeed_file(recipe.train.deepspeed))},
        "encode": recipe.encode.model_dump(),
    }


def _launch(recipe: Recipe, folder: Path, settings: dict[str, Any]) -> None:
    if recipe.train.launcher == "process":
        _run_worker(settings, rank=0, size=1, device="cuda" if recipe.train.use_gpu else "cpu")
        return
    # The workers' own logs do not reach this terminal.
    for notice in slow_product_notices(recipe):
        log.info(notice)
    _launch_ray(recipe, folder, settings)


def slow_product_notices(recipe: Recipe) -> list[str]:
    """One line for each precision of the recipe that this processor has no instructions for."""
    if recipe.train.use_gpu:
        return []
    uses_bfloat16 = recipe.train.launcher == "ray" and has_bfloat16_weights(deepspeed_file(recipe.train.deepspeed))
    notices = [precision_notice(recipe.model.precision), half_weights_notice() if uses_bfloat16 else None]
    return [notice for notice in notices if notice is not None]


def training_cluster(recipe: Recipe) -> AbstractContextManager[None]:
    """`ray_cluster` if the recipe's launcher is Ray, else an empty context."""
    if recipe.train.launcher != "ray":
        return nullcontext()
    # One processor more than workers, for Ray Train's own actors.
    return ray_cluster(recipe, recipe.train.workers + 1)


@contextmanager
def ray_cluster(recipe: Recipe, processors: int, object_store_bytes: int | None = OBJECT_STORE_BYTES) -> Iterator[None]:
    """Join the cluster of ARTREC_RAY_ADDRESS, or start a local one. At the end, this process leaves or stops it.

    If this process is connected to Ray already, nothing is started or stopped. A local cluster accepts this process only. To
    join a cluster, RAY_AUTH_MODE and the token must be set as its owner demands.

    Parameters
    ----------
    recipe
        `train.use_gpu` decides the accelerator.
    processors
        Number of processors of a local cluster.
    object_store_bytes
        Size of a local cluster's object store; None lets Ray choose, about a third of the memory.
    """
    with keep_signal_handlers():
        is_new_connection = _start_ray(recipe, processors, object_store_bytes)
    try:
        yield
    finally:
        if is_new_connection:
            import ray

            ray.shutdown()


def _start_ray(recipe: Recipe, processors: int, object_store_bytes: int | None) -> bool:
    """Connect to Ray; return False if this process was connected already."""
    import ray

    if ray.is_initialized():
        return False
    # Workers on a local cluster inherit this process's environment.
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "TOKENIZERS_PARALLELISM": "false"} | instruction_limit()
    if not recipe.train.use_gpu:
        environment["DS_ACCELERATOR"] = "cpu"
    # Without RAY_AUTH_MODE but with a token, Ray sets the mode to `token`, and would log that every night.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    address = _address()
    if address is not None:
        os.environ.update(environment)
        ray.init(address=address, runtime_env={"env_vars": environment}, log_to_driver=False, configure_logging=False)
        return True
    os.environ.update(environment | OWN_CLUSTER_ENVIRONMENT)
    # Ray listens on all interfaces. A client needs the token, by default one that only this process knows.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        # Do not join a cluster that another user has started on this machine.
        address="local",
        num_cpus=processors,
        object_store_memory=object_store_bytes,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    return True


def _address() -> str | None:
    return os.environ.get("ARTREC_RAY_ADDRESS")


def _launch_ray(recipe: Recipe, folder: Path, settings: dict[str, Any]) -> None:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    train = recipe.train
    trainer = TorchTrainer(
        _run_ray_worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=train.workers, use_gpu=train.use_gpu),
        torch_config=TorchConfig(backend="nccl" if train.use_gpu else "gloo"),
        run_config=RunConfig(
            name="ray",
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(max_failures=train.max_failures),
        ),
    )
    if _address() is None:
        _skip_unused_callbacks(trainer)
    # A killed run leaves Ray Train's state. The training loop resumes from its own files instead.
    shutil.rmtree(folder / "ray", ignore_errors=True)
    try:
        with training_cluster(recipe):
            trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise ArtrecError(f"training failed: {error}; the workers' logs are in {folder / 'ray'}") from error
    failure = folder / "failed.txt"
    if failure.exists():
        raise ArtrecError(failure.read_text())


def _skip_unused_callbacks(trainer: Any) -> None:
    """Remove `UNUSED_CALLBACKS` from a trainer; without this private hook (Ray 2.60 has it) Ray Train starts slower."""
    create_callbacks = getattr(trainer, "_create_default_callbacks", None)
    if not callable(create_callbacks):
        log.info("this version of Ray Train starts all its callbacks; training takes some seconds more")
        return
    trainer._create_default_callbacks = lambda: [
        callback for callback in create_callbacks() if type(callback).__name__ not in UNUSED_CALLBACKS
    ]


def _run_ray_worker(settings: dict[str, Any]) -> None:
    from ray import train

    context = train.get_context()
    device = "cuda" if settings["train"]["use_gpu"] else "cpu"
    try:
        _run_worker(settings, rank=context.get_world_rank(), size=context.get_world_size(), device=device)
    except ArtrecError as error:
        # A retry would fail the same way. So every rank ends without an error, and the driver raises this one.
        (Path(settings["folder"]) / "failed.txt").write_text(str(error))
    train.report({"rank": context.get_world_rank()})


def _run_worker(settings: dict[str, Any], *, rank: int, size: int, device: str) -> None:
    import torch

    from artrec_core.config import Encode, Model, Train
    from artrec_core.model.run import Run, WorkerGroup
    from artrec_core.model.train_loop import run_text_phase
    from artrec_core.model.train_loop import train as train_model
    from artrec_core.model.training_data import TrainingData

    if device == "cpu" and size > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    folder = Path(settings["folder"])
    run = Run(
        folder=folder,
        base=Path(settings["base"]),
        model=Model(**settings["model"]),
        train=Train(**settings["train"]),
        encode=Encode(**settings["encode"]),
        workers=WorkerGroup(rank, size, device),
    )
    run.note(phase="start")
    data = TrainingData.load(folder / "data")
    if settings.get("text_only"):
        run_text_phase(run, data)
    else:
        train_model(run, data, settings["evaluator"])
