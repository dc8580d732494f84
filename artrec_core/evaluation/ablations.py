"""Ablations: the recipe with one part of the model changed at a time, to measure what the part contributes."""

from dataclasses import dataclass, field
from typing import Any

from artrec_core.config import Recipe

FULL, ID_ONLY, TEXT_ONLY, NO_INTERESTS = "full", "id-only", "text-only", "no-interests"
# The model and its two parts, which `artrec evaluate` measures by default.
OWN_MODELS = (ID_ONLY, TEXT_ONLY, FULL)


@dataclass(frozen=True)
class Ablation:
    """One change of the recipe.

    `description` stands in tables. `model` and `train` are the recipe keys that change, with their values. `text_rate`
    multiplies the text tower's learning rate. `text_phase_only` says that the change affects only the text phase.
    """

    description: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    text_rate: float = 1.0
    text_phase_only: bool = False


ABLATIONS = {
    "text-frozen": Ablation("the text tower without fine-tuning", model={"tuning": "frozen"}),
    "text-tuned": Ablation("all weights of the text tower fine-tuned", model={"tuning": "full"}),
    # LoRA updates have a low rank and are commonly trained at a higher rate.
    "text-lora": Ablation(
        "LoRA for the text tower, at ten times the learning rate", model={"tuning": "lora"}, text_rate=10.0
    ),
    "no-matching": Ablation("no text-to-artwork matching", train={"matching": 0.0}),
    "no-augmentation": Ablation("no augmentation of documents", train={"augment": 0.0}, text_phase_only=True),
    TEXT_ONLY: Ablation("no id vectors", model={"id_dropout": 1.0}),
    # Dropping ids makes the model use text. Without text, it would only remove information.
    ID_ONLY: Ablation("no text, no stated interests", model={"tuning": "frozen", "id_dropout": 0.0}),
    NO_INTERESTS: Ablation("no stated interests"),
    "no-transformer": Ablation("no transformer in the user tower, only its memory", model={"layers": 0}),
    "in-order": Ablation("histories only in their order", train={"shuffled": 0.0}),
    "out-of-order": Ablation("histories only shuffled", train={"shuffled": 1.0}),
    "no-refit": Ablation("no second training that includes the validation artworks", train={"refit": False}),
}


def variant(recipe: Recipe, name: str, seed: int) -> Recipe:
    """The recipe that trains the model of this name with this seed; `full` changes only the seed."""
    ablation = ABLATIONS.get(name, Ablation("no change"))
    train = ablation.train | {"seed": seed}
    if ablation.text_rate != 1:
        train["text_learning_rate"] = recipe.train.text_learning_rate * ablation.text_rate
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=ablation.model),
            "train": recipe.train.model_copy(update=train),
        }
    )


def applicable_ablations(recipe: Recipe, *, interests: bool) -> list[str]:
    """Names of the ablations that change something in this recipe; `interests` says whether any user stated one."""
    is_tuned = recipe.model.tuning != "frozen" and recipe.train.text_epochs != 0
    return [
        name
        for name, ablation in ABLATIONS.items()
        if _is_applicable(recipe, name, ablation, is_tuned=is_tuned, interests=interests)
    ]


def _is_applicable(recipe: Recipe, name: str, ablation: Ablation, *, is_tuned: bool, interests: bool) -> bool:
    if name == NO_INTERESTS:
        return interests
    if ablation.text_phase_only and not is_tuned:
        return False
    return any(
        getattr(section, key) != value
        for section, changes in ((recipe.model, ablation.model), (recipe.train, ablation.train))
        for key, value in changes.items()
    )
