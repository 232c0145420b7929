"""The course, read once: whoever needs a part of it is handed the whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labkit.press import claims
from labkit.press.chapter import Chapter, chapters, load
from labkit.press.chapter import files as files_of
from labkit.press.claims import Claim, Verdict
from labkit.press.records import Records
from labkit.press.site import Site
from labkit.press.source import SourceError, did_you_mean


@dataclass(frozen=True)
class Course:
    """A course as it stands when it is read; each part is read when it is first asked for.

    A command makes one, and so does each build of the book. What changes later is seen by the next.
    """

    site: Site

    @classmethod
    def read(cls, root: Path) -> "Course":
        """Begin to read the course in the folder `root`, by its ``_config.yml``."""
        return cls(Site.read(root))

    @property
    def root(self) -> Path:
        """The folder of ``_config.yml``."""
        return self.site.root

    @cached_property
    def files(self) -> dict[str, Path]:
        """Name of each chapter to its file."""
        return {file.stem: file for file in chapters(self.root)}

    def chapter(self, name: str) -> Chapter:
        """Return a chapter, checked.

        Raises
        ------
        SourceError
            When it cannot be read, or something in it is wrong.
        """
        if name not in self._chapters:
            self._chapters[name] = load(self.root / "chapters" / f"{name}.md")
        return self._chapters[name]

    def chosen(self, names: Iterable[str] = ()) -> list[Chapter]:
        """Return chapters by their names, or by their files' paths; all where none is named.

        Raises
        ------
        SourceError
            For a name that no chapter has, and where there is no chapter at all.
        """
        folder = self.root / "chapters"
        if not self.files:
            message = "holds no chapter; run this in the course's own folder"
            raise SourceError(folder, None, message)
        wanted = list(dict.fromkeys(Path(name).stem for name in names)) or list(self.files)
        for name in wanted:
            if name not in self.files:
                hint = did_you_mean(name, self.files)
                raise SourceError(folder, None, f"no chapter {name!r}; {hint}")
        return [self.chapter(name) for name in wanted]

    @cached_property
    def _chapters(self) -> dict[str, Chapter]:
        return {}

    @property
    def claims_file(self) -> Path:
        """The file of the claims."""
        return self.root / "evidence" / "claims.yml"

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """Id of each claim to the claim, in the file's order."""
        return {claim.id: claim for claim in claims.load(self.claims_file)}

    def claims_on(self, topics: tuple[str, ...]) -> list[Claim]:
        """Return the claims of some topics, in the file's order.

        Raises
        ------
        SourceError
            For a topic that no claim has.
        """
        known = {claim.topic for claim in self.claims.values()}
        for topic in topics:
            if topic not in known:
                hint = did_you_mean(topic, known)
                raise SourceError(self.claims_file, None, f"no topic {topic!r}; {hint}")
        return [claim for claim in self.claims.values() if claim.topic in topics]

    @cached_property
    def records(self) -> Records:
        """The course's own records."""
        return Records(
            self.root / "evidence", lambda n: self.chapter(n) if n in self.files else None
        )

    def verdict(self, claim: Claim) -> Verdict:
        """Return the verdict that the course's records give on a claim.

        Raises
        ------
        ClaimError
            When the rule and the records do not fit; see `labkit.press.claims.judge`.
        """
        if claim.id not in self._verdicts:
            self._verdicts[claim.id] = claims.judge(claim, self.records)
        return self._verdicts[claim.id]

    @cached_property
    def _verdicts(self) -> dict[str, Verdict]:
        return {}

    def behind(self, claim: Claim) -> list[Path]:
        """Return the files that a claim's card shows something of, there or not.

        Timings count only while the chapter holds the code that took them, so its files are among
        them. A file of exercises that is not there is none of them: its page would be made anew
        each time.
        """
        read = claim.rule.reads.values() if claim.rule else ()
        timed = [f.rpartition("/")[2].split(".")[0] for f in read if ".measured." in f]
        own = [self.root / "chapters" / f"{name}.md" for name in dict.fromkeys(timed)]
        return [
            self.claims_file,
            *claims.reads(claim, self.records),
            *(file for path in own for file in files_of(path)),
        ]
