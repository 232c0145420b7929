"""A directive run by itself, without a build."""

from types import SimpleNamespace

from labkit.press import pages


def put(kind, root, name):
    """Run a directive that names a chapter; returns its HTML, and what it notes of its page."""
    pages.begin()
    noted = {}
    env = SimpleNamespace(
        srcdir=str(root),
        docname="chapters/x",
        note_dependency=lambda _: None,
        metadata={"chapters/x": noted},
        new_serialno=lambda _: 0,
    )
    directive = object.__new__(kind)
    directive.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    directive.state_machine = SimpleNamespace(get_source_and_line=lambda _: ("x.md", 3))
    directive.arguments, directive.lineno = [name], 3
    return "".join(node.astext() for node in directive.run()), noted
