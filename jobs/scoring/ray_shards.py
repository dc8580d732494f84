"""Shards of the scored tables as Ray tasks, on this machine or on the cluster that ARTREC_RAY_ADDRESS names.

All tasks of a night share the artworks' side of every table. It goes into the object store once. A task reads the rows of
its users from the lake, writes its shards to the lake and commits them. It returns their manifests. Scores are never in
the object store. If the machine of a task is lost, the task runs again on another machine.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from artrec_core.arrays import Float32Array
from artrec_core.columns import INTEREST_VECTOR, INTERESTS, USER_ID, empty_frame
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake, WriterManifest
from artrec_core.model.distributed.launch import ray_cluster
from artrec_core.processor import instruction_limit
from jobs.scoring.shards import Shard, ShardManifests, commit_shard
from jobs.step import Night, code_version

if TYPE_CHECKING:
    from artrec_core.recs.tables.scored_tables import ScoredTables
    from artrec_core.recs.tables.shard_rows import UserRowIndex, UserShard

# How often Ray runs a task again whose machine or process is lost.
RETRIES = 5
# The tables whose rows belong to users.
USER_TABLES = ("recommendations", "all_pairs")
# The inputs of which a task reads the rows of its users.
USER_INPUTS = ("people", "histories", "user_vectors")
# ALS is fitted to all users, so a task cannot compute the factors of its users. They are passed to it.
ALS_COMPONENT = "collaborative"


@dataclass(frozen=True)
class TaskContext:
    """What all tasks of a night share. `code` is the code version of the machine that starts them."""

    lake: Lake
    day: str
    fingerprint: str
    code: str
    scored_tables: "ScoredTables"


@dataclass(frozen=True)
class ShardTask:
    """Some shards of a table, for one task.

    Where the table's rows belong to users, `users` says which and `factors` holds their ALS vectors. `first` is the row
    of the first of them among all users.
    """

    table: str
    shards: list[Shard]
    users: "UserShard | None" = None
    first: int = 0
    factors: Float32Array | None = None


class RayShardMaker:
    """Makes shards with at most `score.workers` tasks at a time. The first shard to make starts or joins Ray."""

    def __init__(self, night: Night, scored_tables: "ScoredTables") -> None:
        self.night, self.scored_tables = night, scored_tables
        self.workers = night.recipe.score.workers
        self._ray = ExitStack()
        self._started = False
        self._row_indexes: dict[int, UserRowIndex] = {}

    def __enter__(self) -> "RayShardMaker":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.close()

    def make(self, table: str, size: int, shards: list[Shard]) -> ShardManifests:
        """Yield each shard with its manifest, as tasks finish.

        Raises `ArtrecError` where a task fails for a reason that a second try does not remove.
        """
        if not shards:
            return
        self._start()
        refs = [self._context_ref]
        if table == "artwork_audiences" and self.scored_tables.score.audience_k:
            refs.append(self._put(self.scored_tables.find_audience_users(self._log_totals)))
        calls = ((refs, task) for task in self._tasks(table, size, shards))
        for call, manifests in self._run(make_shards, calls):
            yield from zip(call[1].shards, manifests, strict=True)

    def _tasks(self, table: str, size: int, shards: list[Shard]) -> Iterator[ShardTask]:
        if table not in USER_TABLES:
            yield from (ShardTask(table, [shard]) for shard in shards)
            return
        # Small shards share a task, so that the cost of reading its rows is worth it.
        size = max(size, self.scored_tables.score.shard_users // size * size)
        row_index = self._user_rows(size)
        for number, group in groupby(shards, lambda shard: shard.begin // size):
            first = number * size
            yield ShardTask(table, list(group), row_index.shard(number), first, self._factors(first, first + size))

    def _user_rows(self, size: int) -> "UserRowIndex":
        from artrec_core.recs.tables.shard_rows import UserRowIndex

        if size not in self._row_indexes:
            data = self.scored_tables.data
            row_index = UserRowIndex(data.user_ids, size)
            for table in USER_INPUTS:
                parts = self.night.lake.manifest(table, self.night.day).parts
                row_index.add(table, getattr(data.tables, table)[USER_ID], parts)
            self._row_indexes[size] = row_index
        return self._row_indexes[size]

    def _factors(self, begin: int, end: int) -> Float32Array | None:
        parts = (part for folding in self.scored_tables.foldings.values() for part in folding.personal_parts)
        return next((part.users[begin:end] for part in parts if part.name == ALS_COMPONENT), None)

    def _log_totals(self, users: Float32Array) -> Float32Array:
        """`ScoredTables.log_totals` by tasks. Its block bounds are kept, so that no sum is taken in another order."""
        from artrec_core.recs.tables.audiences import USERS_IN_BLOCK

        step = -(-self.scored_tables.score.shard_users // USERS_IN_BLOCK) * USERS_IN_BLOCK
        totals = np.empty(len(users), np.float32)
        calls = (([self._context_ref], users[row : row + step], row) for row in range(0, len(users), step))
        for (_, block, row), block_totals in self._run(log_totals, calls):
            totals[row : row + len(block)] = block_totals
        return totals

    # -- Ray -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._started:
            return
        import ray

        requested = self.scored_tables.score.threads
        threads = requested or max(1, len(os.sched_getaffinity(0)) // self.workers)
        # None leaves the size of the object store to Ray: it holds what the tasks share.
        self._ray.enter_context(ray_cluster(self.night.recipe, threads * self.workers, object_store_bytes=None))
        machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        self._threads = threads_per_task(self.workers, machines, requested)
        context = TaskContext(
            self.night.lake,
            self.night.day,
            self.night.fingerprint,
            code_version(),
            self.scored_tables.without_users(self._threads),
        )
        self._context_ref = self._put(context)
        self._started = True

    def _put(self, value: Any) -> Any:
        import ray

        return ray.put(value)

    def _run(self, function: Any, calls: Iterator[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Run `function` in a task for each tuple of arguments. Yield arguments and result as tasks finish.

        At most `workers` tasks run at a time.
        """
        import ray

        bounds = {name: str(self._threads) for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")}
        environment = {"env_vars": bounds | instruction_limit()}
        task = ray.remote(function).options(num_cpus=self._threads, max_retries=RETRIES, runtime_env=environment)
        running: dict[Any, tuple[Any, ...]] = {}
        try:
            while True:
                while len(running) < self.workers and (call := next(calls, None)) is not None:
                    running[task.remote(*call)] = call
                if not running:
                    return
                for ref in ray.wait(list(running))[0]:
                    call = running.pop(ref)
                    yield call, self._result(ref)
        finally:
            for ref in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(ref, force=True)

    def _result(self, ref: Any) -> Any:
        import ray

        try:
            result = ray.get(ref)
        except ray.exceptions.RayError as error:
            last_line = str(error).strip().splitlines()[-1]
            raise ArtrecError(
                f"Ray could not score a shard of {self.night.day} ({last_line}); run the same command again, it goes on at the missing shards"
            ) from error
        if isinstance(result, str):
            raise ArtrecError(result)
        return result


def threads_per_task(workers: int, machines: list[int], requested: int | None) -> int:
    """The number of threads, and of processors, that each task gets.

    Parameters
    ----------
    workers
        How many tasks should run side by side.
    machines
        The number of processors of each machine. A task never gets more than the largest machine has.
    requested
        The number that the recipe asks for. None takes the largest number with which `workers` tasks fit.
    """
    largest = max(machines, default=0)
    if requested is not None:
        return min(requested, largest) if largest else requested
    fitting = (
        threads for threads in range(largest, 0, -1) if sum(processors // threads for processors in machines) >= workers
    )
    return next(fitting, 1)


# -- in a task -----------------------------------------------------------------------------------------------------

_fetched_objects: dict[str, Any] = {}


def make_shards(refs: list[Any], task: ShardTask) -> list[WriterManifest] | str:
    """Make, write and commit the shards of a task. Returns their manifests, or the message of an `ArtrecError`."""
    try:
        context, scored_tables = _load_context(refs[0]), _task_tables(refs, task)
        manifests = []
        for shard in task.shards:
            piece = scored_tables.piece(task.table, shard.begin - task.first, shard.end - task.first)
            manifests.append(commit_shard(context.lake, context.day, context.fingerprint, task.table, shard, piece))
        return manifests
    except ArtrecError as error:
        # Returned, not raised: Ray would try again, and the task would fail the same way.
        return str(error)


def log_totals(refs: list[Any], users: Float32Array, _: int) -> Float32Array | str:
    """`ScoredTables.log_totals` of some users, or the message of an `ArtrecError`."""
    try:
        return _load_context(refs[0]).scored_tables.log_totals(users)
    except ArtrecError as error:
        return str(error)


def _task_tables(refs: list[Any], task: ShardTask) -> "ScoredTables":
    """The scored tables of the task's users. For tables about artworks: those with the users' side of audiences."""
    context = _load_context(refs[0])
    if task.users is None:
        return context.scored_tables if len(refs) == 1 else context.scored_tables.with_audience_users(_fetch(refs[1]))
    rows = {table: task.users.read(context.lake, table, context.day) for table in USER_INPUTS}
    interest_vectors = None
    if context.scored_tables.uses_text:
        statements = rows["people"][INTERESTS].str.strip_chars().drop_nulls().unique()
        parts = context.lake.iterate("interest_vectors", context.day)
        matches = [part.filter(pl.col(INTERESTS).is_in(statements.implode())) for part in parts]
        interest_vectors = pl.concat([empty_frame(INTEREST_VECTOR), *matches])
    data = context.scored_tables.data.with_users(**rows, interest_vectors=interest_vectors)
    return context.scored_tables.with_users(data, {} if task.factors is None else {ALS_COMPONENT: task.factors})


def _load_context(ref: Any) -> TaskContext:
    context: TaskContext = _fetch(ref)
    if context.code != code_version():
        raise ArtrecError(
            "the machines of the Ray cluster run another version of artrec than this one; install the same version there"
        )
    return context


def _fetch(ref: Any) -> Any:
    """An object of the object store, fetched once in each process."""
    import ray

    if ref.hex() not in _fetched_objects:
        _fetched_objects[ref.hex()] = ray.get(ref)
    return _fetched_objects[ref.hex()]
