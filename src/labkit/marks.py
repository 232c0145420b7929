"""A table of marks: what of many things is so, and what is not, as a figure."""

from collections.abc import Mapping, Sequence

from labkit import plot, svg


def table(
    groups: Mapping[str, Mapping[str, Sequence[bool]]],
    columns: Sequence[str],
    *,
    caption: str | None = None,
) -> plot.Shown:
    """Draw a table of marks: a dot where something is so, a small ring where it is not.

    Parameters
    ----------
    groups
        Title of a group to its rows: name to one truth for each column.
    columns
        What the columns are called.
    caption
        A line that the book writes below the figure.
    """
    rows = {name: row for group in groups.values() for name, row in group.items()}
    if len(rows) != sum(map(len, groups.values())):
        raise ValueError("two rows have the same name")
    for name, row in rows.items():
        if len(row) != len(columns):
            raise ValueError(f"{name}: {len(row)} marks for {len(columns)} columns")
    tall, head = 20, 26
    left = 24 + svg.LETTER * max(map(len, rows), default=0)
    wide = svg.LETTER * max(map(len, columns), default=0) + 14
    edge = left + wide * len(columns)
    width = max(edge, 8 + svg.LETTER * max(map(len, groups), default=0))
    middles = [left + wide * (number + 0.5) for number in range(len(columns))]
    parts = [
        svg.text(x, 18, name, text_anchor="middle")
        for x, name in zip(middles, columns, strict=True)
    ]
    y = head
    for title, group in groups.items():
        parts.append(svg.text(4, y + 20, title, font_weight="bold"))
        parts.append(svg.line(4, y + 26, edge, y + 26, stroke_opacity="0.4"))
        y += 30
        for name, row in group.items():
            parts.append(svg.text(14, y + 14, name))
            for x, mark in zip(middles, row, strict=True):
                ring = {"fill": "none", "stroke": "currentColor", "stroke_opacity": "0.4"}
                look = {"r": 6, "fill": "currentColor"} if mark else {"r": 3, **ring}
                parts.append(svg.element("circle", cx=x, cy=y + tall / 2, **look))
            y += tall
    said = [
        f"{name}: {', '.join(c for c, mark in zip(columns, row, strict=True) if mark) or 'none'}"
        for name, row in rows.items()
    ]
    alt = f"Table of marks, {len(rows)} rows under {', '.join(columns)}. " + "; ".join(said)
    table = [[bool(mark) for mark in row] for row in rows.values()]
    return plot.Shown(svg.document(width + 4, y + 8, alt, *parts), alt, [table], caption)
