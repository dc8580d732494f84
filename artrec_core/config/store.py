"""Where a run writes, and what is published of it."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from artrec_core.config.sections import Section
from artrec_core.urls import redacted


class Store(Section):
    """Where a run writes."""

    lake: str = Field(description="folder or s3:// URL of the lake")
    warehouse: str = Field(description="path of a DuckDB file, or a postgresql:// URL")
    mlflow: str = Field(description="MLflow tracking URI, for example sqlite:///.artrec/demo/mlflow.db")
    artifacts: str = Field(description="folder of MLflow's artifacts (model weights)")
    models: str = Field(".artrec/models", description="cache of base models")
    work: str = Field(description="scratch folder of runs: Ray Train storage, checkpoints")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is shown of the addresses where the recipe is printed: no passwords."""
        return [(name, redacted(address)) for name, address in self]


class Publish(Section):
    """What apps read."""

    strategy: str = Field("main", description="the default strategy, served by recommendations_current")
    keep_days: int | None = Field(None, ge=1, description="older days are removed from the warehouse; null: kept")
