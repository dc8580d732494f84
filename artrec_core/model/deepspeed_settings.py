"""The file of DeepSpeed settings that a recipe names."""

import json
from pathlib import Path

from artrec_core.errors import ArtrecError


def deepspeed_file(path: str) -> Path:
    """The DeepSpeed settings that a recipe names, relative to the current folder or to the project's folder."""
    in_project = Path(__file__).parents[2] / path
    file = next((candidate for candidate in (Path(path), in_project) if candidate.exists()), None)
    if file is None:
        raise ArtrecError(
            f"train.deepspeed names {path}, which is not there; infra/deepspeed/ holds zero0, zero2 and zero3.json"
        )
    return file.resolve()


def has_bfloat16_weights(deepspeed: Path) -> bool:
    """Whether a file of DeepSpeed settings keeps weights in bfloat16."""
    return bool(json.loads(deepspeed.read_text()).get("bf16", {}).get("enabled", False))
