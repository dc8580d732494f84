"""Encoding and training with a language model of a billion parameters on a GPU: `python tests/benchmarks/gpu_llm.py --help`.

One call checks a small model of each family against float64, then times every shape: random weights in the shape of a
published model, documents of random words with lengths as of museums' records, our `encode`, our batches of the text phase
and our training step in one process. The line nothing can cross is the measured rate of a large bf16 matrix product; a
row's share is what the model needs for the tokens without padding (2 operations a weight of a linear map and token, causal
attention besides, three times that for training; what checkpointing computes again does not count) over that line.

Needs torch, transformers, numpy, polars and pydantic, and this repository on PYTHONPATH; neither Ray nor DeepSpeed.
`--small` runs tiny shapes, on a CPU too.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gpu_topk import product_rate, wait
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoModel, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

from artrec_core.model.distributed.engines import PlainEngine
from artrec_core.model.sequences import Sequences
from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextBatch, TextBatches, TextPhase
from artrec_core.model.training_data import TrainingData
from artrec_core.processor import describe_machine

WORDS = 2000
KINDS = {"qwen3": Qwen3Config, "llama": LlamaConfig}


@dataclass(frozen=True)
class Shape:
    """A model's shape by its published name."""

    name: str
    kind: str
    hidden: int
    between: int
    layers: int
    heads: int
    groups: int
    head: int
    vocabulary: int

    def config(self) -> Any:
        return KINDS[self.kind](
            hidden_size=self.hidden,
            intermediate_size=self.between,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.groups,
            head_dim=self.head,
            vocab_size=self.vocabulary,
            max_position_embeddings=4096,
            pad_token_id=0,
            eos_token_id=2,
        )


SHAPES = [
    Shape("Llama-3.2-1B", "llama", 2048, 8192, 16, 32, 8, 64, 128_256),
    Shape("Qwen3-1.7B", "qwen3", 2048, 6144, 28, 16, 8, 128, 151_936),
]
SMALL = [
    Shape("tiny llama", "llama", 64, 128, 2, 4, 2, 16, 4000),
    Shape("tiny qwen3", "qwen3", 64, 128, 2, 4, 2, 16, 4000),
]


@dataclass(frozen=True)
class Sizes:
    """How much is encoded and trained on; `max_tokens` are tried one after another."""

    max_tokens: tuple[int, ...]
    documents: int
    batch_tokens: int
    text_batch: int
    steps: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny shapes, on a CPU where there is no GPU")
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help="some of " + ", ".join(one.name for one in SHAPES))
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--documents", type=int, default=8192)
    parser.add_argument("--batch-tokens", type=int, default=65_536)
    parser.add_argument(
        "--text-batch", type=int, default=128, help="documents a step; half as many queries beside them"
    )
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not arguments.small:
        parser.error("there is no GPU here; --small runs on a CPU")
    sizes = Sizes(
        tuple(arguments.max_tokens), arguments.documents, arguments.batch_tokens, arguments.text_batch, arguments.steps
    )
    if arguments.small:
        sizes = Sizes((24, 48), 96, 1024, 8, 2)
    name = torch.cuda.get_device_name() if device.type == "cuda" else describe_machine(torch.get_num_threads())
    line = product_rate(device, 8192 if device.type == "cuda" else 512)
    print(f"{name}, torch {torch.__version__}; bf16 matrix product: {line / 1e12:.2f} TFLOP/s; this is 100 %\n")
    for shape in SMALL:
        check(shape, device)
    for shape in SMALL if arguments.small else SHAPES:
        if not arguments.shapes or shape.name in arguments.shapes:
            for max_tokens in sizes.max_tokens:
                time_encoding(shape, device, sizes, max_tokens, line)
                for checkpointing, weights in ((False, torch.float32), (True, torch.float32), (False, torch.bfloat16)):
                    time_training(shape, device, sizes, max_tokens, line, checkpointing, weights)


def language_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Random weights; made on the device."""
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = AutoModel.from_config(shape.config(), dtype=dtype)
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    """A token a word."""
    vocabulary = {
        word: row for row, word in enumerate(["[PAD]", "[UNK]", "[SEP]", *(f"w{row}" for row in range(WORDS))])
    }
    found = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=found, pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]")


def documents(many: int, max_tokens: int, seed: int) -> list[str]:
    """Distinct texts; lengths scatter as those of museums' records do, the longest are cut at `max_tokens`."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(np.log(0.6 * max_tokens), 0.5, many), 4, max_tokens).astype(int)
    return [" ".join(f"w{word}" for word in random.integers(0, WORDS, length)) for length in lengths]


def world(texts: list[str]) -> TrainingData:
    """Works without people: the second task alone, each work asked for by a few of its words."""
    nothing = np.zeros(0, np.int64)
    none = np.zeros(0, bool)
    return TrainingData(
        artwork_ids=[str(row) for row in range(len(texts))],
        documents=texts,
        interests=[],
        interest_of=nothing,
        queries=[(" ".join(text.split()[:6]), row) for row, text in enumerate(texts)],
        histories=Sequences(np.zeros(1, np.int64), nothing, nothing, nothing, none, none),
        validation=np.zeros((0, 2), np.int64),
    )


def operations(backbone: nn.Module, config: Any, lengths: np.ndarray) -> float:
    """Of a forward pass over texts of these lengths: two a weight of a linear map and token, and causal attention."""
    weights = sum(one.in_features * one.out_features for one in backbone.modules() if isinstance(one, nn.Linear))
    # Two products of (t, head) and (head, t) a head, of which causality needs half.
    attention = 2.0 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return float(2.0 * weights * lengths.sum() + attention * np.square(lengths.astype(np.float64)).sum())


def time_encoding(shape: Shape, device: torch.device, sizes: Sizes, max_tokens: int, line: float) -> None:
    texts = documents(sizes.documents, max_tokens, seed=1)
    model = language_model(shape, device, torch.bfloat16)
    encoder = TextEncoder(model, tokenizer(), pooling="last", max_tokens=max_tokens, precision="bfloat16")
    lengths = np.array([len(ids) for ids in encoder.tokens(texts)])
    seconds = timed(lambda: encode(encoder, texts, batch_tokens=sizes.batch_tokens), device, 3)
    done = operations(model, shape.config(), lengths) / seconds
    parameters = sum(weight.numel() for weight in model.parameters())
    print(
        f"{shape.name}, {parameters / 1e9:.2f}e9 parameters, at most {max_tokens} tokens, {lengths.mean():.0f} on average"
    )
    report("encode, tokenizing included", lengths.sum() / seconds, done, line, device)


def time_training(
    shape: Shape,
    device: torch.device,
    sizes: Sizes,
    max_tokens: int,
    line: float,
    checkpointing: bool,
    weights: torch.dtype,
) -> None:
    """Whole steps as `train_text` takes them: the batch is drawn, then forward, backward, clipping and AdamW."""
    name = f"train, weights {str(weights).split('.')[-1]}{', checkpointed' if checkpointing else ''}"
    try:
        model = language_model(shape, device, weights)
        encoder = TextEncoder(model, tokenizer(), pooling="last", max_tokens=max_tokens, precision="bfloat16")
        prepare_training(encoder, "full", lora_rank=8, checkpointing=checkpointing)
        data = world(documents(sizes.text_batch * (sizes.steps + 2), max_tokens, seed=2))
        batches = TextBatches(data, encoder, sizes.text_batch, 0, 1, seed=0)
        engine = PlainEngine(TextPhase(encoder).train(), 1e-5, 0.1)
        for step in range(2):
            engine.step(batches.draw(step))
        wait(device)
        begun = time.perf_counter()
        drawn = [batches.draw(step + 2) for step in range(sizes.steps)]
        drawing = time.perf_counter() - begun
        for batch in drawn:
            engine.step(batch)
        wait(device)
        seconds = time.perf_counter() - begun
    except torch.OutOfMemoryError:
        print(f"  {name:44} does not fit the device's memory", flush=True)
        return
    lengths = np.concatenate([group.mask.sum(1).numpy() for batch in drawn for group in batch.texts])
    done = 3 * operations(model, shape.config(), lengths) / seconds
    padding = np.mean([batch.padding_share for batch in drawn])
    extra = f", drawing {drawing / seconds:.1%} of the time, padding {padding:.1%}"
    report(name, lengths.sum() / seconds, done, line, device, extra)


def report(name: str, tokens: float, done: float, line: float, device: torch.device, extra: str = "") -> None:
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.0f} GiB at most" if device.type == "cuda" else ""
    print(
        f"  {name:44} {tokens:9,.0f} tokens/s {done / 1e12:7.2f} TFLOP/s {done / line:6.1%}{extra}{memory}", flush=True
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def timed(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Seconds of the best round, after one that does not count."""
    work()
    found = []
    for _ in range(rounds):
        wait(device)
        begun = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - begun)
    return min(found)


def check(shape: Shape, device: torch.device) -> None:
    """Vectors, the loss and its gradients of a small model on this device against float64 on the CPU."""
    texts = documents(40, 24, seed=3)
    told = []
    exact = encoder_of(shape, torch.device("cpu"), "float32", torch.float64)
    batch = TextBatches(world(texts), exact, 8, 0, 1, seed=0).draw(0)
    vectors = one_by_one(exact, texts)
    loss, gradient = loss_and_gradient(exact, batch)
    for precision, allowed in (("float32", 1e-4), ("bfloat16", 2e-2)):
        ours = encoder_of(shape, device, precision, torch.float32)
        far = 1 - float((encode(ours, texts, batch_tokens=256) * vectors).sum(1).min())
        other, other_gradient = loss_and_gradient(ours, batch)
        turned = 1 - float(nn.functional.cosine_similarity(gradient, other_gradient, dim=0))
        off = abs(other - loss) / abs(loss)
        told.append(f"{precision}: vectors {far:.1e}, loss {off:.1e}, gradient {turned:.1e}")
        if not max(far, off, turned) < allowed:
            raise SystemExit(f"{shape.name} is not what float64 says ({told[-1]}; allowed {allowed})")
    print(f"check, {shape.name}, 1 - cosine or relative: {'; '.join(told)}")


def encoder_of(shape: Shape, device: torch.device, precision: Any, dtype: torch.dtype) -> TextEncoder:
    # The same random weights on every device: drawn on the CPU in float32.
    model = language_model(shape, torch.device("cpu"), torch.float32).to(device=device, dtype=dtype)
    return TextEncoder(model, tokenizer(), pooling="last", max_tokens=24, precision=precision).eval()


def one_by_one(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([encoder(*encoder.pad([ids])) for ids in encoder.tokens(texts)]).numpy()


def loss_and_gradient(encoder: TextEncoder, batch: TextBatch) -> tuple[float, torch.Tensor]:
    encoder.zero_grad()
    loss = TextPhase(encoder)(batch)
    loss.backward()
    gradients = [weight.grad.flatten().double().cpu() for weight in encoder.parameters() if weight.grad is not None]
    return float(loss), torch.cat(gradients)


if __name__ == "__main__":
    main()
