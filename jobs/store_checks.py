"""Every store of a recipe, tried as a night uses it: what `doctor` shows, and what a retrain asks before it starts."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artrec_core.config import Recipe, Store
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake
from artrec_core.stores import Place, check_folder
from artrec_core.warehouse import open_warehouse

# An address that swallows packets never answers, and the clients of MLflow and S3 wait for minutes.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Check:
    """Something to try: `run` raises `ArtrecError` where it fails; an address on the network must answer in time."""

    what: str
    address: str
    setting: str
    run: Callable[[], object]

    @property
    def seconds(self) -> float | None:
        """How long to wait for it; None: until it is done."""
        on_network = "://" in self.address and not self.address.startswith("sqlite:")
        return ANSWER_SECONDS if on_network else None


def store_checks(recipe: Recipe) -> list[Check]:
    """The checks of a recipe's stores, in the order a night needs them."""
    store = recipe.store
    folders = [
        ("artifacts", store.artifacts, "store.artifacts"),
        ("models cache", store.models, "store.models"),
        ("work folder", store.work, "store.work"),
    ]
    return [
        Check("lake", store.lake, "store.lake", lambda: Lake(store.lake).check_writable()),
        Check("warehouse", store.warehouse, "store.warehouse", lambda: open_warehouse(store.warehouse).check()),
        Check("MLflow", store.mlflow, "store.mlflow", lambda: _check_mlflow(store)),
        *(Check(what, address, setting, _folder_check(what, address, setting)) for what, address, setting in folders),
    ]


def check_stores(recipe: Recipe) -> None:
    """Raises the `ArtrecError` of the first store that is not fit for a night."""
    for fault in faults(store_checks(recipe)):
        if fault is not None:
            raise fault


def faults(checks: Iterable[Check]) -> list[ArtrecError | None]:
    """What is wrong, check by check, None where nothing is; all are tried side by side."""
    # MLflow takes seconds to import, which is not to be taken for a server that does not answer.
    import mlflow.tracking  # noqa: F401

    trials = [_Trial(check) for check in checks]
    begun = time.monotonic()
    for trial in trials:
        trial.thread.start()
    return [trial.fault(begun) for trial in trials]


class _Trial:
    """A check in a thread of its own, which is left behind where it takes too long."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.check.run()
        except Exception as error:  # raised again in `fault`
            self.error = error

    def fault(self, begun: float) -> ArtrecError | None:
        """What was wrong, if anything."""
        limit = self.check.seconds
        self.thread.join(None if limit is None else max(0.0, begun + limit - time.monotonic()))
        if self.thread.is_alive():
            return ArtrecError(
                f"{self.check.address} did not answer within {limit:.0f} s; see that it is up, that {self.check.setting}"
                " names its host and port, and that no firewall is between"
            )
        if self.error is None or isinstance(self.error, ArtrecError):
            return self.error
        # One check that breaks must not hide what the others found.
        return ArtrecError(
            f"{self.check.address} cannot be used ({type(self.error).__name__}: {self.error}); see {self.check.setting}"
        )


def _check_mlflow(store: Store) -> None:
    from artrec_core.model.mlflow_store import database_file
    from artrec_core.model.registry import Registry

    if (file := database_file(store.mlflow)) is not None:
        check_folder(Place("MLflow's database in", str(file.parent), "store.mlflow"))
    Registry(store).check()


def _folder_check(what: str, address: str, setting: str) -> Callable[[], None]:
    return lambda: check_folder(Place(f"the {what}", address, setting))
