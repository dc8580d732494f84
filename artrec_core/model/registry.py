"""Model versions in MLflow: which there are, which one is served, and training runs as they go.

A version is registered after its folder is complete under `store.artifacts`; a training that was killed leaves no version.
Every promotion and every step back is kept with the registered model, so that it can be told who served when, and why.
MLflow takes seconds to import, so that happens where it is first needed.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
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
from artrec_core.locks import locked
from artrec_core.model.mlflow_store import database_file, open_client
from artrec_core.model.promotions import Promotion, latest_rollback, rollback_versions

MODEL = "artrec"
CHAMPION = "champion"
CHALLENGER = "challenger"
FINGERPRINT = "fingerprint"
_FIGURES = "figures"
# The folder of a version below `models`, which a digest of its files names, and the size of each file, as JSON.
_FOLDER, _FILES = "folder", "files"
# What the gate decided about a version, as JSON (`jobs/retrain.py`).
GATE = "gate"
# Tags of a version that tell of its latest promotion.
WHY, PROMOTED_BY, PROMOTED_AT, PROMOTED_FROM = "why", "promoted_by", "promoted_at", "promoted_from"
_PROMOTION = "promotion."
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@dataclass(frozen=True)
class Version:
    """A trained model: its name ("3"), its figures, and what it was made from (tags)."""

    name: str
    aliases: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def model_digest(self) -> str:
        """A digest of the model's files, which also names their folder. What a model made is known by it."""
        # The name begins anew with each registry. The fingerprint tells of inputs and code alone, and from the same ones
        # another processor trains other weights.
        return self.tags[_FOLDER]


class ChampionChanged(ArtrecError):
    """The champion is not the one that was decided about."""


class Registry:
    """The versions of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def client(self) -> Any:
        """MLflow's client on this store."""
        return open_client(self.store.mlflow)

    @property
    def _begun(self) -> bool:
        # Before anything was registered, nothing is asked of MLflow: creating its database alone takes seconds.
        file = database_file(self.store.mlflow)
        return file is None or file.exists()

    def champion(self) -> Version | None:
        """The version that nights are served with, or None while there is none."""
        return self._by_alias(CHAMPION)

    def versions(self) -> list[Version]:
        """Every version, oldest first."""
        if not self._begun or self._model() is None:
            return []
        aliases = self._aliases()
        found = self.client.search_model_versions(f"name = '{MODEL}'")
        return [_version(one, aliases) for one in sorted(found, key=lambda one: int(one.version))]

    def find(self, fingerprint: str) -> Version | None:
        """The latest version trained from these inputs by this code, or None."""
        return next((one for one in reversed(self.versions()) if one.tags.get(FINGERPRINT) == fingerprint), None)

    def has_files(self, version: Version) -> bool:
        """Whether every file of a version is where it was put, in its size."""
        folder, sizes = self._folder(version), json.loads(version.tags.get(_FILES, "{}"))
        if not sizes:  # registered before the sizes were kept
            return (folder / "config.json").exists()
        return all((folder / name).exists() and (folder / name).stat().st_size == size for name, size in sizes.items())

    def register(
        self, folder: Path, figures: dict[str, Any], tags: dict[str, str], run_id: str | None = None
    ) -> Version:
        """Add a version from a complete model folder (it is copied), as the challenger.

        The same fingerprint is added once. Where that version's files are gone, the same files are put back, and others
        become a version of their own: what a version's name stands for never changes.
        """
        model_digest = folder_digest(folder)
        version = self.find(tags[FINGERPRINT])
        if version is None or not self.has_files(version):
            self._keep(folder, model_digest)
        with self._locked():
            version = self.find(tags[FINGERPRINT])
            if version is None or not self.has_files(version):
                version = self._add(folder, model_digest, figures, tags, run_id)
            return self._as_challenger(version)

    def _add(
        self, folder: Path, model_digest: str, figures: dict[str, Any], tags: dict[str, str], run_id: str | None
    ) -> Version:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it is there already; trouble comes as an `ArtrecError`
            self.client.create_registered_model(MODEL)
        sizes = {str(file.relative_to(folder)): file.stat().st_size for file in model_files(folder)}
        every = {**tags, _FOLDER: model_digest, _FILES: json.dumps(sizes), _FIGURES: json.dumps(figures)}
        # A server of MLflow refuses a path of this machine as a source; where the files are, a tag says.
        served = self.store.mlflow.startswith(("http://", "https://"))
        source = f"artrec:///{model_digest}" if served else (self._models / model_digest).resolve().as_uri()
        made = self.client.create_model_version(MODEL, source, run_id=run_id, tags=every)
        return self.version(str(made.version))

    def _as_challenger(self, version: Version) -> Version:
        """The latest version is the challenger, unless it is the champion."""
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
        """Make a version the champion, and keep why and by whom. A champion stays as it is.

        `by` is `gate`, `train`, `shell:<user>` or `person:<name>`; `back` says that an earlier champion returns. Where
        `instead_of` is given and that version (None: no version) is not the champion at this moment, `AnotherChampion` is
        raised: of two that decide at once, one does.
        """
        with self._locked():
            found = self.version(version.name if isinstance(version, Version) else version)
            if CHAMPION in found.aliases:
                return found
            champion = self.champion()
            served = champion.name if champion else None
            if instead_of is not ... and instead_of != served:
                raise ChampionChanged(
                    f"version {found.name} was to take the place of {instead_of or 'none'}, but the champion is {served or 'none'}"
                    " now; look at `artrec models` and decide again"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            return self._promote(found, Promotion(found.name, served, why, by, now, back))

    def _promote(self, found: Version, promotion: Promotion) -> Version:
        # The alias moves last: what a kill leaves before that is an entry of a promotion that never was.
        self.client.set_registered_model_tag(MODEL, self._next_entry(), json.dumps(asdict(promotion)))
        tags = {
            WHY: promotion.why,
            PROMOTED_BY: promotion.by,
            PROMOTED_AT: promotion.at,
            PROMOTED_FROM: promotion.instead_of or "",
        }
        for name, value in tags.items():
            self.client.set_model_version_tag(MODEL, found.name, name, value)
        self.client.set_registered_model_alias(MODEL, CHAMPION, found.name)
        if CHALLENGER in found.aliases:
            self.client.delete_registered_model_alias(MODEL, CHALLENGER)
        return self.version(found.name)

    def promotions(self) -> list[Promotion]:
        """Every promotion and every step back, oldest first."""
        return [promotion for _, promotion in self._entries()]

    def earlier_champions(self) -> list[str]:
        """Names of the versions that the champion can be rolled back to, the latest last."""
        champion = self.champion()
        return [] if champion is None else rollback_versions(champion.name, self.promotions())

    def roll_back(self, version: str | None, why: str, *, by: str = "shell") -> Version:
        """Put an earlier champion back: the one before, or the one named. `ArtrecError` where it never served before."""
        champion, earlier = self.champion(), self.earlier_champions()
        if version is None and not earlier:
            raise ArtrecError("no version served before the champion, so there is nothing to roll back to")
        if version is not None:
            self.version(version)
            if version not in earlier:
                told = f"those that did are {', '.join(earlier)}" if earlier else "none did"
                raise ArtrecError(
                    f"version {version} did not serve before the champion ({told}); `artrec models promote {version}` makes it champion"
                )
        # Somebody else may have promoted another one since we looked.
        return self.promote(
            version or earlier[-1], why, by=by, back=True, instead_of=None if champion is None else champion.name
        )

    def was_rolled_back(self, version: str) -> Promotion | None:
        """The step back that took this version's place, unless it was promoted again since."""
        return latest_rollback(version, self.promotions())

    def note_decision(self, version: Version, decision: str) -> None:
        """Keep what the gate decided about a version."""
        self.client.set_model_version_tag(MODEL, version.name, GATE, decision)

    def check(self) -> None:
        """Raises `ArtrecError` where the registry cannot be reached now; MLflow's own patience, minutes, is for a training under way."""
        if not self._begun:
            return
        patience = os.environ.get(_RETRIES)
        os.environ[_RETRIES] = "1"
        try:
            self._aliases()
        finally:
            os.environ.pop(_RETRIES)
            if patience is not None:
                os.environ[_RETRIES] = patience

    def version(self, name: str) -> Version:
        """A version by its name; `ArtrecError` where there is none."""
        found = next((one for one in self.versions() if one.name == name), None)
        if found is None:
            raise ArtrecError(f"there is no model version {name!r}; `artrec models` lists them")
        return found

    def fetch(self, version: Version) -> Path:
        """The folder of a version; `ArtrecError` where its files are gone."""
        folder = self._folder(version)
        if not self.has_files(version):
            night = version.tags.get("run_date", "DATE")
            raise ArtrecError(
                f"the files of model version {version.name} are not whole in {folder}; put them back,"
                f" or train again with `artrec train --date {night}`"
            )
        return folder

    @property
    def _models(self) -> Path:
        return Path(self.store.artifacts) / "models"

    def _folder(self, version: Version) -> Path:
        return self._models / version.model_digest

    def _locked(self) -> AbstractContextManager[None]:
        """One at a time looks what there is and changes it by that; to be held for moments only."""
        return locked(self._models / ".lock", "another run is changing the model registry; waiting for it")

    def _keep(self, folder: Path, model_digest: str) -> None:
        """Copy a model to where its digest names it, unless it is there already."""
        kept = self._models / model_digest
        if kept.exists() and folder_digest(kept) == model_digest:
            return
        building = self._models / f".{model_digest}.{uuid.uuid4().hex}"
        shutil.copytree(folder, building)
        with self._locked():
            shutil.rmtree(kept, ignore_errors=True)
            os.replace(building, kept)

    def _by_alias(self, alias: str) -> Version | None:
        if not self._begun:
            return None
        name = next((name for name, aliases in self._aliases().items() if alias in aliases), None)
        return None if name is None else self.version(name)

    def _aliases(self) -> dict[str, tuple[str, ...]]:
        model = self._model()
        aliases = {} if model is None else model.aliases
        found: dict[str, tuple[str, ...]] = {}
        for alias, name in sorted(aliases.items()):
            found[str(name)] = (*found.get(str(name), ()), alias)
        return found

    def _model(self) -> Any:
        """The registered model, or None before the first version; `ArtrecError` where MLflow does not answer."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(MODEL)
        except MlflowException:  # its answer; trouble comes as an `ArtrecError`
            return None

    def _entries(self) -> list[tuple[str, Promotion]]:
        """Tag and content of each promotion; of the last one only if it came to be."""
        model = self._model() if self._begun else None
        tags = {} if model is None else model.tags
        entries = [(key, Promotion(**json.loads(tags[key]))) for key in sorted(tags) if key.startswith(_PROMOTION)]
        champion = self.champion()
        happened = not entries or (champion is not None and entries[-1][1].version == champion.name)
        return entries if happened else entries[:-1]

    def _next_entry(self) -> str:
        return f"{_PROMOTION}{len(self._entries()):06d}"

    # -- training runs -------------------------------------------------------------------------------------------

    def start_run(self, experiment: str, tags: dict[str, str], parameters: dict[str, Any]) -> str:
        """Begin a run and return its id; runs of the same fingerprint that were killed are closed."""
        from mlflow.entities import Param

        with self._locked():
            where = self._experiment(experiment)
        for left in self._open_runs(where, tags[FINGERPRINT]):
            self.end_run(left, "KILLED")
        run_id = str(self.client.create_run(where, tags=tags).info.run_id)
        self.client.log_batch(run_id, params=[Param(name, str(value)[:500]) for name, value in parameters.items()])
        return run_id

    def _experiment(self, name: str) -> str:
        location = Path(self.store.artifacts).resolve() / "runs"
        found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self.client.create_experiment(name, location.as_uri()))

    def open_runs(self, experiment: str, fingerprint: str) -> list[str]:
        """Ids of this fingerprint's runs that go on, or were killed before they could be closed."""
        found = self.client.get_experiment_by_name(experiment)
        return self._open_runs(found.experiment_id, fingerprint) if found else []

    def _open_runs(self, experiment_id: str, fingerprint: str) -> list[str]:
        asked = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'RUNNING'"
        return [run.info.run_id for run in self.client.search_runs([experiment_id], asked)]

    def reopen_run(self, run_id: str) -> None:
        """Go on with a run that was closed, or killed."""
        self.client.update_run(run_id, status="RUNNING")

    def log_metrics(self, run_id: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """Add (name, value, step) to a run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        # MLflow takes at most 1,000 metrics at once, and no @ in a name.
        rows = [Metric(name.replace("@", "_at_"), value, now, step) for name, value, step in metrics]
        for start in range(0, len(rows), 1000):
            self.client.log_batch(run_id, metrics=rows[start : start + 1000])

    def end_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run."""
        self.client.set_terminated(run_id, status)


def model_files(folder: Path) -> list[Path]:
    """The files of a model, in the order of their names."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def folder_digest(folder: Path) -> str:
    """A digest of a model's files: their names and what they hold."""
    digest = hashlib.blake2b(digest_size=12)
    for file in model_files(folder):
        with open(file, "rb") as raw:
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + hashlib.file_digest(raw, "sha256").digest())
    return digest.hexdigest()


def _version(found: Any, aliases: dict[str, tuple[str, ...]]) -> Version:
    name = str(found.version)
    tags = dict(found.tags)
    return Version(name, aliases.get(name, ()), json.loads(tags.pop(_FIGURES, "{}")), tags)
