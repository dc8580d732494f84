"""The file of DeepSpeed settings that a recipe names."""

import json
from pathlib import Path

from artrec_core.errors import ArtrecError


def deepspeed_file(path: str) -> Path:
    """The DeepSpeed settings a recipe names: from where the command runs, or from the project's folder."""
    beside = Path(__file__).parents[2] / path
    found = next((one for one in (Path(path), beside) if one.exists()), None)
    if found is None:
        raise ArtrecError(
            f"train.deepspeed names {path}, which is not there; infra/deepspeed/ holds zero0, zero2 and zero3.json"
        )
    return found.resolve()


def has_bfloat16_weights(deepspeed: Path) -> bool:
    """Whether DeepSpeed's settings keep weights in bfloat16."""
    return bool(json.loads(deepspeed.read_text()).get("bf16", {}).get("enabled", False))
