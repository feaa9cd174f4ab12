"""Self-contained HTML pages: one style, plots as SVG and pictures as JPEG inside the file, nothing loaded from
elsewhere.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem }
th, td { padding: .35rem .6rem; text-align: right }
th:first-child, td:first-child { text-align: left; white-space: nowrap }
tr.ours { background: #eef6ee; font-weight: 600 }
thead { border-bottom: 2px solid #444 } small { color: #666; font-weight: 400 } img { max-width: 100% }
figure { margin: 1rem 0 2rem } figcaption { color: #555 }
"""


def page(title: str, body: str) -> str:
    """The whole document; `body` is HTML, `title` is text and becomes the heading."""
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{name}</title><style>{STYLE}</style>'
        f"<h1>{name}</h1>{body}</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[int] = ()) -> str:
    """A table of HTML cells; rows whose place is in `marked` stand out."""
    lines = (
        f"<tr{' class=ours' if place in marked else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for place, row in enumerate(rows)
    )
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def plot(figure: Figure, told: str, caption: str = "") -> str:
    """A matplotlib figure as SVG; `told` says in words what is to be seen."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return _figure("svg+xml", drawn.getvalue(), told, caption)


def picture(image: Image.Image, told: str, caption: str = "") -> str:
    """A picture as JPEG, at most 1600 pixels wide."""
    image = image.convert("RGB")
    image.thumbnail((1600, 4000))
    drawn = io.BytesIO()
    image.save(drawn, "JPEG", quality=88)
    return _figure("jpeg", drawn.getvalue(), told, caption)


def _figure(kind: str, data: bytes, told: str, caption: str) -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{html.escape(told)}" src="{source}">{below}</figure>'
