"""Check every store of a recipe in the way a night uses it: for `doctor`, and for `retrain` before it trains."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artrec_core.config import Recipe, Store
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake
from artrec_core.model.mlflow_store import database_file
from artrec_core.stores import StoreAddress, check_folder
from artrec_core.warehouse import open_warehouse

# A host behind a firewall that drops packets never answers. The clients of MLflow and S3 would wait for minutes.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Check:
    """A check of one address.

    Attributes
    ----------
    name : what is checked
    address : a path or URL
    setting : the recipe's key that holds the address
    run : does the check; raises `ArtrecError` if it fails
    """

    name: str
    address: str
    setting: str
    run: Callable[[], object]

    @property
    def timeout_seconds(self) -> float | None:
        """How long to wait for an answer from the network; None for an address on this machine, which has no limit."""
        on_network = "://" in self.address and not self.address.startswith("sqlite:")
        return ANSWER_SECONDS if on_network else None


def store_checks(recipe: Recipe) -> list[Check]:
    """The checks of a recipe's stores, in the order in which a night uses the stores."""
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
        *(Check(name, address, setting, _folder_check(name, address, setting)) for name, address, setting in folders),
    ]


def check_stores(recipe: Recipe) -> None:
    """Raise the `ArtrecError` of the first store that a night cannot use, if there is one."""
    for fault in find_faults(store_checks(recipe)):
        if fault is not None:
            raise fault


def find_faults(checks: Iterable[Check]) -> list[ArtrecError | None]:
    """Run all checks at the same time; the fault that each one found, None if it passed."""
    # MLflow takes seconds to import. That time must not count as the time of a server that does not answer.
    import mlflow.tracking  # noqa: F401

    threads = [_CheckThread(check) for check in checks]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    return [thread.fault(started) for thread in threads]


class _CheckThread(threading.Thread):
    """Runs one check; a daemon, so that the process can end while a check still waits for an answer."""

    def __init__(self, check: Check) -> None:
        super().__init__(daemon=True)
        self.check = check
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.check.run()
        except Exception as error:  # `fault` returns it
            self.error = error

    def fault(self, started: float) -> ArtrecError | None:
        """Wait for the check, which started at this time of `time.monotonic`; its fault, None if it passed."""
        timeout = self.check.timeout_seconds
        self.join(None if timeout is None else max(0.0, started + timeout - time.monotonic()))
        if self.is_alive():
            return ArtrecError(
                f"{self.check.address} did not answer within {timeout:.0f} s; check that it is up, that"
                f" {self.check.setting} names its host and port, and that no firewall blocks the connection"
            )
        if self.error is None or isinstance(self.error, ArtrecError):
            return self.error
        # An unexpected error of one check must not hide the faults that the other checks found.
        return ArtrecError(
            f"{self.check.address} cannot be used ({type(self.error).__name__}: {self.error}); see {self.check.setting}"
        )


def _check_mlflow(store: Store) -> None:
    from artrec_core.model.registry import Registry  # it imports MLflow

    if (file := database_file(store.mlflow)) is not None:
        check_folder(StoreAddress("MLflow's database in", str(file.parent), "store.mlflow"))
    Registry(store).check()


def _folder_check(name: str, address: str, setting: str) -> Callable[[], None]:
    return lambda: check_folder(StoreAddress(f"the {name}", address, setting))
