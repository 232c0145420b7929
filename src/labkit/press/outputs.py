"""What a cell has put out, made the same for every run, and fit to be read by everybody."""

import re
from collections.abc import Iterator

from nbformat import NotebookNode


class UnfitError(Exception):
    """What cannot stay as it is; the message goes on where the cell's name ends."""


def settle(cell: NotebookNode, described: str | None) -> None:
    """Take out of a cell's outputs what differs from run to run, and check the rest.

    Parameters
    ----------
    described
        What the chapter says of the cell's pictures to those who cannot see them.

    Raises
    ------
    UnfitError
        Where the error that the cell was to raise has not come, an address in memory is shown, or
        a picture that a screen reader cannot read.
    """
    _normalise(cell)
    _expect_error(cell)
    _refuse_addresses(cell)
    if not described:
        _demand_words(cell)


def _normalise(cell: NotebookNode) -> None:
    cell.metadata.pop("execution", None)
    # What libraries log goes to stderr; a lesson prints to stdout.
    outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    printed = [o for o in outputs if o.output_type == "stream"]
    if printed:
        # How print's text is cut into messages is chance.
        printed[0].text = _seen("".join(o.text for o in printed))
    cell.outputs = [o for o in outputs if o not in printed[1:]]
    for output in cell.outputs:
        if output.output_type == "error":
            # A traceback holds this machine's paths.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "transient" in output:
            del output["transient"]


def _seen(text: str) -> str:
    """Return what a terminal shows of a text: after a carriage return, a line begins anew."""
    lines = text.split("\n")
    heads = [line.removesuffix("\r") for line in lines]
    return "\n".join(
        head.rpartition("\r")[2] + line[len(head) :]
        for head, line in zip(heads, lines, strict=True)
    )


def _expect_error(cell: NotebookNode) -> None:
    wanted = next((t[7:] for t in cell.metadata.get("tags", ()) if t.startswith("raises:")), None)
    raised = next((o.ename for o in cell.outputs if o.output_type == "error"), None)
    if wanted and raised != wanted.rsplit(".", 1)[-1]:
        raise UnfitError(f"was to raise {wanted}, and raised {raised or 'nothing'}")


def _refuse_addresses(cell: NotebookNode) -> None:
    """Raise for an object's address in memory, which is another one in each run."""
    for output in cell.outputs:
        text = f"{output.get('text', '')}{output.get('data', {}).get('text/plain', '')}"
        for found in addresses(text):
            raise UnfitError(f"puts out {found!r}, an address that changes with every run")


def addresses(text: str) -> Iterator[str]:
    """Find objects shown by their addresses, ``<… at 0x…>``, in time that grows with the text."""
    for line in text.splitlines():
        begin = line.find("<")
        if begin >= 0 and (end := re.compile(r" at 0x[0-9a-f]+>").search(line, begin)):
            yield line[max(begin, end.start() - 60) : end.end()]


def _demand_words(cell: NotebookNode) -> None:
    """Raise for a picture that a screen reader cannot read."""
    for output in cell.outputs:
        for kind in output.get("data", {}):
            if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt"):
                raise UnfitError(
                    "shows a picture without a text alternative: draw it with labkit.plot, or "
                    "give the cell `:mystnb: {image: {alt: …}}`"
                )
