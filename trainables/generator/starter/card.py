"""Complete the card of a starter bundle: held-out figures beside baselines, and the loss curves of its training.

shopreel evaluate generator --task restyle --model BUNDLE --in CLIPS --styles STYLES --out REPORT
python -m trainables.generator.starter.card BUNDLE --report REPORT/evaluation.json --stats stats.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from trainables.generator.starter.curves import card_curves, read_stats


def complete(bundle: Path, report: Path, stats: Path) -> None:
    """Add `figures` and `curves` to the bundle's card; the weights and their checksum stay as they are."""
    said = json.loads(report.read_text())
    card = json.loads((bundle / "card.json").read_text())
    card["figures"] = {name: said[name] for name in ("features", "measures", "rows")} | {"clips": len(said["clips"])}
    card["curves"] = card_curves(read_stats(stats))
    (bundle / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--stats", type=Path, required=True)
    arguments = parser.parse_args()
    complete(arguments.bundle, arguments.report, arguments.stats)
