"""Pictures taken of a program, and the record of the run that they show."""

import hashlib
import json

from conftest import ROOT
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from labkit import plot, record
from labkit.press import chapter as chapters
from labkit.session import FRAMEWORKS

CHUNK = "record"
MOST = 60 * 1024
"""Bytes of a picture."""


def cells(chapter, steps, framework):
    """Yield step, source and place of those of a chapter's cells that a picture needs."""
    step = None
    for place, cell in enumerate(chapters.load(ROOT / "chapters" / f"{chapter}.md").cells):
        # A step's second cell, TensorFlow's, has no name of its own.
        step = cell.step or (step if cell.framework == "tensorflow" else None)
        if cell.kind == "code" and step in steps and cell.framework in (None, framework):
            yield step, cell.source, place


def digest(evidence, chapter, field):
    """Return a digest of one field of both twins' records."""
    twins = [record.read(record.find(evidence, chapter, twin)) for twin in FRAMEWORKS]
    found = [twin["exact"][field] for twin in twins]
    if all(isinstance(part, list) for part in found):
        return plot.digest(*found)  # rounded: another processor's last bits are no other run
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]


def shows(file):
    """Return the chapter, the field and the digest that a picture carries, None if it has none."""
    with Image.open(file) as picture:
        note = picture.info.get(CHUNK)
    return json.loads(note) if note else None


def save(picture, file, evidence, chapter, field, colors=48):
    """Write a picture with few colours, and with the digest of the run that it shows."""
    note = {"chapter": chapter, "field": field, "digest": digest(evidence, chapter, field)}
    info = PngInfo()
    info.add_text(CHUNK, json.dumps(note))
    small = picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=colors)
    small.save(file, optimize=True, pnginfo=info)


def fault(file, evidence):
    """Say what is wrong with a picture that carries a record's digest, None if nothing is."""
    note = shows(file)
    if note is None:
        return None
    if file.stat().st_size > MOST:
        return f"{file.name} has {file.stat().st_size:,} bytes; {MOST:,} at most"
    now = digest(evidence, note["chapter"], note["field"])
    if now != note["digest"]:
        return (
            f"{file.name} shows a run of {note['chapter']} whose {note['field']} are no longer "
            "those of the record: take it anew"
        )
    return None
