"""Python runs this as it starts: what a test starts is watched as the test is."""

import json
import os

import watch

if watch.VARIABLE in os.environ:
    watch.begin(*json.loads(os.environ[watch.VARIABLE]))
