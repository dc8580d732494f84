"""A smallest recipe for tests, to which each test adds its own lines."""

from pathlib import Path

SMALLEST = """
name = "small"
[store]
lake = "lake"
warehouse = "w.duckdb"
mlflow = "sqlite:///m.db"
artifacts = "artifacts"
work = "work"
[[sources]]
name = "demo"
kind = "demo"
"""


def write_recipe(folder: Path, more: str = "", *, start: str = SMALLEST) -> Path:
    """Write `start` and then `more` to a file, and return its path."""
    path = folder / "recipe.toml"
    path.write_text(start + more)
    return path
