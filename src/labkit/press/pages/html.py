"""Cards as HTML: templates fill in words, and what they fill in is text."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parents[1] / "templates"
_CARDS = Environment(
    loader=FileSystemLoader(TEMPLATES / "cards"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(card: str, **values: Any) -> str:
    """Return a card's HTML, `templates/cards/<card>.html` with its blanks filled in."""
    return _CARDS.get_template(f"{card}.html").render(values)
