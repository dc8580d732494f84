"""Column names and schemas of all tables. Other modules take them from here."""

import polars as pl

# Artwork
ARTWORK_ID = "artwork_id"
SOURCE = "source"
TITLE = "title"
TITLE_ORIGINAL = "title_original"
CREATORS = "creators"
YEAR_FROM = "year_from"
YEAR_TO = "year_to"
DATE_TEXT = "date_text"
CLASSIFICATION = "classification"
MEDIUM = "medium"
MOVEMENT = "movement"
CULTURE = "culture"
SUBJECTS = "subjects"
DESCRIPTION = "description"
MUSEUM = "museum"
IMAGE_URL = "image_url"
URL = "url"
LICENCE = "licence"
PRICE = "price"
CURRENCY = "currency"
CRAWLED_AT = "crawled_at"
CONTENT_HASH = "content_hash"
DOCUMENT = "document"

# Event
EVENT_ID = "event_id"
USER_ID = "user_id"
KIND = "kind"
VALUE = "value"
DWELL_SECONDS = "dwell_seconds"
TEXT = "text"
PLACE = "place"
OCCURRED_AT = "occurred_at"
RUN_DATE = "run_date"
STRATEGY = "strategy"
SIMULATED = "simulated"

# Signals derived from an event (histories)
POSITIVE = "positive"
NEGATIVE = "negative"
SEEN = "seen"

# User
LOCALE = "locale"
INTERESTS = "interests"
CONSENT = "consent"

# Raw records and quarantine
LINE = "line"
RECORD = "record"
TABLE = "table"
KEY = "key"
RULE = "rule"
REASON = "reason"

# Vectors
TEXT_TOWER = "text_tower"
HISTORY_HASH = "history_hash"
MODEL_VERSION = "model_version"
VECTOR = "vector"

# Recommendation tables
RANK = "rank"
SCORE = "score"
BECAUSE_OF = "because_of"
OTHER_ARTWORK_ID = "other_artwork_id"
SEGMENT = "segment"
# The segment of all artworks; others are `museum:<name>` and `movement:<name>`.
OVERALL = "overall"

# Publications
ROWS = "rows"
PEOPLE = "people"
CHECKSUM = "checksum"
STATUS = "status"
PUBLISHED_AT = "published_at"

# Times of processing, which differ from run to run: digests leave them out.
VOLATILE = frozenset({CRAWLED_AT, PUBLISHED_AT})

Schema = dict[str, pl.DataType]

_STRING = pl.String()
_TIMESTAMP = pl.Datetime("us", "UTC")
_STRINGS = pl.List(pl.String())

CREATOR = pl.Struct(
    {
        "name": pl.String(),
        "role": pl.String(),
        "nationality": pl.String(),
        "gender": pl.String(),
        "born": pl.Int32(),
        "died": pl.Int32(),
    }
)

ARTWORK: Schema = {
    ARTWORK_ID: _STRING,
    SOURCE: _STRING,
    TITLE: _STRING,
    TITLE_ORIGINAL: _STRING,
    CREATORS: pl.List(CREATOR),
    YEAR_FROM: pl.Int32(),
    YEAR_TO: pl.Int32(),
    DATE_TEXT: _STRING,
    CLASSIFICATION: _STRING,
    MEDIUM: _STRING,
    MOVEMENT: _STRING,
    CULTURE: _STRING,
    SUBJECTS: _STRINGS,
    DESCRIPTION: _STRING,
    MUSEUM: _STRING,
    IMAGE_URL: _STRING,
    URL: _STRING,
    LICENCE: _STRING,
    PRICE: pl.Float64(),
    CURRENCY: _STRING,
    CRAWLED_AT: _TIMESTAMP,
    CONTENT_HASH: _STRING,
}

EVENT: Schema = {
    EVENT_ID: _STRING,
    USER_ID: _STRING,
    ARTWORK_ID: _STRING,
    KIND: _STRING,
    VALUE: pl.Float64(),
    DWELL_SECONDS: pl.Float64(),
    TEXT: _STRING,
    PLACE: _STRING,
    OCCURRED_AT: _TIMESTAMP,
    RUN_DATE: _STRING,
    STRATEGY: _STRING,
    SIMULATED: pl.Boolean(),
}

EVENT_KINDS = (
    "impression",
    "view",
    "search",
    "like",
    "favourite",
    "rating",
    "comment",
    "purchase",
    "dismiss",
)

USER: Schema = {
    USER_ID: _STRING,
    LOCALE: _STRING,
    INTERESTS: _STRING,
    CONSENT: pl.Boolean(),
    SIMULATED: pl.Boolean(),
}

# The last answer on consent that each source gave for a user on a run date; quarantined rows count too.
CONSENTS: Schema = {SOURCE: _STRING, USER_ID: _STRING, CONSENT: pl.Boolean()}

# One row for each record as it was received. It is not parsed: a line that holds `null` is a row too.
RAW: Schema = {SOURCE: _STRING, LINE: pl.Int64(), RECORD: _STRING, CRAWLED_AT: _TIMESTAMP}

QUARANTINE: Schema = {
    TABLE: _STRING,
    SOURCE: _STRING,
    LINE: pl.Int64(),
    KEY: _STRING,
    RULE: _STRING,
    REASON: _STRING,
    RECORD: _STRING,
}

# The last known state of every artwork, with the text that the model reads.
CATALOGUE: Schema = {**ARTWORK, DOCUMENT: _STRING}

# One row for each event before the end of the run date, sorted by (user_id, occurred_at, event_id).
HISTORY: Schema = {
    USER_ID: _STRING,
    ARTWORK_ID: _STRING,
    EVENT_ID: _STRING,
    KIND: _STRING,
    VALUE: pl.Float64(),
    OCCURRED_AT: _TIMESTAMP,
    POSITIVE: pl.Boolean(),
    NEGATIVE: pl.Boolean(),
    SEEN: pl.Boolean(),
    SIMULATED: pl.Boolean(),
}

TEXT_VECTOR: Schema = {TEXT_TOWER: _STRING, CONTENT_HASH: _STRING, VECTOR: pl.List(pl.Float32())}
INTEREST_VECTOR: Schema = {TEXT_TOWER: _STRING, INTERESTS: _STRING, VECTOR: pl.List(pl.Float32())}
ITEM_VECTOR: Schema = {ARTWORK_ID: _STRING, MODEL_VERSION: _STRING, VECTOR: pl.List(pl.Float32())}
USER_VECTOR: Schema = {
    USER_ID: _STRING,
    MODEL_VERSION: _STRING,
    HISTORY_HASH: _STRING,
    VECTOR: pl.List(pl.Float32()),
}

_PROVENANCE: Schema = {RUN_DATE: _STRING, MODEL_VERSION: _STRING, SIMULATED: pl.Boolean()}

RECOMMENDATION: Schema = {
    STRATEGY: _STRING,
    USER_ID: _STRING,
    RANK: pl.Int32(),
    ARTWORK_ID: _STRING,
    SCORE: pl.Float32(),
    REASON: _STRING,
    BECAUSE_OF: _STRING,
    **_PROVENANCE,
}
SIMILAR_ARTWORK: Schema = {
    ARTWORK_ID: _STRING,
    RANK: pl.Int32(),
    OTHER_ARTWORK_ID: _STRING,
    SCORE: pl.Float32(),
    **_PROVENANCE,
}
ARTWORK_AUDIENCE: Schema = {
    ARTWORK_ID: _STRING,
    RANK: pl.Int32(),
    USER_ID: _STRING,
    SCORE: pl.Float32(),
    **_PROVENANCE,
}
POPULAR_ARTWORK: Schema = {
    SEGMENT: _STRING,
    RANK: pl.Int32(),
    ARTWORK_ID: _STRING,
    SCORE: pl.Float32(),
    **_PROVENANCE,
}
# The scores of all user-artwork pairs of a strategy. Written only if the recipe asks for it.
PAIR: Schema = {USER_ID: _STRING, ARTWORK_ID: _STRING, STRATEGY: _STRING, SCORE: pl.Float32()}
SHOWN_ARTWORK: Schema = {
    ARTWORK_ID: _STRING,
    TITLE: _STRING,
    CREATORS: _STRING,
    DATE_TEXT: _STRING,
    YEAR_FROM: pl.Int32(),
    YEAR_TO: pl.Int32(),
    MUSEUM: _STRING,
    MOVEMENT: _STRING,
    IMAGE_URL: _STRING,
    URL: _STRING,
    LICENCE: _STRING,
    SOURCE: _STRING,
    **_PROVENANCE,
}
PUBLICATION: Schema = {
    RUN_DATE: _STRING,
    STRATEGY: _STRING,
    MODEL_VERSION: _STRING,
    ROWS: pl.Int64(),
    PEOPLE: pl.Int64(),
    CHECKSUM: _STRING,
    STATUS: _STRING,
    SIMULATED: pl.Boolean(),
    PUBLISHED_AT: _TIMESTAMP,
}

# Lake table -> columns.
LAKE: dict[str, Schema] = {
    "raw_artworks": RAW,
    "raw_events": RAW,
    "raw_users": RAW,
    "artworks_checked": ARTWORK,
    "events_checked": EVENT,
    "users_checked": USER,
    "consents": CONSENTS,
    "quarantine": QUARANTINE,
    "catalogue": CATALOGUE,
    "histories": HISTORY,
    "people": USER,
    "text_vectors": TEXT_VECTOR,
    "interest_vectors": INTEREST_VECTOR,
    "item_vectors": ITEM_VECTOR,
    "user_vectors": USER_VECTOR,
    "recommendations": RECOMMENDATION,
    "similar_artworks": SIMILAR_ARTWORK,
    "artwork_audiences": ARTWORK_AUDIENCE,
    "popular_artworks": POPULAR_ARTWORK,
    "all_pairs": PAIR,
}

# Warehouse table -> (columns, primary key). The scored tables of the lake are loaded unchanged.
WAREHOUSE: dict[str, tuple[Schema, tuple[str, ...]]] = {
    "recommendations_v1": (RECOMMENDATION, (RUN_DATE, STRATEGY, USER_ID, RANK)),
    "similar_artworks_v1": (SIMILAR_ARTWORK, (RUN_DATE, ARTWORK_ID, RANK)),
    "artwork_audiences_v1": (ARTWORK_AUDIENCE, (RUN_DATE, ARTWORK_ID, RANK)),
    "popular_artworks_v1": (POPULAR_ARTWORK, (RUN_DATE, SEGMENT, RANK)),
    "artworks_v1": (SHOWN_ARTWORK, (RUN_DATE, ARTWORK_ID)),
}


def empty_frame(schema: Schema) -> pl.DataFrame:
    """A frame with these columns and no rows."""
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Select exactly these columns, in this order, cast to their types.

    A column that the frame lacks is all null. Raises `polars.exceptions.InvalidOperationError` if a value does not fit
    its type.
    """
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )
