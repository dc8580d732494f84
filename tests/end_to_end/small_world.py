"""A night small enough to be run again and again: 120 works of the demo world, 80 simulated visitors."""

from pathlib import Path

from tests.conftest import ROOT

DAY = "2026-03-30"


def small_recipe(folder: Path, extra: str = "", **urls: str) -> Path:
    """Write the recipe of a small night whose every store lies in the folder, or at one of `urls`; its path."""
    stores = {
        "lake": f"{folder}/lake",
        "warehouse": f"{folder}/warehouse.duckdb",
        "mlflow": f"sqlite:///{folder}/mlflow.db",
    } | urls
    path = folder / "small.toml"
    path.write_text(
        f"""
name = "small"
[store]
lake = "{stores["lake"]}"
warehouse = "{stores["warehouse"]}"
mlflow = "{stores["mlflow"]}"
artifacts = "{folder}/artifacts"
work = "{folder}/work"
models = "{ROOT}/.artrec/models"
[[sources]]
name = "demo"
kind = "demo"
limit = 120
[[events]]
name = "visitors"
kind = "simulated"
users = 80
events = 3000
days = 30
ends = "2026-03-31"
[rules]
max_quarantine_share = 0.5  # the one bot makes a third of so few people's events
[model]
tuning = "frozen"
dim = 16
layers = 1
[train]
launcher = "process"
user_epochs = 2
[score]
k = 5
shard_users = 32
similar_k = 3
audience_k = 3
{extra}
"""
    )
    return path
