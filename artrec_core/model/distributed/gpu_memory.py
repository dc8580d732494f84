"""The memory that a GPU needs to train a text tower, and the number of GPUs that follows.

Sources: weights, gradients and optimizer from Rajbhandari et al. 2020, "ZeRO", section 3.1 and figure 1. Activations from
Korthikanti et al. 2022, "Reducing activation recomputation in large transformer models", equation 2 without the quadratic
term: fused attention does not store that.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from artrec_core.config import Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.deepspeed_settings import has_bfloat16_weights

GIB = 2**30
# Bytes for each token, layer and hidden unit, in 16 bits: all activations of a layer, and only the layer's input.
WHOLE_LAYER = 34
LAYER_INPUT = 2
# DeepSpeed's defaults, in elements: the most that ZeRO-3 keeps gathered, and the bucket for reducing gradients.
MAX_GATHERED = 1_000_000_000
BUCKET_ELEMENTS = 500_000_000
# A step encodes up to half as many queries as documents (`text_phase.QUERY_SHARE`).
TEXTS_PER_DOCUMENT = 1.5
MAX_GPUS = 4096


@dataclass(frozen=True)
class ModelSize:
    """Sizes of a language model.

    `parameters`, `layers` and `hidden` (the width) are numbers; `linear_ends` is the sum of inputs and outputs over all
    linear maps.
    """

    parameters: int
    layers: int
    hidden: int
    linear_ends: int

    @classmethod
    def of(cls, config: Any) -> "ModelSize":
        """The sizes of a transformers configuration. No weights are allocated."""
        import torch
        from transformers import AutoModel

        with torch.device("meta"):
            model = AutoModel.from_config(config)
        linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        return cls(
            parameters=sum(weight.numel() for weight in model.parameters()),
            layers=int(config.num_hidden_layers),
            hidden=int(config.hidden_size),
            linear_ends=sum(linear.in_features + linear.out_features for linear in linears),
        )

    def trainable(self, tuning: Literal["full", "lora", "frozen"], lora_rank: int) -> int:
        """Number of trainable parameters; LoRA adds two matrices of its rank to each linear map."""
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
    """Bytes that each GPU needs for training with Adam, by part.

    In 16 bits, a trainable parameter takes 2 bytes, its gradient 2 and its optimizer state 12 (a float32 copy and two
    moments); in float32 4, 4 and 8. ZeRO-1 shards the optimizer over the workers, ZeRO-2 also gradients, ZeRO-3 also
    weights.

    Parameters
    ----------
    size
        The language model.
    tokens
        Tokens that a worker encodes in a step.
    stage
        ZeRO stage, 0 to 3.
    workers
        Number of GPUs.
    tuning, lora_rank
        Which parameters are trained.
    checkpointing
        Activations are recomputed: only the inputs of layers are stored.
    sixteen_bit
        Weights and gradients are 16-bit.

    Returns
    -------
    dict[str, int]
        Bytes of `weights`, `gradients`, `optimizer`, `activations`, `buffers` and `export`: the complete model on each GPU
        while ZeRO-3 saves it, when gradients and activations are gone.
    """
    trainable = size.trainable(tuning, lora_rank)
    parameters = size.parameters + (trainable if tuning == "lora" else 0)
    width, state_bytes = (2, 12) if sixteen_bit else (4, 8)
    bytes_per_layer = LAYER_INPUT if checkpointing else WHOLE_LAYER
    layers = bytes_per_layer * size.layers + (WHOLE_LAYER if checkpointing else 0)
    weight_shards, gradient_shards, optimizer_shards = (workers if stage >= first else 1 for first in (3, 2, 1))
    buffers = width * min(BUCKET_ELEMENTS, trainable) if stage >= 1 else 0
    return {
        "weights": width * parameters // weight_shards,
        "gradients": width * trainable // gradient_shards,
        "optimizer": state_bytes * trainable // optimizer_shards,
        "activations": layers * tokens * size.hidden * width // 2,
        "buffers": buffers + (width * min(MAX_GATHERED, parameters) if stage == 3 else 0),
        "export": width * parameters if stage == 3 else 0,
    }


def peak_bytes(parts: dict[str, int]) -> int:
    """The largest number of bytes in use at once: in a step, or while the model is saved."""
    constant = parts["weights"] + parts["optimizer"]
    return constant + max(parts["gradients"] + parts["activations"] + parts["buffers"], parts["export"])


def recipe_memory(model: Model, train: Train, size: ModelSize, *, workers: int | None = None) -> dict[str, int]:
    """`training_memory` of a recipe.

    Parameters
    ----------
    model, train
        Sections of the recipe.
    size
        The language model.
    workers
        Number of GPUs, if it is not the recipe's.
    """
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
    """The smallest number of GPUs, a power of two, that the recipe's training fits on.

    Parameters
    ----------
    model, train
        Sections of the recipe.
    size
        The language model.
    gpu_bytes
        Memory of a GPU; a tenth of it is left for CUDA and fragmentation.

    Raises
    ------
    ArtrecError
        If no number of GPUs suffices, because the parts that are not sharded are too large.
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
    """One line for people: "about 41 GiB per GPU on 8: weights 1.8, gradients 1.8, ..."."""
    sizes = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size)
    return f"about {peak_bytes(parts) / GIB:.0f} GiB per GPU on {workers}: {sizes}"
