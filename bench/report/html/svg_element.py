"""Elements of SVG, with all text and all values escaped.

Drawings have no view box: x is in per cent of the width, y in pixels. So text keeps its size from a phone to a wall.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from bench.report.html.visible_text import make_visible


def make_element(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """Make an element; `class_` is the attribute `class`, `text_anchor` is `text-anchor`, None leaves one out."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(make_visible(_format(value)))}"')
    if not children:
        return Markup("".join([*parts, "/>"]))
    inner = (child if isinstance(child, Markup) else escape(make_visible(child)) for child in children)
    return Markup("".join([*parts, ">", *inner, f"</{name}>"]))


def make_text(text: str, x: str, y: float, **attributes: object) -> Markup:
    """Make a text whose baseline is at `y` pixels."""
    return make_element("text", text, x=x, y=y, **attributes)


def make_drawing(identity: str, title: str, description: str, height: float, *children: Markup) -> Markup:
    """Make a drawing of the full width that is an image with a title and a description for screen readers."""
    return make_element(
        "svg",
        make_element("title", title, id=f"{identity}-title"),
        make_element("desc", description, id=f"{identity}-desc"),
        *children,
        role="img",
        aria_labelledby=f"{identity}-title",
        aria_describedby=f"{identity}-desc",
        width="100%",
        height=round(height),
    )


def make_marker(shape: str, x: str, y: float, size: float, **attributes: object) -> Markup:
    """Make a marker with its centre at `x` per cent and `y` pixels; `size` is about its radius in pixels."""
    if shape == "circle":
        return make_element("circle", cx=x, cy=y, r=size, **attributes)
    # A nested drawing gives paths an origin in per cent.
    side = 0.9 * size
    paths = {
        "square": f"M{-side:.1f} {-side:.1f}h{2 * side:.1f}v{2 * side:.1f}h{-2 * side:.1f}z",
        "diamond": f"M0 {-1.3 * size:.1f}L{1.3 * size:.1f} 0L0 {1.3 * size:.1f}L{-1.3 * size:.1f} 0z",
        "triangle": f"M0 {-1.2 * size:.1f}L{1.15 * size:.1f} {0.9 * size:.1f}H{-1.15 * size:.1f}z",
        "cross": f"M{-size:.1f} {-size:.1f}L{size:.1f} {size:.1f}M{-size:.1f} {size:.1f}L{size:.1f} {-size:.1f}",
    }
    path = make_element("path", d=paths[shape], **attributes)
    return make_element("svg", path, x=x, y=y, overflow="visible", width=1, height=1)


def _format(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
