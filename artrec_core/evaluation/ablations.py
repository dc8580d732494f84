"""What each part of our model brings: the recipe with one thing changed at a time."""

from dataclasses import dataclass, field
from typing import Any

from artrec_core.config import Recipe

FULL, ID_ONLY, TEXT_ONLY, NO_INTERESTS = "full", "id-only", "text-only", "no-interests"


@dataclass(frozen=True)
class Ablation:
    """`told` says in a table what is changed; `model` and `train` are the recipe's keys that change, with their values.

    `text_rate` multiplies the text tower's learning rate. `of_text_phase` says that it changes nothing but that phase.
    """

    told: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    text_rate: float = 1.0
    of_text_phase: bool = False


ABLATIONS = {
    "text-frozen": Ablation("the text tower as it comes", model={"tuning": "frozen"}),
    "text-tuned": Ablation("the text tower trained in full", model={"tuning": "full"}),
    # Updates of so low a rank take the larger steps that they are used with everywhere.
    "text-lora": Ablation("LoRA for the text tower, at ten times the rate", model={"tuning": "lora"}, text_rate=10.0),
    "no-matching": Ablation("no text-to-artwork matching", train={"matching": 0.0}),
    "no-augmentation": Ablation("documents never told another way", train={"augment": 0.0}, of_text_phase=True),
    TEXT_ONLY: Ablation("no id vectors", model={"id_dropout": 1.0}),
    # Ids are dropped to make the model lean on text; where there is none, that would only take from it.
    ID_ONLY: Ablation("no text, no stated interests", model={"tuning": "frozen", "id_dropout": 0.0}),
    NO_INTERESTS: Ablation("no stated interests"),
    "no-transformer": Ablation("no transformer in the user tower, its memory alone", model={"layers": 0}),
    "in-order": Ablation("histories read in their order only", train={"shuffled": 0.0}),
    "out-of-order": Ablation("histories read shuffled only", train={"shuffled": 1.0}),
    "no-refit": Ablation("not trained again with the validation works", train={"refit": False}),
}


def variant(recipe: Recipe, name: str, seed: int) -> Recipe:
    """The recipe that trains this model with this seed; `full` is the recipe as it stands."""
    ablation = ABLATIONS.get(name, Ablation("nothing is changed"))
    train = ablation.train | {"seed": seed}
    if ablation.text_rate != 1:
        train["text_learning_rate"] = recipe.train.text_learning_rate * ablation.text_rate
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=ablation.model),
            "train": recipe.train.model_copy(update=train),
        }
    )


def applicable(recipe: Recipe, *, interests: bool) -> list[str]:
    """The ablations that change something of this recipe; `interests` says whether anybody stated some."""
    tuned = recipe.model.tuning != "frozen" and recipe.train.text_epochs != 0
    return [name for name, one in ABLATIONS.items() if _changes(recipe, name, one, tuned=tuned, interests=interests)]


def _changes(recipe: Recipe, name: str, ablation: Ablation, *, tuned: bool, interests: bool) -> bool:
    if name == NO_INTERESTS:
        return interests
    if ablation.of_text_phase and not tuned:
        return False
    return any(
        getattr(section, key) != value
        for section, changes in ((recipe.model, ablation.model), (recipe.train, ablation.train))
        for key, value in changes.items()
    )
