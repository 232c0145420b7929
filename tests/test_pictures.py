"""Pictures of programs show the runs of the committed records."""

import json

import pictures
import pytest
from conftest import ROOT
from PIL import Image

from labkit import record

TAKEN = [file for file in sorted((ROOT / "chapters").glob("*.png")) if pictures.shows(file)]


@pytest.mark.parametrize("file", TAKEN, ids=lambda file: file.name)
def test_a_picture_shows_the_run_of_the_record(file):
    assert pictures.fault(file, ROOT / "evidence") is None


def test_a_picture_of_another_run_is_found(tmp_path):
    """Also one that is too heavy; one without a digest is passed over."""
    for twin in ("pytorch", "tensorflow"):
        file = record.find(tmp_path, "tiny", twin)
        file.parent.mkdir(exist_ok=True)
        kept = {part: {} for part in record.PARTS} | {"schema": record.SCHEMA}
        kept |= {"chapter": "tiny", "framework": twin, "exact": {"losses": [2.5, 1.5]}}
        file.write_text(record.dumps(kept), encoding="utf-8")
    picture, taken = Image.new("RGB", (8, 8)), tmp_path / "taken.png"
    picture.save(taken)
    assert pictures.fault(taken, tmp_path) is None
    pictures.save(picture, taken, tmp_path, "tiny", "losses")
    assert pictures.fault(taken, tmp_path) is None
    changed = json.loads(file.read_text(encoding="utf-8"))
    changed["exact"]["losses"][1] += 1e-5
    file.write_text(json.dumps(changed), encoding="utf-8")
    assert "are no longer those of the record" in pictures.fault(taken, tmp_path)
    taken.write_bytes(taken.read_bytes() + b" " * pictures.MOST)
    assert "bytes; 61,440 at most" in pictures.fault(taken, tmp_path)
