"""What the chapters' prose says: of outputs, and in numbers."""

import ast
import functools
import math
import re

import pytest
from conftest import ROOT
from says import NUMBER, Saying, Twins, numbers, output, sayings, value
from simpleeval import EvalWithCompoundTypes, InvalidExpression

from labkit.press import chapter
from labkit.press.asks import Predict, Try, asks

CHAPTERS = [p.stem for p in chapter.chapters(ROOT)]


twins_of = functools.cache(lambda name: Twins(ROOT, name))


@functools.cache
def load(name):
    return chapter.load(ROOT / "chapters" / f"{name}.md")


# --- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_is_said_of_an_output_is_true(name):
    """See `says`: the words stand in the prose, and the expression is true of both twins."""
    twins, wrong = twins_of(name), []
    for said in sayings(load(name)):
        where = f"{name}.md:{said.line}: {said.words!r}"
        if " ".join(said.words.split()) not in said.before:
            wrong.append(f"{where} does not stand above this comment")
        for framework in said.frameworks:
            try:
                true = twins.true(said.expression, framework)
            except (LookupError, TypeError, ValueError, InvalidExpression) as error:
                true, where = False, f"{where} ({error!r})"
            if not true:
                wrong.append(f"{where} is not true of {framework}: {said.expression}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_is_right_and_what_comes_of_an_edit_is_so(name):
    """The expressions of predictions and of edits to try, see `labkit.press.asks`."""
    loaded, wrong = load(name), []
    for ask in loaded.asks:
        twins = twins_of(name)
        for framework in chapter.FRAMEWORKS:
            where = f"{loaded.text.at(ask.line)}: {ask.name}, {framework}"
            try:
                if isinstance(ask, Try):
                    true = twins.after(ask).true(ask.true, framework)
                else:
                    true = twins.true(ask.true, framework, answer=ask.answer)
                    assert ask.choices or re.search(r"\banswer\b", ask.true), (
                        f"{where}: the expression says nothing of `answer`"
                    )
            except (LookupError, TypeError, ValueError, InvalidExpression) as error:
                true, where = False, f"{where} ({error!r})"
            if not true:
                wrong.append(f"{where}: {ask.true}")
    assert not wrong, "\n".join(wrong)


def words(text):
    """Return a text's words and numbers as they are compared: without marks and commas."""
    return re.sub(r"[^\w.%]+", " ", text.replace(",", "").casefold()).strip(" .")


@pytest.mark.parametrize("name", CHAPTERS)
def test_nothing_above_a_prediction_gives_it_away(name):
    """No prose and no output above the card says what its right choice says."""
    loaded, wrong = load(name), []
    for framework, cells in twins_of(name).cells.items():
        above = []
        for cell in loaded.cells_of(framework):
            if cell.kind == "code":
                if cell.id in cells:
                    above.append(output(cells[cell.id]))
                continue
            for ask in asks(cell.source, loaded.path, cell.line):
                if not isinstance(ask, Predict):
                    continue
                inside = cell.source.splitlines()[: ask.line - cell.line]
                right = ask.choices[ask.right] if ask.choices else f"{ask.answer:g}"
                said = f" {words(' '.join([*above, *inside]))} "
                # One name among others ("the GRU") may stand above and gives nothing away.
                name_only = len(words(right).split()) < 3 and not re.search(r"\d", right)
                if f" {words(right)} " in said and not name_only:
                    wrong.append(f"{loaded.text.at(ask.line)}: {right!r} stands above the card")
            above.append(cell.source)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_says_something_of_its_outputs(name):
    assert len(list(sayings(load(name)))) >= 10


def test_a_saying_is_found_with_its_prose(tmp_path):
    text = (ROOT / "chapters" / "first-network.md").read_text()
    (above,) = [s for s in sayings(load("first-network")) if s.words.startswith("It is above")]
    assert isinstance(above, Saying)
    assert above.frameworks == ("pytorch", "tensorflow")
    changed = tmp_path / "first-network.md"
    changed.write_text(text.replace("It is above. G", "It is below. G", 1))
    (again,) = [s for s in sayings(chapter.load(changed)) if s.words.startswith("It is above")]
    assert again.words not in again.before
    changed.write_text(text.replace("% says", "% says that", 1))
    with pytest.raises(ValueError, match=r"first-network\.md:\d+: .* is not of the form"):
        list(sayings(chapter.load(changed)))


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ('number("loss") > 2.3026', True),
        ('number("loss") < 2.3026', False),
        ('alike("loss")', True),
        ('alike("tensors")', False),
        ('found("accuracy", "^(\\\\d+) of") == [352]', True),
        ("all(loss > 1 for loss in exact['losses'])", False),
        ("all(loss > 0 for loss in exact['losses'])", True),
        ('pytorch["exact"]["parameters"]', False),  # a number is no answer
        ('"momentum=0.875" in code("train", "tensorflow")', True),
    ],
)
def test_expressions_are_held_against_a_twin(expression, true):
    assert twins_of("first-network").true(expression, "pytorch") is true


# --- numbers -------------------------------------------------------------------------------------

# Numbers of the prose that stand in no cell, output or record of their chapter, with the reason.
ELSEWHERE = {
    "first-network": {
        "15": "the fewest decimal digits that a float64 keeps",
        "17": "the most decimal digits that a float64 takes",
        "0.1": "one of ten digits, all equally likely",
        "1990": "when cheques were read by networks; its source is cited",
    },
    "same-experiment": {
        "95": "the interval's part, in a comment of the code",
        "64": "bytes to which TensorFlow wants an array aligned",
    },
    "recurrent": {},
    "graphs": {"2019": "the year of TensorFlow 2; its source is cited"},
    "debugging": {},
    "silent-bugs": {
        "1,059": "artefacts that the cited taxonomy sorts",
        "384": "cards of the first story; its source is cited",
        "15": "days of the first story",
        "18": "silent errors that TrainCheck found, of 20; the paper is cited",
        "0.55": "the recall of the best localiser in the study cited",
        "0.37": "its precision",
    },
    "visualization": {
        "19": "of 20: what an interval means",
        "10,000": "test pictures of CIFAR-10 and of MNIST",
    },
    "watching": {
        "2026": "the year in which two tools were looked at; their sources are cited",
        "0.2": "of Visdom's release 0.2.4",
        "1000000": "in an option that keeps all points, which no lab starts",
        "403": "a status of HTTP, as Visdom's server gave it on the day named",
    },
    "inside": {},
    "full-size": {"357": "the pictures to test on"},
    "equal-enough": {
        "357": "the digits' pictures to test on; first-network prints their number",
        "115": "the last seed of an earlier study, which the chapter no longer runs",
        "0.04": "its result: `runs(Program(Own()), range(100, 116))` in both notebooks, measured",
    },
    "memory": {
        "65504": "the largest float16; the table prints it as 6.6e+04",
        "0.0078": "the step after 1 in bfloat16, as the table prints it",
        "2000": "good steps after which both frameworks double the scale, by default",
    },
    "ideas": {
        "95": "the interval's part in per cent; the code takes the quantile 0.975",
        "2018": "the year of DAWNBench; its source is cited",
        "341": "seconds of its best run on one card; the source is cited",
        "2.6": "airbench's seconds, rounded, and Student's factor for six runs",
        "0.2": "an option of the program, which no lab starts so",
    },
    "distributed": {
        "176": "billions of BLOOM's weights; its notes are cited",
        "384": "its graphics cards",
        "2022": "when it was trained",
        "2.21": "the release of TensorFlow that was looked at",
        "200": "the steps that the project asks for at least",
    },
}
# What an equation in the prose may be made of.
SIGNS = {"×": "*", "−": "-", "²": "**2", "½": "(1/2)", "log₂ ": "log2 ", "·": "*"}
EQUATION = re.compile(
    r"((?:log₂ |ln )?[\d(−-][\d\s.,×+−*/()²-]*|−?ln [\d.]+)\s*[=≈]\s*(\d(?:[\d.,]*\d)?)"
)


def prose(loaded):
    """Yield the lines of a chapter's prose with their numbers.

    Comments are left out, options of directives, and the choices of predictions.
    """
    for cell in (c for c in loaded.cells if c.kind == "markdown"):
        choosing = False
        for place, line in enumerate(cell.source.splitlines()):
            if re.match(r"[`:]{3}", line):
                choosing = "{predict}" in line
            elif not re.match(r"- |:[\w-]+:" if choosing else r"%|:[\w-]+:", line):
                yield cell.line + place, re.sub(r"\{cite(:\w)?\}`[^`]*`", "", line)


def equations(line):
    """Yield left side, right side and both values of each equation in a line."""
    for left, right in EQUATION.findall(line):
        text = left.strip().rstrip(",")
        for sign, python in SIGNS.items():
            text = text.replace(sign, python)
        text = re.sub(r"(log2|ln) ([\d.]+)", r"\1(\2)", text)
        if not re.search(r"[*+/(]|-.", text):
            continue
        functions = {"ln": math.log, "log2": math.log2}
        try:
            found = EvalWithCompoundTypes(functions=functions).eval(text)
        except (InvalidExpression, SyntaxError):
            continue
        decimals = len(right.rstrip(".").partition(".")[2])
        yield left.strip(), value(right), round(float(found), decimals)


def test_equations_in_the_prose_are_right():
    seen = 0
    for name in CHAPTERS:
        for line, text in prose(load(name)):
            for left, said, found in equations(text):
                assert said == found, f"{name}.md:{line}: {left} is {found}, not {said}"
                seen += 1
    assert seen >= 5


def shown(record):
    """Yield the single numbers of a record, and the lengths of its lists."""
    for entry in record["exact"].values():
        if isinstance(entry, list):
            yield float(len(entry))
        elif isinstance(entry, dict):
            yield from (float(v) for v in entry.values() if isinstance(v, int | float))
        elif isinstance(entry, int | float):
            yield float(entry)


def known(name):
    """Return the numbers of a chapter's code, of its outputs, and of its records' single fields."""
    loaded, twins = load(name), twins_of(name)
    found, rounded = set(), []
    for cell in (c for c in loaded.cells if c.kind == "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Constant):
                known_here = node.value
                if isinstance(known_here, int | float):
                    found.add(float(known_here))
                elif isinstance(known_here, str):
                    found.update(numbers(known_here))
    for framework, cells in twins.cells.items():
        for step in cells:
            printed = numbers(twins.printed(step, framework))
            found.update(map(abs, printed))
        rounded += shown(twins.records[framework])
        versions = twins.records[framework]["machine"]["exact"]["versions"].values()
        found.update(float(".".join(v.split(".")[:2])) for v in versions)
    found.update(rounded)
    return found, rounded


@pytest.mark.parametrize("name", CHAPTERS)
def test_numbers_in_the_prose_stand_in_code_outputs_or_records(name):
    """Numbers of two digits and more; 19,466 mistyped as 19,646 stands nowhere."""
    loaded = load(name)
    found, rounded = known(name)
    sides = {n for _, line in prose(loaded) for _, n, _ in equations(line)}
    # What a sentence's own comment accounts for is held against the outputs there.
    backed = {n for said in sayings(loaded) for n in numbers(said.words)}
    missing = set()
    for line, text in prose(loaded):
        for match in NUMBER.finditer(text):
            token = match[0].lstrip("-−").rstrip(",")
            number = abs(value(token))
            digits = len(re.sub(r"\D", "", token).lstrip("0"))
            if len(re.sub(r"\D", "", token)) < 2 or number in found | sides | backed:
                continue
            decimals = len(token.partition(".")[2])
            if digits >= 3 and any(round(v, decimals) == number for v in rounded):
                continue
            if token not in ELSEWHERE[name]:
                missing.add(f"{name}.md:{line}: {token}")
    assert not missing, "\n".join(sorted(missing))


def test_the_list_of_numbers_from_elsewhere_is_short_and_used():
    for name, listed in ELSEWHERE.items():
        text = "\n".join(line for _, line in prose(load(name)))
        tokens = {m[0].lstrip("-−").rstrip(",") for m in NUMBER.finditer(text)}
        assert len(listed) <= 12
        assert listed.keys() <= tokens
        assert all(len(reason) > 10 for reason in listed.values())


def test_numbers_of_the_pages_without_code_stand_in_a_chapter():
    """What the glossary and the front page name in numbers, some chapter's prose names, too."""
    named = {abs(n) for name in CHAPTERS for _, line in prose(load(name)) for n in numbers(line)}
    for page in ("glossary", "index"):
        for number in map(abs, numbers((ROOT / "chapters" / f"{page}.md").read_text())):
            if number >= 10:
                assert number in named, f"{page}.md: {number:g}"
