"""What a trial tries: the draft, a version that was published, or a program file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty.errors import NotFound, ValidationFailed
from loyalty.programs import selectors
from loyalty.programs.compilation import compile_program
from loyalty.programs.models import Program, PublishedVersion
from loyalty.programs.rules import PublishedProgram


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program that is not live, or not any more, as decisions read it.

    Attributes:
        label: What people call it: "the draft", "version 3", "summer.yaml".
    """

    label: str
    document: dict[str, Any]
    program: PublishedProgram


def candidate(program: Program, document: Mapping[str, Any], *, label: str) -> Candidate:
    """Compile a canonical document to be tried in a program's place.

    Raises:
        ValidationFailed: Orders are in the program's currency, so it cannot be another one.
    """
    if program.version and document["currency"] != program.currency:
        message = f"The orders are in {program.currency}, so the program must be, too."
        raise ValidationFailed(message, errors=[{"pointer": "/currency", "message": message}])
    compiled = compile_program(document, id=program.pk, version=program.version)
    return Candidate(label, dict(document), compiled)


def draft_of(program: Program) -> Candidate:
    """Give what the tables hold now.

    Raises:
        DocumentInvalid: The draft contradicts itself, so nobody could publish it either.
    """
    return candidate(program, selectors.document(program), label="the draft")


def version_of(program: Program, version: int) -> Candidate:
    """Give a version that was published once.

    Raises:
        NotFound: The program has no such version.
    """
    found = PublishedVersion.objects.filter(program=program, version=version).first()
    if found is None:
        raise NotFound(f"The program {program.code} has no version {version}.")
    return candidate(program, found.document, label=f"version {version}")


def live_of(program: Program) -> Candidate | None:
    """Give what tills use now; None where nothing is published yet."""
    return version_of(program, program.version) if program.version else None
