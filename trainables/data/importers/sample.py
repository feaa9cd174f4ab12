"""The embedded sample shop as a dataset: rendered turntables and a simulated viewing log (see its data card)."""

from __future__ import annotations

import pyarrow as pa

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.dataset import Dataset, TableWriter, check_name
from trainables.data.importers.catalogue import Item
from trainables.data.importers.eventlog import keys_of, pseudonyms
from trainables.data.importers.media import OnProgress
from trainables.data.importers.report import ImportReport
from trainables.data.pipeline import ClipConverter, import_media
from trainables.data.video import DecodeOptions


def import_sample(
    storage: Storage,
    name: str,
    pseudonymiser: Pseudonymiser,
    *,
    options: DecodeOptions | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import the sample shop's clips, products and events; Ray must be up. A whole turn fills each clip."""
    from trainables.data.sample import shop

    check_name(name)
    dataset = Dataset.create(storage, name)
    report = ImportReport("sample shop", "sample", notes=["rendered products, simulated viewers"])
    items = []
    for product in shop.products():
        path = shop.clip_path(product["product_id"])
        items.append(Item(product, ((path.name, str(path)),)))
    converter = ClipConverter(options or DecodeOptions(span="whole", max_dead_seconds=0))
    with dataset.imported_into():
        import_media(dataset, items, converter, report, on_progress)

        events = shop.events()
        viewers = pseudonyms(events["viewer_id"].to_pandas(), pseudonymiser)
        columns = {name: events[name] for name in events.column_names if name in schemas.EVENTS.names}
        columns["viewer_id"] = pa.array(viewers, pa.string())
        # The ids of the embedded log may spell raw viewer ids.
        columns["event_id"] = pa.array(keys_of("sample", viewers, events["event_id"].to_pandas()), pa.string())
        result = TableWriter(dataset, "events", report.source).add(pa.table(columns))
        report.add("events", result.new)
        report.known += result.known
        report.record(dataset)
    return report
