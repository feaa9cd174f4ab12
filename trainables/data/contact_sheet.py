"""A contact sheet: rows of small pictures with labels, as one image a person can look over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, INK, FAINT = (250, 249, 246), (38, 38, 42), (122, 120, 116)
MARGIN = 20
GAP = 6


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    *,
    title: str | None = None,
    cell: int | None = None,
) -> Image.Image:
    """Rows of uint8 (H, W, 3) pictures; rows may differ in length. Each is fitted into a square of `cell` pixels;
    where all are wider than high, rows are as low as they are.

    `cell` is the largest picture's side by default, at least 96. Labels too long for their place are shortened.
    """
    if not rows or not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one picture")
    columns = max(len(row) for row in rows)
    side = cell or max(96, max(max(picture.shape[:2]) for row in rows for picture in row))
    font_size = max(13, min(22, side // 9))
    font, heading = ImageFont.load_default(font_size), ImageFont.load_default(round(font_size * 1.5))
    line = round(font_size * 1.5)
    label_lines = [_wrap(label, font, 12 * font_size) for label in row_labels or []]
    left = MARGIN + (max((font.getlength(text) for lines in label_lines for text in lines), default=-14) + 14)
    tallest = max(round(side * len(picture) / max(picture.shape[:2])) for row in rows for picture in row)
    high = max(tallest, line * max(map(len, label_lines), default=0))
    top = MARGIN + (round(font_size * 2.4) if title else 0) + (line if column_labels else 0)
    width = round(left + columns * (side + GAP) - GAP + MARGIN)
    height = round(top + len(rows) * (high + GAP) - GAP + MARGIN)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((MARGIN, MARGIN - 4), _shorten(title, heading, width - 2 * MARGIN), fill=INK, font=heading)
    for column, label in enumerate(column_labels or []):
        x = left + column * (side + GAP) + side / 2
        draw.text((x, top - line), _shorten(label, font, side), fill=FAINT, font=font, anchor="ma")
    for index, row in enumerate(rows):
        y = top + index * (high + GAP)
        if index < len(label_lines):
            text_top = y + high / 2 - line * len(label_lines[index]) / 2
            for number, text in enumerate(label_lines[index]):
                draw.text((MARGIN, text_top + number * line), text, fill=INK if number == 0 else FAINT, font=font)
        for column, picture in enumerate(row):
            image = Image.fromarray(np.ascontiguousarray(picture))
            scale = side / max(image.size)
            if scale != 1:
                fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
                image = image.resize(fitted, Image.Resampling.LANCZOS)
            x = round(left + column * (side + GAP)) + (side - image.width) // 2
            sheet.paste(image, (x, y + (high - image.height) // 2))
    return sheet


def _wrap(label: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """At most three lines, broken at spaces or at newlines of the label."""
    lines: list[str] = []
    for part in label.split("\n"):
        words = part.split(" ")
        current = words[0]
        for word in words[1:]:
            if font.getlength(f"{current} {word}") <= width:
                current = f"{current} {word}"
            else:
                lines.append(current)
                current = word
        lines.append(current)
    kept = lines[:3] if len(lines) <= 3 else [*lines[:2], lines[2] + " …"]
    return [_shorten(text, font, width) for text in kept]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
