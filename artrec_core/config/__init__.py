"""The one validated configuration, read from a TOML recipe. Imports nothing heavy: Airflow parses it too."""

from artrec_core.config.data import EventSource, Prepare, Rules, Signals, Source, UserSource
from artrec_core.config.loading import apply_override, load
from artrec_core.config.model import Encode, Gate, Model, Train
from artrec_core.config.recipe import Recipe
from artrec_core.config.scoring import Block, Caps, Diversity, Exploration, Filters, Floor, Score, Strategy, Weights
from artrec_core.config.search import NOT_SEARCHED, SEARCHED, Range, Scalar, Tune, check_heads
from artrec_core.config.sections import Auto, Name, Section, Share
from artrec_core.config.store import Publish, Store

__all__ = [
    "Auto",
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
    "NOT_SEARCHED",
    "Name",
    "Prepare",
    "Publish",
    "Range",
    "Recipe",
    "Rules",
    "SEARCHED",
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
    "UserSource",
    "Weights",
    "apply_override",
    "check_heads",
    "load",
]
