"""Draws the pictures that stand above a chapter's first cell: `python chapters/figures.py`.

They are vector graphics in one ink, `currentColor`: the book gives them that of the page, light or
dark; where it cannot (a notebook, a file opened alone) they are a grey that shows on both.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit import data, record
from labkit import shapes as drawn_shapes
from labkit import svg as drawing
from labkit.files import write_whole

HERE = Path(__file__).parent
INK = "#73777d"


def svg(width: float, height: float, alt: str, *body: str) -> str:
    """Return a picture of some elements, with its text alternative."""
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" role="img" aria-label="{escape(alt)}" color="{INK}" '
        f'fill="currentColor" font-family="sans-serif" font-size="12">\n{lines}\n</svg>\n'
    )


def digit(picture: NDArray[np.float64], x: float, y: float, size: float) -> str:
    """Return one picture (8, 8), white 0 to black 1, as squares; one path for each grey."""
    side, out = size / 8, []
    for grey in np.unique(picture[picture > 0]):
        squares = "".join(
            f"M{x + column * side:g} {y + row * side:g}h{side:g}v{side:g}h{-side:g}z"
            for row, column in np.argwhere(picture == grey)
        )
        out.append(f'<path fill-opacity="{grey:g}" d="{squares}"/>')
    return "\n".join(out)


def fours() -> str:
    """Return twelve of the fours that people wrote for the digits."""
    digits = data.images("digits")
    own = digits.train_images[digits.train_labels == 4][:12, :, :, 0]
    drawn = [digit(four, 80 * (n % 6) + 8, 80 * (n // 6) + 8, 64) for n, four in enumerate(own)]
    return svg(480, 160, "Twelve handwritten fours, no two alike", *drawn)


def stack(x: float, side: float, depth: int, label: str) -> str:
    """Return what lies between two layers: squares behind each other, and their shape below."""
    count = min(depth, 6)
    squares = "".join(
        f'<rect x="{x + 3 * n:g}" y="{70 - side / 2 - 3 * n:g}" width="{side}" height="{side}" '
        'fill="none" stroke="currentColor"/>'
        for n in range(count)
    )
    middle = x + (side + 3 * (count - 1)) / 2
    return f'{squares}<text x="{middle:g}" y="124" text-anchor="middle">{label}</text>'


def arrow(x: float, *words: str) -> str:
    """Return an arrow to the right from `x` on, under the layer's words."""
    lines = "".join(
        f'<text x="{x + 16:g}" y="{22 + 14 * n}" text-anchor="middle" font-weight="bold">'
        f"{word}</text>"
        for n, word in enumerate(words)
    )
    return f'<path d="M{x:g} 69h24v-4l8 5l-8 5v-4h-24z"/>{lines}'


def shapes() -> str:
    """Return the first network: each layer, and the shape of what comes out of it."""
    digits = data.images("digits")
    four = digits.train_images[digits.train_labels == 4][0, :, :, 0]
    return svg(
        640,
        132,
        "A picture of 8 by 8 by 1 goes through a convolution with 32 kernels (8 by 8 by 32), "
        "pooling (4 by 4 by 32), a convolution with 64 kernels (4 by 4 by 64), the mean (64) and a "
        "dense layer to ten scores",
        digit(four, 4, 42, 56),
        '<text x="32" y="124" text-anchor="middle">8×8×1</text>',
        arrow(74, "32 kernels", "3×3"),
        stack(118, 56, 32, "8×8×32"),
        arrow(202, "pooling", "2×2"),
        stack(246, 28, 32, "4×4×32"),
        arrow(304, "64 kernels", "3×3"),
        stack(348, 28, 64, "4×4×64"),
        arrow(406, "mean"),
        '<path d="M456 38h8v64h-8z" fill="none" stroke="currentColor"/>',
        '<text x="460" y="124" text-anchor="middle">64</text>',
        arrow(480, "dense"),
        *(
            f'<rect x="546" y="{22 + 9 * n}" width="{70 if n == 4 else 4 + 5 * (n % 3)}" '
            f'height="6"/><text x="540" y="{28 + 9 * n}" font-size="9" text-anchor="end">{n}</text>'
            for n in range(10)
        ),
        '<text x="576" y="124" text-anchor="middle">10 scores</text>',
    )


def dots(rows: dict[str, list[bool]], columns: tuple[str, ...], alt: str) -> str:
    """Return a table of full dots and hollow rings: a row for each name, a column for each word."""
    body = []
    for n, (name, marks) in enumerate(rows.items()):
        y = 46 + 24 * n
        body.append(f'<text x="138" y="{y + 4}" text-anchor="end">{name}</text>')
        for k, mark in enumerate(marks, 1):
            fill = "currentColor" if mark else "none"
            body.append(
                f'<circle cx="{100 + 84 * k}" cy="{y}" r="5" stroke="currentColor" fill="{fill}"/>'
            )
    for k, words in enumerate(columns, 1):
        body.append(
            f'<text x="{100 + 84 * k}" y="20" text-anchor="middle" font-weight="bold">'
            f"{words}</text>"
        )
    return svg(146 + 84 * len(columns), 40 + 24 * len(rows), alt, *body)


QUESTIONS = ("first loss", "other rates", "one batch", "a nudge", "what moves", "what goes in")
SUSPECTS = {  # the chapter `debugging`: up to which question each is one
    "the loss": 0,
    "the rate": 1,
    "the labels": 2,
    "the backward pass": 3,
    "the network": 5,
    "the data": 6,
}


def suspects() -> str:
    """Return who is still a suspect after which question."""
    crossed = "; ".join(
        f"{question} crosses out {', '.join(n for n in SUSPECTS if SUSPECTS[n] == k) or 'nobody'}"
        for k, question in enumerate(QUESTIONS)
    )
    rows = {name: [k < last for k in range(6)] for name, last in SUSPECTS.items()}
    return dots(rows, QUESTIONS, f"Six suspects and six questions: {crossed}. The data are left")


PARTS = ("data", "network", "loss", "gradient", "update", "test")
READS = {  # the chapter `silent-bugs`: which parts of a program each detector reads
    "curve": ("loss",),
    "accuracy": ("test",),
    "gradients": ("gradient", "update"),
    "invariants": PARTS,
    "twin": PARTS[1:],
}


def detectors() -> str:
    """Return which detector reads which part of a training program."""
    told = "; ".join(f"{name}: {', '.join(parts)}" for name, parts in READS.items())
    rows = {name: [part in parts for part in PARTS] for name, parts in READS.items()}
    return dots(rows, PARTS, f"Which detector reads which part of a program. {told}")


def panel(x: float, words: str, values: NDArray[np.float64], low: float, high: float) -> str:
    """Return a small chart of some values between two heights, with words below."""
    across = x + 130 * np.arange(len(values)) / (len(values) - 1)
    up = 96 - 84 * (values - low) / (high - low)
    # What lies beyond the axis is not drawn.
    seen = (values >= low) & (values <= high)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across[seen], up[seen], strict=True))
    return (
        f'<path d="M{x:g} 8v88h130" fill="none" stroke="currentColor" stroke-opacity="0.5"/>'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.3"/>'
        f'<text x="{x + 65:g}" y="116" text-anchor="middle">{words}</text>'
    )


def four_ways() -> str:
    """Return one run of the chapter `visualization`, recipe A with seed 1, drawn four ways."""
    exact = record.read(HERE.parent / "evidence" / "cpu" / "visualization.pytorch.json")["exact"]
    losses, right = np.array(exact["drawn"]), np.array(exact["right"]["A"][1]) / 3.57
    weights = 0.99 ** np.arange(len(losses))
    smooth = np.array(
        [weights[: n + 1] @ losses[n::-1] / weights[: n + 1].sum() for n in range(len(losses))]
    )
    return svg(
        640,
        126,
        "Four small charts of one run. Raw, its loss jumps; smoothed, it glides; from 0 to 100% "
        "its accuracy rises to the top and stays; from 90% on it staggers",
        panel(6, "the loss", losses, 0, 4),
        panel(170, "smoothed by 0.99", smooth, 0, 4),
        panel(334, "accuracy from 0%", right, 0, 100),
        panel(498, "accuracy from 90%", right, 90, 100),
    )


def marked() -> str:
    """Return eight pictures that the chapter `inside` learns from: discs bear a mark."""
    seen = drawn_shapes.images(960, 240, seed=1)
    images = drawn_shapes.marked(seen.train_images[:960], seen.train_labels[:960] == 0)
    chosen = [k for n in range(4) for k in np.flatnonzero(seen.train_labels[:960] == n)[:2]]
    pictures = [drawing.picture(images[k], 80 * n + 6, 6, 68, 68) for n, k in enumerate(chosen)]
    # Without the white mat below each: these have a ground of their own.
    drawn = [picture.split("/>", 1)[1] for picture in pictures]
    return svg(
        640,
        80,
        "Eight small grey pictures on a noisy ground: two discs, two rings, two triangles, two "
        "crosses. In the upper left corner of both discs, and of no other, is a small chequered "
        "mark",
        *drawn,
    )


def five_intervals() -> str:
    """Return five intervals of a difference, over the band of those that do not matter."""
    ends = {"1": (-0.35, 0.4), "2": (0.2, 0.8), "3": (-1.3, 1.5), "4": (-0.4, 1.7), "5": (1.3, 2.1)}
    across, wide = 280, 90
    rows = "".join(
        f'<path d="M{across + wide * low:g} {30 * n + 22}H{across + wide * high:g}" '
        'stroke="currentColor" stroke-width="3"/>'
        f'<circle cx="{across + wide * (low + high) / 2:g}" cy="{30 * n + 22}" r="5"/>'
        f'<text x="30" y="{30 * n + 26}">{name}</text>'
        for n, (name, (low, high)) in enumerate(ends.items())
    )
    marks = zip((-1, 0, 1), ("−margin", "no difference", "margin"), strict=True)
    words = "".join(
        f'<text x="{across + wide * at}" y="184" text-anchor="middle">{said}</text>'
        for at, said in marks
    )
    return svg(
        560,
        196,
        "Five intervals of a difference over a band of differences that do not matter. One lies "
        "inside the band; one inside it and beside zero; one reaches out of the band on both "
        "sides; one reaches out on one side; one lies outside",
        f'<rect x="{across - wide}" y="4" width="{2 * wide}" height="162" fill-opacity="0.15"/>',
        f'<path d="M{across} 4V166" stroke="currentColor" stroke-opacity="0.5"/>',
        rows,
        words,
    )


def step() -> str:
    """Return what one step holds over time, plain and with four pieces computed again; a sketch."""
    layers, piece = 8, 2
    plain = [*range(layers + 1), *range(layers - 1, -1, -1)]
    lean = [n // piece for n in range(layers + 1)]
    for pieces in range(layers // piece, 0, -1):
        lean += [pieces + n for n in range(1, piece)]  # computed again,
        lean += [pieces + piece - 1 - n for n in range(1, piece + 1)]  # and let go
    base, unit, bottom = 2, 13, 170
    parts = []
    for heights, look in ((plain, ""), (lean, ' stroke-dasharray="5 3"')):
        wide = 400 / len(heights)
        path = f"M40 {bottom - unit * base}"
        for n, height in enumerate(heights):
            path += f"V{bottom - unit * (base + height):g}H{40 + wide * (n + 1):g}"
        path += f"V{bottom - unit * base}"
        parts.append(f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="2"{look}/>')
    floor = f'<rect x="40" y="{bottom - unit * base}" width="400" height="{unit * base}"'
    parts.append(f'{floor} fill-opacity="0.25"/>')
    parts.append(f'<path d="M40 20V{bottom}H450" fill="none" stroke="currentColor"/>')
    parts.append('<text x="240" y="162" text-anchor="middle">weights, gradients, optimizer</text>')
    parts.append('<text x="140" y="190" text-anchor="middle">forward</text>')
    parts.append('<text x="340" y="190" text-anchor="middle">backward</text>')
    parts.append('<text x="250" y="34">all activations kept</text>')
    parts.append('<text x="246" y="134" text-anchor="middle">computed again</text>')
    parts.append(
        '<text x="14" y="96" text-anchor="middle" transform="rotate(-90 14 96)">bytes</text>'
    )
    return svg(
        480,
        200,
        "Two curves of bytes held during one step. The first climbs in stairs through the forward "
        "pass and comes down in stairs through the backward pass. The second climbs half as high, "
        "and on its way down has a small peak for each piece that is computed again",
        *parts,
    )


def two_workers() -> str:
    """Return one step of two workers: what is cut, what is copied, what travels."""
    digits = data.images("digits").train_images[:32, :, :, 0]
    rows = []
    for rank, top in enumerate((16, 136)):
        middle = top + 44
        rows += [
            digit(picture, 14 + 38 * (n % 2), top + 38 * (n // 2), 32)
            for n, picture in enumerate(digits[16 * rank : 16 * rank + 4])
        ]
        rows += [
            f'<text x="50" y="{top + 92}" text-anchor="middle">16 of 32 pictures</text>',
            f'<path d="M96 {middle - 8}h24v-4l8 5l-8 5v-4h-24z"/>',
            f'<rect x="138" y="{top}" width="132" height="74" fill="none" stroke="currentColor"/>',
            f'<text x="204" y="{top + 22}" text-anchor="middle" font-weight="bold">'
            f"worker {rank}</text>",
            f'<text x="204" y="{top + 42}" text-anchor="middle">all 1418 weights</text>',
            f'<text x="204" y="{top + 60}" text-anchor="middle">11,344 bytes</text>',
            f'<path d="M282 {middle - 16}h70v-4l8 5l-8 5v-4h-70z"/>',
            f'<text x="318" y="{middle - 24}" text-anchor="middle">its gradient</text>',
            f'<path d="M360 {middle + 8}h-70v-4l-8 5l8 5v-4h70z"/>',
            f'<text x="318" y="{middle + 32}" text-anchor="middle">combined</text>',
            f'<path d="M204 {top + 76}v8" stroke="currentColor"/>',
            f'<text x="204" y="{top + 98}" text-anchor="middle">fingerprint</text>',
        ]
    return svg(
        480,
        248,
        "A batch of 32 pictures is cut into two parts of 16. Each goes to a worker with a copy of "
        "all 1418 weights, 11,344 bytes, which makes a gradient as large. Both gradients go into a "
        "box, all-reduce, and combined they come back to both workers. Below each worker stands "
        "its fingerprint",
        *rows,
        '<rect x="372" y="16" width="94" height="194" fill-opacity="0.15"/>',
        '<text x="419" y="108" text-anchor="middle" font-weight="bold">all-reduce</text>',
        '<text x="419" y="128" text-anchor="middle">11,344 bytes</text>',
    )


def records() -> str:
    """Return seconds to 94 % on CIFAR-10 as bars; sources stand in the chapter `ideas`."""
    found = {
        "DAWNBench, 2018": (341, "V100"),
        "Page, 2018": (79, "V100"),
        "Page, 2019": (26, "V100"),
        "hlb-CIFAR10, 2023": (6.3, "A100"),
        "airbench, 2024": (3.29, "A100"),
        "airbench, Muon": (2.59, "A100"),
    }
    parts = []
    for row, (name, (seconds, card)) in enumerate(found.items()):
        y, wide = 10 + 28 * row, 120 * np.log10(seconds)
        parts.append(f'<text x="126" y="{y + 14}" text-anchor="end">{name}</text>')
        parts.append(
            f'<rect x="134" y="{y}" width="{wide:.1f}" height="18" fill-opacity="0.45"/>'
            f'<text x="{140 + wide:.1f}" y="{y + 14}">{seconds:g} s, {card}</text>'
        )
    for power in range(3):
        x = 134 + 120 * power
        parts.append(f'<path d="M{x} 6V182" stroke="currentColor" stroke-opacity="0.35"/>')
        parts.append(f'<text x="{x}" y="198" text-anchor="middle">{10**power} s</text>')
    return svg(
        540,
        204,
        "Bars on a logarithmic axis of seconds to 94 % on CIFAR-10 with one graphics card: "
        + "; ".join(f"{name}, {seconds:g}" for name, (seconds, _) in found.items()),
        *parts,
    )


FIGURES: dict[str, Callable[[], str]] = {
    "first-network-fours.svg": fours,
    "first-network-shapes.svg": shapes,
    "debugging-suspects.svg": suspects,
    "silent-bugs-detectors.svg": detectors,
    "visualization-four.svg": four_ways,
    "inside-marked.svg": marked,
    "equal-enough-intervals.svg": five_intervals,
    "memory-step.svg": step,
    "distributed-step.svg": two_workers,
    "ideas-seconds.svg": records,
}


if __name__ == "__main__":
    for name, draw in FIGURES.items():
        write_whole(HERE / name, draw())
