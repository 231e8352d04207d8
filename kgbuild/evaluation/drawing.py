"""Shapes in; the same picture as SVG, and as PNG where Pillow is installed, out."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["COLOURS", "Drawing"]

# told apart also by those who see no red or no green (Okabe and Ito)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#f0e442")
_SCALE = 2  # pixels of PNG for one of SVG


@dataclass
class Drawing:
    """A picture of dots, lines and words; x goes right, y goes down, both in pixels."""

    width: int
    height: int
    title: str = ""
    _shapes: list[tuple[str, tuple[float, ...], str, str]] = field(default_factory=list)

    def dot(self, x: float, y: float, radius: float, colour: str, *, corners: int = 0, tip: str = "") -> None:
        """Draw a disc, or a regular polygon; `tip` shows where the mouse rests."""
        self._shapes.append(("dot", (x, y, radius, corners), colour, tip))

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "#999999") -> None:
        """Draw a line."""
        self._shapes.append(("line", (x1, y1, x2, y2), colour, ""))

    def words(self, x: float, y: float, words: str, *, anchor: str = "start", size: int = 11, colour: str = "#222222") -> None:
        """Write words; `anchor` is start, middle or end of them."""
        self._shapes.append((anchor, (x, y, size), colour, words))

    def svg(self) -> bytes:
        """Give the picture as SVG."""
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" font-family="sans-serif">'
        title = f"<title>{escape(self.title)}</title>" if self.title else ""
        return "\n".join([head + title, '<rect width="100%" height="100%" fill="#ffffff"/>', *map(_svg, self._shapes), "</svg>\n"]).encode()

    def png(self) -> bytes | None:
        """Give the picture as PNG; None where Pillow is not installed (`pip install 'kgbuild[plots]'`)."""
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError:
            return None
        image = Image.new("RGB", (self.width * _SCALE, self.height * _SCALE), "#ffffff")
        pen = ImageDraw.Draw(image, "RGBA")
        for kind, numbers, colour, words in self._shapes:
            if kind == "line":
                pen.line([n * _SCALE for n in numbers], fill=colour, width=_SCALE)
            elif kind == "dot":
                pen.polygon([(x * _SCALE, y * _SCALE) for x, y in _corners(*numbers)], fill=colour + "b4")
            else:
                x, y, size = (n * _SCALE for n in numbers)
                pen.text(
                    (x, y), words, fill=colour, font=ImageFont.load_default(size), anchor={"start": "ls", "middle": "ms", "end": "rs"}[kind]
                )
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


def _svg(shape: tuple[str, tuple[float, ...], str, str]) -> str:
    kind, numbers, colour, words = shape
    if kind == "line":
        x1, y1, x2, y2 = (f"{n:.1f}" for n in numbers)
        return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"/>'
    if kind == "dot":
        x, y, radius, corners = numbers
        tip = f"<title>{escape(words)}</title>" if words else ""
        if not corners:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" fill-opacity="0.7">{tip}</circle>'
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in _corners(*numbers))
        return f'<polygon points="{points}" fill="{colour}" fill-opacity="0.7">{tip}</polygon>'
    x, y, size = numbers
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{kind}" fill="{colour}">{escape(words)}</text>'


def _corners(x: float, y: float, radius: float, corners: float) -> Sequence[tuple[float, float]]:
    n = int(corners) or 24
    turn = [2 * math.pi * (k + (0.5 if n == 4 else 0.0)) / n - math.pi / 2 for k in range(n)]
    return [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turn]
