"""What is committed was made by what is committed: notebooks, outputs, timings."""

import pytest
from conftest import ROOT

from labkit import record
from labkit.press import chapter, stale
from labkit.press.course import Course


@pytest.fixture(scope="module")
def jobs():
    """What a run of each notebook would do."""
    course = Course.read(ROOT)
    return stale.plan(course, map(course.chapter, course.files), list(chapter.FRAMEWORKS))


def test_the_courses_notebooks_are_fresh(jobs):
    """What stands in labs/ was made by the code that stands in chapters/ and in labkit."""
    for job in jobs:
        assert not job.stale, f"{job.path} is stale: run `labkit run`"


def test_the_courses_timings_are_those_of_the_present_code(jobs):
    for job in jobs:
        file = ROOT / "evidence" / "cpu" / f"{job.chapter.name}.{job.framework}.json"
        content = record.read(file)
        if content["measured"]:
            took = content["machine"]["measured"].get("code")
            assert took == job.timings, f"{file}: other code took these timings"
            assert job.measured, f"{job.path} shows other timings than its record"
