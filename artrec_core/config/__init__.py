"""The recipe: one validated configuration, read from TOML. It imports nothing heavy, because Airflow reads it too."""

from artrec_core.config.data import AnySource, EventSource, Prepare, Rules, Signals, Source, UserSource, is_simulated
from artrec_core.config.loading import apply_override, load
from artrec_core.config.model import BaselineName, Encode, Gate, Model, Train
from artrec_core.config.recipe import Recipe
from artrec_core.config.scoring import Block, Caps, Diversity, Exploration, Filters, Floor, Score, Strategy, Weights
from artrec_core.config.search import SEARCHABLE_SECTIONS, UNSEARCHABLE_KEYS, Range, Scalar, Tune, check_heads
from artrec_core.config.sections import Auto, Name, Section, Share
from artrec_core.config.store import Publish, Store

__all__ = [
    "AnySource",
    "Auto",
    "BaselineName",
    "Block",
    "Caps",
    "Diversity",
    "Encode",
    "EventSource",
    "Exploration",
    "Filters",
    "Floor",
    "Gate",
    "Model",
    "Name",
    "Prepare",
    "Publish",
    "Range",
    "Recipe",
    "Rules",
    "SEARCHABLE_SECTIONS",
    "Scalar",
    "Score",
    "Section",
    "Share",
    "Signals",
    "Source",
    "Store",
    "Strategy",
    "Train",
    "Tune",
    "UNSEARCHABLE_KEYS",
    "UserSource",
    "Weights",
    "apply_override",
    "check_heads",
    "is_simulated",
    "load",
]
