"""Tiny random language models with a tiny tokenizer, and training data of a few artworks and users."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from artrec_core.columns import HISTORY, conform
from artrec_core.data.holdout import leave_one_out
from artrec_core.model.sequences import build_sequences
from artrec_core.model.training_data import TrainingData

WORDS = [
    "the",
    "a",
    "red",
    "blue",
    "green",
    "boat",
    "horse",
    "river",
    "saint",
    "flower",
    "battle",
    "angel",
    "night",
    "dance",
    "city",
    "storm",
    "lion",
]
ENCODERS = ("bert", "xlm-roberta")
DECODERS = ("llama", "mistral", "qwen3")
WORKS = 24
PEOPLE = 16


def tiny_model(folder: Path, kind: str = "bert") -> Path:
    """A random language model of two layers with a tokenizer of a few words; the folder.

    `kind` is the family: bert, xlm-roberta (with a unigram tokenizer), llama, mistral, qwen3.
    """
    import transformers
    from transformers import PreTrainedTokenizerFast

    tokenizer, names = (tiny_unigram if kind == "xlm-roberta" else tiny_wordlevel)(kind)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 66}
    sizes |= {f"{name}_id": tokenizer.token_to_id(token) for name, token in names.items() if name[:3] in ("pad", "eos")}
    if kind in DECODERS:
        sizes |= {"num_key_value_heads": 1, "head_dim": 16}
    family = {"bert": "Bert", "xlm-roberta": "XLMRoberta", "llama": "Llama", "mistral": "Mistral", "qwen3": "Qwen3"}[
        kind
    ]
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**sizes))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder


def tiny_wordlevel(kind: str) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer of whole words and letters, and the names of its control tokens."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789[]<>|_."]
    vocabulary = {word: row for row, word in enumerate(dict.fromkeys([*special, *WORDS, *letters]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    if kind in DECODERS:
        return tokenizer, names | {"eos_token": "[SEP]"}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer, names | {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def tiny_unigram(kind: str) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer as XLM-R's: pieces with their log-probabilities, a mark before each word."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*(f"▁{word}" for word in WORDS), "▁", *"abcdefghijklmnopqrstuvwxyz0123456789[]<>|_./"]
    scores = [*((token, 0.0) for token in special), *((piece, -float(len(pieces) - len(piece))) for piece in pieces)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return tokenizer, names | {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}


def history(rows: list[tuple[str, str, str, int, bool]]) -> pl.DataFrame:
    """HISTORY rows from (user, artwork, kind, minute, positive)."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        [
            {
                "user_id": user,
                "artwork_id": artwork,
                "event_id": f"e{number:05d}",
                "kind": kind,
                "occurred_at": start + timedelta(minutes=minute),
                "positive": positive,
                "negative": kind == "dismiss",
                "seen": kind not in ("impression", "search"),
                "simulated": True,
            }
            for number, (user, artwork, kind, minute, positive) in enumerate(rows)
        ]
    )
    return conform(frame, HISTORY).sort("user_id", "occurred_at", "event_id")


def small_data() -> TrainingData:
    """Users of even number like boats (artworks of even number), the others like horses."""
    artwork_ids = [f"w{row:02d}" for row in range(WORKS)]
    documents = [f"the {'blue boat' if row % 2 == 0 else 'red horse'} {WORDS[5 + row // 2]}" for row in range(WORKS)]
    random = np.random.default_rng(0)
    rows = []
    for user in range(PEOPLE):
        liked = [artwork for artwork in range(WORKS) if artwork % 2 == user % 2]
        for minute, artwork in enumerate(random.permutation(liked)[:8]):
            rows.append((f"p{user:02d}", artwork_ids[artwork], "like", minute, True))
    splits = leave_one_out(history(rows))
    user_ids = [f"p{user:02d}" for user in range(PEOPLE + 1)]  # the last one has no events
    validation = np.array(
        [(user_ids.index(user), artwork_ids.index(artwork)) for user, artwork in splits.validation.iter_rows()]
    )
    interest_of = np.array([0 if user == 0 else -1 for user in range(len(user_ids))])
    return TrainingData(
        artwork_ids=artwork_ids,
        documents=documents,
        interests=["blue boat"],
        interest_of=interest_of,
        queries=[("boat" if row % 2 == 0 else "horse", row) for row in range(WORKS)],
        histories=build_sequences(splits.train, user_ids, artwork_ids),
        validation=validation,
        user_ids=user_ids,
        refit=build_sequences(splits.before_test, user_ids, artwork_ids),
    )


def tiny_settings(folder: Path) -> list[str]:
    """Overrides that bring any recipe into the folder, with a tiny model that trains in this process."""
    names = {name: folder / name for name in ("lake", "artifacts", "work")} | {"warehouse": folder / "w.duckdb"}
    settings = {f"store.{name}": json.dumps(str(path)) for name, path in names.items()} | {
        "store.mlflow": f'"sqlite:///{folder}/mlflow.db"',
        "model.base": f'"folder:{tiny_model(folder / "base")}"',
        "model.dim": "16",
        "model.max_tokens": "16",
        "train.launcher": '"process"',
        "train.user_epochs": "2",
        "train.text_epochs": "1",
    }
    return [f"{key}={value}" for key, value in settings.items()]
