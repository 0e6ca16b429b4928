"""What is to be said about a file while its records are being found."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.core.translatable import Sentence, sentence, type_of_value


@dataclass
class Remarks:
    """`is_guess` tells that a person has to confirm how the records were laid out."""

    notes: list[Sentence] = field(default_factory=list)
    is_guess: bool = False

    def say(self, text: str, **values: type_of_value) -> None:
        """Add a sentence, from a literal marked with `N_`."""
        self.notes.append(sentence(text, **values))

    def guess(self, text: str, **values: type_of_value) -> None:
        """Add a sentence about something that has to be confirmed."""
        self.say(text, **values)
        self.is_guess = True
