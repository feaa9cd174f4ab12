"""Arrow schemas of the tables of a dataset, with units and ranges.

A dataset may hold any of them: photos or clips bring `products` and `clips`, a viewing log brings `events` and, where
it knows more of its viewers than what they did, `viewers`.
"""

from __future__ import annotations

import pyarrow as pa

from cluster.errors import InputError

EVENT_TYPES = ("impression", "click", "watch", "like", "purchase")


def _field(name: str, kind: pa.DataType, note: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"note": note})


ATTRIBUTES = pa.map_(pa.string(), pa.string())

PRODUCTS = pa.schema(
    [
        _field("product_id", pa.string(), "key of the shop's own catalogue"),
        _field("title", pa.string(), "what a shopper reads"),
        _field("category", pa.string(), "kind of product; 'unknown' where the source has none"),
        _field("description", pa.string(), "free text", null=True),
        _field("price", pa.float32(), "in the shop's currency, >= 0", null=True),
        _field("creator", pa.string(), "brand, seller or author", null=True),
        _field("tags", pa.list_(pa.string()), "free labels", null=True),
        _field("attributes", ATTRIBUTES, "whatever else the source says, as text, by column", null=True),
    ]
)

CLIPS = pa.schema(
    [
        _field("clip_id", pa.string(), "hash of the source file and the conversion settings"),
        _field("product_id", pa.string(), "the product shown"),
        _field("num_frames", pa.int32(), "T, frames"),
        _field("height", pa.int32(), "H, pixels"),
        _field("width", pa.int32(), "W, pixels"),
        _field("fps", pa.float32(), "frames a second, > 0"),
        _field("frames", pa.large_binary(), "uint8 (T, H, W, 3) RGB in C order"),
        _field("style_code", pa.list_(pa.float32()), "style statistics of the clip, see trainables.data.style_code"),
        _field(
            "audio_logmel", pa.list_(pa.float32()), "(T, 64) log-mel energies flattened, one row a frame", null=True
        ),
        _field("camera_move", pa.string(), "move that made a photo into a clip", null=True),
        _field("source", pa.string(), "path of the source file below the imported folder"),
        _field("source_sha256", pa.string(), "hash of the source file"),
        _field("source_seconds", pa.float32(), "length of the source clip in seconds", null=True),
    ]
)

EVENTS = pa.schema(
    [
        _field("event_id", pa.string(), "key; the same event imported twice is stored once"),
        _field("viewer_id", pa.string(), "keyed pseudonym, see cluster.pseudonym"),
        _field("product_id", pa.string(), "the product the event is about"),
        _field("event_type", pa.string(), "one of " + ", ".join(EVENT_TYPES)),
        _field("at", pa.timestamp("ms", tz="UTC"), "when it happened"),
        _field("watch_seconds", pa.float32(), "time watched, seconds >= 0; loops count", null=True),
        _field("duration_seconds", pa.float32(), "length of what was shown, seconds > 0", null=True),
        _field("position", pa.int32(), "slot in the slate, 0 first", null=True),
        _field("style", pa.string(), "named look in which the clip was shown; null: as it came", null=True),
        _field("request_id", pa.string(), "the slate or impression it belongs to", null=True),
        _field("is_random", pa.bool_(), "shown by a random policy", null=True),
        _field("surface", pa.string(), "where in the shop or app it was shown", null=True),
    ]
)

VIEWERS = pa.schema(
    [
        _field("viewer_id", pa.string(), "keyed pseudonym, see cluster.pseudonym"),
        _field("attributes", ATTRIBUTES, "what the source says of the viewer, as text, by column"),
    ]
)

TABLES = {"products": PRODUCTS, "clips": CLIPS, "events": EVENTS, "viewers": VIEWERS}
KEYS = {"products": "product_id", "clips": "clip_id", "events": "event_id", "viewers": "viewer_id"}


def conform(table: pa.Table, name: str, source: str) -> pa.Table:
    """Cast to the schema of `name`; missing nullable columns are filled. Errors name the column and the source."""
    schema = TABLES[name]
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            if not field.nullable:
                raise InputError(f"{source}: column {field.name!r} is missing from the {name} table")
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table[field.name]
        try:
            column = column.cast(field.type)
        except pa.ArrowInvalid as error:
            raise InputError(f"{source}: column {field.name!r} is not {field.type}: {error}") from error
        if not field.nullable and column.null_count:
            raise InputError(f"{source}: column {field.name!r} has {column.null_count} empty values")
        columns.append(column)
    return pa.table(columns, schema=schema)
