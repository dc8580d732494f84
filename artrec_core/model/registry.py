"""The model registry in MLflow: model versions, the champion, and training runs while they run.

A version is registered after its folder is complete under `store.artifacts`, so a killed training leaves no version.
Every promotion and rollback is stored with the registered model. It tells which version served when, and why.
MLflow takes seconds to import, so it is imported inside functions.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any

from artrec_core.config import Store
from artrec_core.errors import ArtrecError
from artrec_core.files import write_folder_atomically
from artrec_core.locks import hold_lock
from artrec_core.model.mlflow_store import database_file, open_client
from artrec_core.model.promotions import Promotion, latest_rollback, rollback_versions

MODEL = "artrec"
CHAMPION = "champion"
CHALLENGER = "challenger"
FINGERPRINT = "fingerprint"
_FIGURES = "figures"
# Tags of a version: its folder below `models`, named by a digest of its files, and the size of each file as JSON.
_FOLDER, _FILES = "folder", "files"
# The gate's decision about a version, as JSON (`jobs/retrain.py`).
GATE = "gate"
# Tags that describe the latest promotion of a version.
WHY, PROMOTED_BY, PROMOTED_AT, PROMOTED_FROM = "why", "promoted_by", "promoted_at", "promoted_from"
_PROMOTION = "promotion."
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@dataclass(frozen=True)
class Version:
    """A trained model.

    Attributes
    ----------
    name
        Its number in MLflow: "3".
    aliases
        `champion`, `challenger` or none.
    figures
        Metrics and other figures of its training.
    tags
        What it was trained from, and its latest promotion.
    """

    name: str
    aliases: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def model_digest(self) -> str:
        """A digest of the model's files; it also names their folder and identifies the tables made by this model."""
        # Neither name nor fingerprint identifies the weights. Names start from 1 in each registry. The fingerprint covers
        # inputs and code only, and another processor trains other weights from them.
        return self.tags[_FOLDER]


class ChampionChanged(ArtrecError):
    """The champion changed after the decision to replace it."""


class Registry:
    """The model versions and training runs of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def client(self) -> Any:
        """MLflow's client for this store."""
        return open_client(self.store.mlflow)

    @property
    def _has_database(self) -> bool:
        # Without a database there is nothing to read. MLflow would create one, which takes seconds.
        file = database_file(self.store.mlflow)
        return file is None or file.exists()

    def champion(self) -> Version | None:
        """The version that the nightly run uses; None if no version was promoted yet."""
        return self._by_alias(CHAMPION)

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        if not self._has_database or self._model() is None:
            return []
        aliases = self._aliases()
        entities = self.client.search_model_versions(f"name = '{MODEL}'")
        return [_version(entity, aliases) for entity in sorted(entities, key=lambda entity: int(entity.version))]

    def find(self, fingerprint: str) -> Version | None:
        """The latest version with this fingerprint of inputs, settings and code, or None."""
        versions = reversed(self.versions())
        return next((version for version in versions if version.tags.get(FINGERPRINT) == fingerprint), None)

    def has_files(self, version: Version) -> bool:
        """Whether every file of the version exists with the size it had at registration."""
        folder, sizes = self._folder(version), json.loads(version.tags.get(_FILES, "{}"))
        if not sizes:  # registered before sizes were stored
            return (folder / "config.json").exists()
        return all((folder / name).exists() and (folder / name).stat().st_size == size for name, size in sizes.items())

    def register(
        self, folder: Path, figures: dict[str, Any], tags: dict[str, str], run_id: str | None = None
    ) -> Version:
        """Copy a complete model folder into the store and add it as a version, the challenger.

        A fingerprint is registered once. If the files of its version are lost, the same files are restored. Different
        files become a new version: the content of a version never changes.

        Parameters
        ----------
        folder
            The complete model.
        figures
            Metrics and other figures of the training.
        tags
            What the model was trained from; `FINGERPRINT` is required.
        run_id
            The MLflow run of the training.
        """
        model_digest = folder_digest(folder)
        version = self.find(tags[FINGERPRINT])
        if version is None or not self.has_files(version):
            self._store_files(folder, model_digest)
        with self._locked():
            version = self.find(tags[FINGERPRINT])
            if version is None or not self.has_files(version):
                version = self._add(folder, model_digest, figures, tags, run_id)
            return self._mark_challenger(version)

    def _add(
        self, folder: Path, model_digest: str, figures: dict[str, Any], tags: dict[str, str], run_id: str | None
    ) -> Version:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it exists already; an unreachable store raises `ArtrecError`
            self.client.create_registered_model(MODEL)
        sizes = {str(file.relative_to(folder)): file.stat().st_size for file in model_files(folder)}
        all_tags = {**tags, _FOLDER: model_digest, _FILES: json.dumps(sizes), _FIGURES: json.dumps(figures)}
        # An MLflow server refuses a local path as source. The folder is in a tag, so any source will do.
        is_server = self.store.mlflow.startswith(("http://", "https://"))
        source = f"artrec:///{model_digest}" if is_server else (self._models / model_digest).resolve().as_uri()
        entity = self.client.create_model_version(MODEL, source, run_id=run_id, tags=all_tags)
        return self.version(str(entity.version))

    def _mark_challenger(self, version: Version) -> Version:
        """Make the version challenger if it is the latest and has no alias yet."""
        if version.aliases or version.name != self.versions()[-1].name:
            return version
        self.client.set_registered_model_alias(MODEL, CHALLENGER, version.name)
        return self.version(version.name)

    def promote(
        self,
        version: Version | str,
        why: str,
        *,
        by: str = "shell",
        back: bool = False,
        instead_of: str | EllipsisType | None = ...,
    ) -> Version:
        """Make a version the champion and record the promotion. Nothing changes if it is the champion already.

        Parameters
        ----------
        version
            The version or its name.
        why
            The reason, for people to read.
        by
            `gate`, `train`, `shell:<user>` or `person:<name>`.
        back
            The promotion is a rollback to an earlier champion.
        instead_of
            The champion that the caller decided to replace, None for no champion. If it is given, only one of two
            simultaneous decisions succeeds.

        Raises
        ------
        ChampionChanged
            If `instead_of` is given and is not the champion now.
        """
        with self._locked():
            promoted_version = self.version(version.name if isinstance(version, Version) else version)
            if CHAMPION in promoted_version.aliases:
                return promoted_version
            champion = self.champion()
            champion_name = champion.name if champion else None
            if instead_of is not ... and instead_of != champion_name:
                raise ChampionChanged(
                    f"version {promoted_version.name} was to replace {instead_of or 'none'}, but the champion is now"
                    f" {champion_name or 'none'}; look at `artrec models` and decide again"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            return self._promote(promoted_version, Promotion(promoted_version.name, champion_name, why, by, now, back))

    def _promote(self, version: Version, promotion: Promotion) -> Version:
        # The alias moves last. A kill before that leaves an entry of a promotion that did not happen (`_entries`).
        self.client.set_registered_model_tag(MODEL, self._next_entry(), json.dumps(asdict(promotion)))
        tags = {
            WHY: promotion.why,
            PROMOTED_BY: promotion.by,
            PROMOTED_AT: promotion.at,
            PROMOTED_FROM: promotion.instead_of or "",
        }
        for name, value in tags.items():
            self.client.set_model_version_tag(MODEL, version.name, name, value)
        self.client.set_registered_model_alias(MODEL, CHAMPION, version.name)
        if CHALLENGER in version.aliases:
            self.client.delete_registered_model_alias(MODEL, CHALLENGER)
        return self.version(version.name)

    def promotions(self) -> list[Promotion]:
        """All promotions and rollbacks, oldest first."""
        return [promotion for _, promotion in self._entries()]

    def earlier_champions(self) -> list[str]:
        """Names of the versions that the champion can be rolled back to, the latest last."""
        champion = self.champion()
        return [] if champion is None else rollback_versions(champion.name, self.promotions())

    def roll_back(self, version: str | None, why: str, *, by: str = "shell") -> Version:
        """Make an earlier champion the champion again.

        Parameters
        ----------
        version
            The name of an earlier champion; None for the previous one.
        why, by
            As in `promote`.

        Raises
        ------
        ArtrecError
            If the version never was champion before the current one.
        """
        champion, earlier = self.champion(), self.earlier_champions()
        if version is None and not earlier:
            raise ArtrecError("no version served before the champion, so there is nothing to roll back to")
        if version is not None:
            self.version(version)
            if version not in earlier:
                names = f"those that did are {', '.join(earlier)}" if earlier else "none did"
                raise ArtrecError(
                    f"version {version} did not serve before the champion ({names});"
                    f" `artrec models promote {version}` makes it champion"
                )
        # Another process may have changed the champion since it was read.
        return self.promote(
            version or earlier[-1], why, by=by, back=True, instead_of=None if champion is None else champion.name
        )

    def latest_rollback(self, version: str) -> Promotion | None:
        """The rollback that replaced this version; None if it was promoted again since or never rolled back."""
        return latest_rollback(version, self.promotions())

    def note_decision(self, version: Version, decision: str) -> None:
        """Store the gate's decision about a version, as JSON."""
        self.client.set_model_version_tag(MODEL, version.name, GATE, decision)

    def check(self) -> None:
        """Raise `ArtrecError` if the registry cannot be reached.

        It tries once. MLflow's own retries take minutes, which suits a running training only.
        """
        if not self._has_database:
            return
        retries = os.environ.get(_RETRIES)
        os.environ[_RETRIES] = "1"
        try:
            self._aliases()
        finally:
            os.environ.pop(_RETRIES)
            if retries is not None:
                os.environ[_RETRIES] = retries

    def version(self, name: str) -> Version:
        """The version of this name; `ArtrecError` if there is none."""
        version = next((version for version in self.versions() if version.name == name), None)
        if version is None:
            raise ArtrecError(f"there is no model version {name!r}; `artrec models` lists them")
        return version

    def fetch(self, version: Version) -> Path:
        """The folder of a version; `ArtrecError` if files are missing or cut short."""
        folder = self._folder(version)
        if not self.has_files(version):
            night = version.tags.get("run_date", "DATE")
            raise ArtrecError(
                f"the files of model version {version.name} are not complete in {folder}; restore them,"
                f" or train again with `artrec train --date {night}`"
            )
        return folder

    @property
    def _models(self) -> Path:
        return Path(self.store.artifacts) / "models"

    def _folder(self, version: Version) -> Path:
        return self._models / version.model_digest

    def _locked(self) -> AbstractContextManager[None]:
        """Only one process at a time reads the registry and changes it. Hold the lock for moments only."""
        return hold_lock(self._models / ".lock", "another run is changing the model registry; waiting for it")

    def _store_files(self, folder: Path, model_digest: str) -> None:
        """Copy a model into the folder that its digest names, unless it is there already."""
        target = self._models / model_digest
        if target.exists() and folder_digest(target) == model_digest:
            return
        with write_folder_atomically(target, replacing=self._locked) as building:
            shutil.copytree(folder, building, dirs_exist_ok=True)

    def _by_alias(self, alias: str) -> Version | None:
        if not self._has_database:
            return None
        name = next((name for name, aliases in self._aliases().items() if alias in aliases), None)
        return None if name is None else self.version(name)

    def _aliases(self) -> dict[str, tuple[str, ...]]:
        model = self._model()
        version_of = {} if model is None else model.aliases
        aliases: dict[str, tuple[str, ...]] = {}
        for alias, version in sorted(version_of.items()):
            aliases[str(version)] = (*aliases.get(str(version), ()), alias)
        return aliases

    def _model(self) -> Any:
        """The registered model; None before the first version; `ArtrecError` if MLflow does not answer."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(MODEL)
        except MlflowException:  # there is none; an unreachable store raises `ArtrecError`
            return None

    def _entries(self) -> list[tuple[str, Promotion]]:
        """Tag and content of each promotion, without a last one that was killed before the alias moved."""
        model = self._model() if self._has_database else None
        tags = {} if model is None else model.tags
        entries = [(key, Promotion(**json.loads(tags[key]))) for key in sorted(tags) if key.startswith(_PROMOTION)]
        champion = self.champion()
        is_complete = not entries or (champion is not None and entries[-1][1].version == champion.name)
        return entries if is_complete else entries[:-1]

    def _next_entry(self) -> str:
        return f"{_PROMOTION}{len(self._entries()):06d}"

    # -- training runs -------------------------------------------------------------------------------------------

    def start_run(self, experiment: str, tags: dict[str, str], parameters: dict[str, Any]) -> str:
        """Start a run and return its id. Open runs of the same fingerprint, which were killed, are closed.

        Parameters
        ----------
        experiment
            The name of the MLflow experiment.
        tags
            Tags of the run; `FINGERPRINT` is required.
        parameters
            Parameters of the run; MLflow gets at most 500 characters of each value.
        """
        from mlflow.entities import Param

        with self._locked():
            experiment_id = self._experiment_id(experiment)
        for killed_run in self._open_runs(experiment_id, tags[FINGERPRINT]):
            self.end_run(killed_run, "KILLED")
        run_id = str(self.client.create_run(experiment_id, tags=tags).info.run_id)
        self.client.log_batch(run_id, params=[Param(name, str(value)[:500]) for name, value in parameters.items()])
        return run_id

    def _experiment_id(self, name: str) -> str:
        location = Path(self.store.artifacts).resolve() / "runs"
        experiment = self.client.get_experiment_by_name(name)
        return str(experiment.experiment_id if experiment else self.client.create_experiment(name, location.as_uri()))

    def open_runs(self, experiment: str, fingerprint: str) -> list[str]:
        """Ids of this fingerprint's runs that are running, or were killed before they were closed."""
        entity = self.client.get_experiment_by_name(experiment)
        return self._open_runs(entity.experiment_id, fingerprint) if entity else []

    def _open_runs(self, experiment_id: str, fingerprint: str) -> list[str]:
        condition = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'RUNNING'"
        return [run.info.run_id for run in self.client.search_runs([experiment_id], condition)]

    def reopen_run(self, run_id: str) -> None:
        """Mark a closed or killed run as running again."""
        self.client.update_run(run_id, status="RUNNING")

    def log_metrics(self, run_id: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """Add metrics, (name, value, step) each, to a run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        # MLflow accepts at most 1,000 metrics at once, and no @ in a name.
        rows = [Metric(name.replace("@", "_at_"), value, now, step) for name, value, step in metrics]
        for start in range(0, len(rows), 1000):
            self.client.log_batch(run_id, metrics=rows[start : start + 1000])

    def end_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run with an MLflow status: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run_id, status)


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder, sorted by path."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def folder_digest(folder: Path) -> str:
    """A digest of a model's files: their paths and contents."""
    digest = hashlib.blake2b(digest_size=12)
    for file in model_files(folder):
        with open(file, "rb") as raw:
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + hashlib.file_digest(raw, "sha256").digest())
    return digest.hexdigest()


def _version(entity: Any, aliases: dict[str, tuple[str, ...]]) -> Version:
    name = str(entity.version)
    tags = dict(entity.tags)
    return Version(name, aliases.get(name, ()), json.loads(tags.pop(_FIGURES, "{}")), tags)
