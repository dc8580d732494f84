"""Where a run writes, and what is published."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from artrec_core.config.sections import Section
from artrec_core.urls import redact


class Store(Section):
    """Where a run writes. Relative paths start at the working directory."""

    lake: str = Field(description="Folder or `s3://` URL of the lake.")
    warehouse: str = Field(description="Path of a DuckDB file, or a `postgresql://` URL.")
    mlflow: str = Field(
        description="MLflow tracking URI: a server, or a database such as `sqlite:///.artrec/demo/mlflow.db`."
    )
    artifacts: str = Field(description="Folder of MLflow's artifacts, which hold the model weights.")
    models: str = Field(".artrec/models", description="Folder that caches base models.")
    work: str = Field(
        description="Working folder of runs: Ray Train storage, checkpoints. All machines of a cluster must see it."
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Fields as they are printed: addresses without passwords."""
        return [(name, redact(address)) for name, address in self]


class Publish(Section):
    """What applications read."""

    strategy: str = Field("main", description="Name of the strategy that `recommendations_current` serves.")
    keep_days: int | None = Field(
        None, ge=1, description="Number of days to keep in the warehouse; older days are removed. Not set: all."
    )
