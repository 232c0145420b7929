"""The words of prose for both twins."""

import pytest
from conftest import BODY, FRONT, ROOT

from labkit.press import chapter, lint

SIDED = (
    "Compare the two columns.",
    "Compare the columns.",
    "Where both columns print the same number, it is one.",
    "Each column does what its users do.",
    "Look at the loop on the right.",
    "The left column is PyTorch's.",
    "TensorFlow's column has one line more.",
    "You have both loops before you.",
    "The two notebooks stand side by side.",
)
MEANT_OTHERWISE = (
    "The probability that it gives to the right class.",
    "As many columns as in Keras, side by side in one matrix.",
    "Every window looks one pixel to the left and up.",
    "Half of the gradient is left; the answer is right.",
    "Padding on the right alone.",
    "The first column of the table.",
    "Compare the two notebooks before you go on.",
)


@pytest.mark.parametrize("words", SIDED)
def test_prose_for_both_twins_names_no_side_of_the_page(course, words):
    path = course / "chapters" / "tiny.md"
    text = FRONT + BODY.replace("Words for both.", f"Words.\n\n{words}", 1)
    (found,) = lint.unsided(chapter.parse(text, path))
    line = text.splitlines().index(words) + 1
    assert f"tiny.md:{line}: " in found
    one = text.replace(words, f'+++ {{"tags": ["pytorch"]}}\n\n{words}\n\n+++\n', 1)
    assert lint.unsided(chapter.parse(one, path)) == []


@pytest.mark.parametrize("words", MEANT_OTHERWISE)
def test_words_that_mean_something_else_stay(course, words):
    text = FRONT + BODY.replace("Words for both.", words, 1)
    assert lint.unsided(chapter.parse(text, course / "chapters" / "tiny.md")) == []


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda path: path.stem)
def test_the_courses_chapters_name_no_side(path):
    assert lint.unsided(chapter.load(path)) == []
