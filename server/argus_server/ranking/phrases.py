"""A sentence in pieces, some of which are names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["NO_VERDICT", "Phrase", "Verdict"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of a sentence; the name of a model is `strong`."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who leads and who cannot be told from the leader.

    Attributes:
        leaders: the models with the best average rank; usually one.
        close: the models that were held against the leader, and cannot be told from it.
        phrases: the same in words.
        favoured: the models that the signed ranks find better than the leader all the same.
        untested: why no model was held against the leader; empty where some were.
    """

    leaders: tuple[str, ...] = ()
    close: tuple[str, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    favoured: tuple[str, ...] = ()
    untested: str = ""

    @property
    def text(self) -> str:
        """The sentence without any markup."""
        return "".join(phrase.text for phrase in self.phrases)

    def told(self, names: Mapping[str, str]) -> str:
        """Return the same with the names that models are shown by."""
        return "".join(
            names.get(phrase.text, phrase.text) if phrase.strong else phrase.text for phrase in self.phrases
        )

    def __bool__(self) -> bool:
        return bool(self.phrases)


NO_VERDICT = Verdict()
