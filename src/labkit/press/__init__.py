"""The maker's wing of labkit: from chapters to notebooks and pages.

It imports neither PyTorch nor TensorFlow, and the learner's wing does not import it.
"""

import sys

# Every command that reads a notebook pays for the slowest of its libraries: nbformat imports
# jsonschema, which imports each checker of formats that it finds, and one of them compiles a
# grammar for 0.9 s. No notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
