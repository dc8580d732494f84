"""How much memory a GPU needs to train a text tower, and how many GPUs that makes.

Sources: Rajbhandari et al. 2020, "ZeRO" (weights, gradients and optimizer: section 3.1 and figure 1); Korthikanti et al.
2022, "Reducing activation recomputation in large transformer models" (activations: equation 2 without its quadratic term,
which fused attention does not keep).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from artrec_core.config import Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.deepspeed_settings import has_bfloat16_weights

GIB = 2**30
# Bytes a token, layer and hidden unit: all activations of a layer, and the layer's input alone. In 16 bits.
WHOLE_LAYER = 34
LAYER_INPUT = 2
# DeepSpeed's defaults, in elements: what ZeRO-3 keeps gathered at most, and the bucket that gradients are reduced in.
MAX_GATHERED = 1_000_000_000
BUCKET_ELEMENTS = 500_000_000
# Texts a step encodes for each document: half as many queries beside it.
TEXTS_PER_DOCUMENT = 1.5
MAX_GPUS = 4096


@dataclass(frozen=True)
class ModelSize:
    """A language model: its parameters, layers and width, and inputs plus outputs summed over the layers' linear maps."""

    parameters: int
    layers: int
    hidden: int
    linear_ends: int

    @classmethod
    def of(cls, config: Any) -> "ModelSize":
        """Of a transformers configuration; no weight is made."""
        import torch
        from transformers import AutoModel

        with torch.device("meta"):
            model = AutoModel.from_config(config)
        linears = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
        return cls(
            parameters=sum(weight.numel() for weight in model.parameters()),
            layers=int(config.num_hidden_layers),
            hidden=int(config.hidden_size),
            linear_ends=sum(one.in_features + one.out_features for one in linears),
        )

    def moving(self, tuning: Literal["full", "lora", "frozen"], lora_rank: int) -> int:
        """The parameters that training moves; LoRA adds two matrices of its rank to each linear map."""
        return {"full": self.parameters, "lora": lora_rank * self.linear_ends, "frozen": 0}[tuning]


def training_memory(
    size: ModelSize,
    *,
    tokens: int,
    stage: int,
    workers: int,
    tuning: Literal["full", "lora", "frozen"] = "full",
    lora_rank: int = 8,
    checkpointing: bool = True,
    sixteen_bit: bool = True,
) -> dict[str, int]:
    """Bytes a GPU, by part, to train on `tokens` tokens a worker and step with Adam.

    In 16 bits a moving parameter takes 2 bytes, its gradient 2, and the optimizer 12 (a float32 copy and two moments);
    in float32 4, 4 and 8. ZeRO-1 shards the optimizer over the workers, ZeRO-2 gradients too, ZeRO-3 weights too. `export`
    is the whole model on each GPU while it is saved under ZeRO-3, when gradients and activations are gone.
    """
    moving = size.moving(tuning, lora_rank)
    every = size.parameters + (moving if tuning == "lora" else 0)
    width, state = (2, 12) if sixteen_bit else (4, 8)
    stored = LAYER_INPUT if checkpointing else WHOLE_LAYER
    layers = stored * size.layers + (WHOLE_LAYER if checkpointing else 0)
    shard = [workers if stage >= least else 1 for least in (3, 2, 1)]
    buffers = width * min(BUCKET_ELEMENTS, moving) if stage >= 1 else 0
    return {
        "weights": width * every // shard[0],
        "gradients": width * moving // shard[1],
        "optimizer": state * moving // shard[2],
        "activations": layers * tokens * size.hidden * width // 2,
        "buffers": buffers + (width * min(MAX_GATHERED, every) if stage == 3 else 0),
        "export": width * every if stage == 3 else 0,
    }


def peak_bytes(parts: dict[str, int]) -> int:
    """The most that is needed at once: in a step, or while the model is saved."""
    standing = parts["weights"] + parts["optimizer"]
    return standing + max(parts["gradients"] + parts["activations"] + parts["buffers"], parts["export"])


def recipe_memory(model: Model, train: Train, size: ModelSize, *, workers: int | None = None) -> dict[str, int]:
    """`training_memory` of a recipe's settings, on its own number of workers unless another is given."""
    settings = json.loads(Path(train.deepspeed).read_text())
    return training_memory(
        size,
        tokens=int(train.text_batch * model.max_tokens * TEXTS_PER_DOCUMENT),
        stage=int(settings.get("zero_optimization", {}).get("stage", 0)),
        workers=train.workers if workers is None else workers,
        tuning=model.tuning,
        lora_rank=model.lora_rank,
        checkpointing=model.gradient_checkpointing,
        sixteen_bit=has_bfloat16_weights(Path(train.deepspeed)),
    )


def fewest_gpus(model: Model, train: Train, size: ModelSize, gpu_bytes: int) -> int:
    """The fewest GPUs of this memory (a tenth is left for CUDA and fragments) that the recipe's training fits on.

    Raises `ArtrecError` where no number does: what a GPU holds alone is too much.
    """
    workers = 1
    while workers <= MAX_GPUS:
        if peak_bytes(recipe_memory(model, train, size, workers=workers)) <= 0.9 * gpu_bytes:
            return workers
        workers *= 2
    raise ArtrecError(
        f"no number of GPUs of {gpu_bytes / GIB:.0f} GiB holds this training; lower train.text_batch or model.max_tokens,"
        " set model.gradient_checkpointing, or take model.tuning = 'lora'"
    )


def describe_memory(parts: dict[str, int], workers: int) -> str:
    """In one line: "about 41 GiB a GPU on 8: weights 1.8, gradients 1.8, ..."."""
    each = ", ".join(f"{name} {one / GIB:.1f}" for name, one in parts.items() if one)
    return f"about {peak_bytes(parts) / GIB:.0f} GiB a GPU on {workers}: {each}"
