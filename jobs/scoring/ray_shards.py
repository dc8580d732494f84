"""Shards of the scored tables as Ray tasks, on this machine or on the cluster that ARTREC_RAY_ADDRESS names.

What the tasks of a night share, the works' side of every table, goes into the object store once. A task reads its people's rows
from the lake, writes what it made of them there and commits its shards; what comes back is their manifests. Scores are never in the
object store. A task whose machine is lost runs again on another.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from artrec_core.arrays import Float32Array
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake, WriterManifest
from artrec_core.model.distributed.launch import ray_running
from artrec_core.processor import instruction_limit
from jobs.scoring.shards import Made, Shard, committed
from jobs.step import Night, code_version

if TYPE_CHECKING:
    from artrec_core.recs.tables.scored_tables import ScoredTables
    from artrec_core.recs.tables.shard_rows import UserRowIndex, UserShard

# How often a task whose machine or process is lost is tried again.
RETRIES = 5
OF_PEOPLE = ("recommendations", "all_pairs")
READ = ("people", "histories", "user_vectors")
# ALS is fitted to everyone, so a task is handed its people's factors.
HANDED_OVER = "collaborative"


@dataclass(frozen=True)
class Shared:
    """What all tasks of a night need to know."""

    lake: Lake
    day: str
    fingerprint: str
    code: str
    scored: "ScoredTables"


@dataclass(frozen=True)
class Order:
    """Some shards of a table for one task: `people` and their ALS factors where its rows are of people.

    `first` is the place of the first of these people among all.
    """

    table: str
    shards: list[Shard]
    people: "UserShard | None" = None
    first: int = 0
    factors: "Float32Array | None" = None


class OnRay:
    """Makes shards, `score.workers` tasks at a time. Ray is started, or joined, when there is something to make."""

    def __init__(self, night: Night, scored: "ScoredTables") -> None:
        self.night, self.scored = night, scored
        self.workers = night.recipe.score.workers
        self._ray = ExitStack()
        self._started = False
        self._rows: dict[int, UserRowIndex] = {}

    def __enter__(self) -> "OnRay":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.close()

    def make(self, table: str, size: int, shards: list[Shard]) -> Made:
        """Shards in the order in which they are done.

        Raises `ArtrecError` where a task fails for a reason that another try does not mend.
        """
        if not shards:
            return
        self._start()
        shared = [self._shared]
        if table == "artwork_audiences" and self.scored.score.audience_k:
            shared.append(self._put(self.scored.find_audience_users(self._log_totals)))
        for order, made in self._run(make, ((shared, order) for order in self._orders(table, size, shards))):
            yield from zip(order[1].shards, made, strict=True)

    def _orders(self, table: str, size: int, shards: list[Shard]) -> Iterator[Order]:
        if table not in OF_PEOPLE:
            yield from (Order(table, [shard]) for shard in shards)
            return
        # Shards of few people share a task, so that it is worth its reading.
        size = max(size, self.scored.score.shard_users // size * size)
        rows = self._people_rows(size)
        for number, some in groupby(shards, lambda shard: shard.begin // size):
            first = number * size
            yield Order(table, list(some), rows.shard(number), first, self._factors(first, first + size))

    def _people_rows(self, size: int) -> "UserRowIndex":
        from artrec_core.columns import USER_ID
        from artrec_core.recs.tables.shard_rows import UserRowIndex

        if size not in self._rows:
            rows, world = UserRowIndex(self.scored.data.user_ids, size), self.scored.data
            for table in READ:
                parts = self.night.lake.manifest(table, self.night.day).parts
                rows.add(table, getattr(world.tables, table)[USER_ID], parts)
            self._rows[size] = rows
        return self._rows[size]

    def _factors(self, begin: int, end: int) -> "Float32Array | None":
        parts = (part for folding in self.scored.foldings.values() for part in folding.personal_parts)
        return next((part.users[begin:end] for part in parts if part.name == HANDED_OVER), None)

    def _log_totals(self, users: "Float32Array") -> "Float32Array":
        """`ScoredTables.log_totals` by tasks; cut where it cuts its own blocks, so that no sum is taken in another order."""
        import numpy as np

        from artrec_core.recs.tables.audiences import USERS_IN_BLOCK

        step = -(-self.scored.score.shard_users // USERS_IN_BLOCK) * USERS_IN_BLOCK
        totals = np.empty(len(users), np.float32)
        jobs = (([self._shared], users[at : at + step], at) for at in range(0, len(users), step))
        for (_, some, at), found in self._run(log_totals, jobs):
            totals[at : at + len(some)] = found
        return totals

    # -- Ray -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._started:
            return
        import ray

        asked = self.scored.score.threads
        threads = asked or max(1, len(os.sched_getaffinity(0)) // self.workers)
        # What its tasks share lies in the object store.
        self._ray.enter_context(ray_running(self.night.recipe, threads * self.workers, object_store_bytes=None))
        machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        self._threads = threads_a_task(self.workers, machines, asked)
        shared = Shared(
            self.night.lake,
            self.night.day,
            self.night.fingerprint,
            code_version(),
            self.scored.without_users(self._threads),
        )
        self._shared = self._put(shared)
        self._started = True

    def _put(self, value: Any) -> Any:
        import ray

        return ray.put(value)

    def _run(self, work: Any, jobs: Iterator[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Each job and what `work` made of it, as they are done; never more of them at a time than workers."""
        import ray

        bounds = {name: str(self._threads) for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")}
        environment = {"env_vars": bounds | instruction_limit()}
        task = ray.remote(work).options(num_cpus=self._threads, max_retries=RETRIES, runtime_env=environment)
        running: dict[Any, tuple[Any, ...]] = {}
        try:
            while True:
                while len(running) < self.workers and (job := next(jobs, None)) is not None:
                    running[task.remote(*job)] = job
                if not running:
                    return
                for done in ray.wait(list(running))[0]:
                    job = running.pop(done)
                    yield job, self._got(done)
        finally:
            for one in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(one, force=True)

    def _got(self, done: Any) -> Any:
        import ray

        try:
            found = ray.get(done)
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[-1]
            raise ArtrecError(
                f"Ray could not score a shard of {self.night.day} ({said}); run the same line again to go on at the missing shards"
            ) from error
        if isinstance(found, str):
            raise ArtrecError(found)
        return found


def threads_a_task(workers: int, machines: list[int], asked: int | None) -> int:
    """Threads (and processors) of a task: as asked, or the most that let so many tasks run side by side on these machines.

    `machines` are their processors; never more than the largest has, so that every task finds its place.
    """
    most = max(machines, default=0)
    if asked is not None:
        return min(asked, most) if most else asked
    fitting = (many for many in range(most, 0, -1) if sum(have // many for have in machines) >= workers)
    return next(fitting, 1)


# -- in a task -----------------------------------------------------------------------------------------------------

_held: dict[str, Any] = {}


def make(shared: list[Any], order: Order) -> list[WriterManifest] | str:
    """Make the shards of an order, write and commit them: their manifests, or what a person has to put right."""
    try:
        here, scored = _shared(shared[0]), _scored(shared, order)
        made = []
        for shard in order.shards:
            piece = scored.piece(order.table, shard.begin - order.first, shard.end - order.first)
            made.append(committed(here.lake, here.day, here.fingerprint, order.table, shard, piece))
        return made
    except ArtrecError as error:
        # Another try would fail the same way.
        return str(error)


def log_totals(shared: list[Any], users: "Float32Array", _: int) -> "Float32Array | str":
    """`ScoredTables.log_totals` of some people."""
    try:
        return _shared(shared[0]).scored.log_totals(users)
    except ArtrecError as error:
        return str(error)


def _scored(shared: list[Any], order: Order) -> "ScoredTables":
    import polars as pl

    from artrec_core.columns import INTEREST_VECTOR, INTERESTS, empty_frame

    here = _shared(shared[0])
    if order.people is None:
        return here.scored if len(shared) == 1 else here.scored.with_audience_users(_fetched(shared[1]))
    read = {table: order.people.read(here.lake, table, here.day) for table in READ}
    interests = None
    if here.scored.uses_text:
        stated = read["people"][INTERESTS].str.strip_chars().drop_nulls().unique()
        parts = here.lake.iterate("interest_vectors", here.day)
        found = [part.filter(pl.col(INTERESTS).is_in(stated.implode())) for part in parts]
        interests = pl.concat([empty_frame(INTEREST_VECTOR), *found])
    world = here.scored.data.with_users(**read, interest_vectors=interests)
    return here.scored.with_users(world, {} if order.factors is None else {HANDED_OVER: order.factors})


def _shared(ref: Any) -> Shared:
    shared: Shared = _fetched(ref)
    if shared.code != code_version():
        raise ArtrecError(
            "the machines of the Ray cluster run another version of artrec than this one; install the same there"
        )
    return shared


def _fetched(ref: Any) -> Any:
    """What lies in the object store, taken out once a process."""
    import ray

    if ref.hex() not in _held:
        _held[ref.hex()] = ray.get(ref)
    return _held[ref.hex()]
