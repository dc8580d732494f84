"""Starting the training loop: in this process, or on workers that Ray Train starts."""

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
from artrec_core.processes import handlers_kept
from artrec_core.processor import half_weights_notice, instruction_limit, precision_notice

log = logging.getLogger("artrec.model")

# Training moves its data through files; the object store only carries messages.
OBJECT_STORE_BYTES = 80 * 1024 * 1024
# A cluster that ends with its only run: nobody preempts it, and watching for that takes another process. The processes that Ray
# starts in advance would go unused: Ray Train's own each have an environment of their own.
OWN_CLUSTER_ENVIRONMENT = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_prestart_worker_first_driver": "0"}
UNUSED_CALLBACKS = {"DatasetsCallback", "PlacementGroupCleanerCallback"}


def launch(recipe: Recipe, folder: Path, base: Path, evaluator: Any) -> None:
    """Train with the recipe's launcher; `folder` holds `data/` and receives the model (`train_loop.train`).

    With the `ray` launcher, `folder` must be seen by every machine of the cluster. Raises `ArtrecError` where training
    stopped for a reason that a retry does not mend.
    """
    _launch(recipe, folder, _settings(recipe, folder, base) | {"evaluator": evaluator})


def launch_text(recipe: Recipe, folder: Path, base: Path) -> None:
    """The text phase alone, as `launch` does it: afterwards `folder` holds the text vectors (`train_loop.train_text_side`)."""
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
        _work(settings, rank=0, size=1, device="cuda" if recipe.train.use_gpu else "cpu")
        return
    # Said here: the workers' own log does not reach this terminal.
    for notice in slow_product_notices(recipe):
        log.info(notice)
    _launch_ray(recipe, folder, settings)


def slow_product_notices(recipe: Recipe) -> list[str]:
    """What the training of this recipe asks of a processor without instructions for it, a line each."""
    if recipe.train.use_gpu:
        return []
    has_half = recipe.train.launcher == "ray" and has_bfloat16_weights(deepspeed_file(recipe.train.deepspeed))
    notices = [precision_notice(recipe.model.precision), half_weights_notice() if has_half else None]
    return [one for one in notices if one is not None]


def training_cluster(recipe: Recipe) -> AbstractContextManager[None]:
    """Ray, where the recipe trains with it (`ray_running`)."""
    if recipe.train.launcher != "ray":
        return nullcontext()
    # One processor more than workers: Ray Train's own actors wait for one.
    return ray_cluster(recipe, recipe.train.workers + 1)


@contextmanager
def ray_cluster(recipe: Recipe, processors: int, object_store_bytes: int | None = OBJECT_STORE_BYTES) -> Iterator[None]:
    """Join the cluster of ARTREC_RAY_ADDRESS, or start one of so many processors here; Ray is left as it was found.

    A cluster of our own takes orders from this process alone; one that is joined is joined as its owner says (RAY_AUTH_MODE and
    the token). `object_store_bytes` of None leaves Ray a third of the memory.
    """
    with handlers_kept():
        ours = _start_ray(recipe, processors, object_store_bytes)
    try:
        yield
    finally:
        if ours:
            import ray

            ray.shutdown()


def _start_ray(recipe: Recipe, processors: int, object_store_bytes: int | None) -> bool:
    """False where this process had joined or started one before."""
    import ray

    if ray.is_initialized():
        return False
    # Read by the workers, which inherit this process's environment on a local cluster.
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "TOKENIZERS_PARALLELISM": "false"} | instruction_limit()
    if not recipe.train.use_gpu:
        environment["DS_ACCELERATOR"] = "cpu"
    # Where RAY_AUTH_MODE is not set and there is a token, Ray sets it to `token`, and would say so in the log of every night.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    address = _address()
    if address is not None:
        os.environ.update(environment)
        ray.init(address=address, runtime_env={"env_vars": environment}, log_to_driver=False, configure_logging=False)
        return True
    os.environ.update(environment | OWN_CLUSTER_ENVIRONMENT)
    # It listens on every interface: who gives it orders has to show a token, by default one that nobody else has.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        # Not one that somebody else has started here.
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
        _ray_work,
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
        _leave_out_helpers(trainer)
    # A run that was killed leaves Ray Train's own state behind; this loop resumes from its own files instead.
    shutil.rmtree(folder / "ray", ignore_errors=True)
    try:
        with training_cluster(recipe):
            trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise ArtrecError(f"training failed: {error}; the workers' logs are in {folder / 'ray'}") from error
    failed = folder / "failed.txt"
    if failed.exists():
        raise ArtrecError(failed.read_text())


def _leave_out_helpers(trainer: Any) -> None:
    """Ray Train without its reader of Ray Data and its cleaner, each a process of three seconds' start.

    No data go through Ray, and nothing is left to clean of a cluster that ends with its only run.
    """
    every = trainer._create_default_callbacks
    trainer._create_default_callbacks = lambda: [one for one in every() if type(one).__name__ not in UNUSED_CALLBACKS]


def _ray_work(settings: dict[str, Any]) -> None:
    from ray import train

    context = train.get_context()
    device = "cuda" if settings["train"]["use_gpu"] else "cpu"
    try:
        _work(settings, rank=context.get_world_rank(), size=context.get_world_size(), device=device)
    except ArtrecError as error:
        # A retry would fail the same way: every rank is told of it, all end here, and the driver raises it.
        (Path(settings["folder"]) / "failed.txt").write_text(str(error))
    train.report({"rank": context.get_world_rank()})


def _work(settings: dict[str, Any], *, rank: int, size: int, device: str) -> None:
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
