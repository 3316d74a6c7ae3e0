"""Command lines of ops-platform in help texts and documents, held against the commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from ops_platform.cli import cli

END = re.compile(r";(?=\s)|\s(?:\||\|\||&&|;|>|>>|<|2>)\s?|;$|\s#\s|\s{3,}")
"""Where a command line ends in a document: at the shell's signs, a comment, or the column beside it."""
PLACEHOLDER = re.compile(r"[A-Z_]+|.*[$…<{].*|\.\.\.")


FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)


def fenced(text: str) -> Iterator[str]:
    """The commands in the code blocks of a document, continued lines joined."""
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash", "console"):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                yield from called(line)


def inline(text: str) -> Iterator[str]:
    """The commands in a document's sentences; what is optional stands in brackets there."""
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text)):
        yield from called(re.sub(r"[][]", "", code))


def called(line: str) -> Iterator[str]:
    """What stands behind each ``ops-platform`` that begins a command."""
    for part in re.split(r"(?:^|[|&;(\s])(?:[./\w$\"{}-]*/)?ops-platform\"? ", line.strip())[1:]:
        words = END.split(f" {part} ")[0].strip()
        for sign in '")':
            # Of what stands around the command.
            if words.count(sign) % 2 and (sign == '"' or "(" not in words):
                words = words.partition(sign)[0] if sign == ")" else words[: words.rindex(sign)]
        yield words.rstrip(".")


def fault(line: str) -> str | None:
    """Say what is wrong with the words behind ``ops-platform``; None when they are a command."""
    try:
        words = shlex.split(line)
    except ValueError:
        return "it cannot be split into words"
    words = [word for word in words if word not in ("--help", "-h", "--version", "...", "…")]
    command: click.Command = cli
    while True:
        try:
            given, rest, _ = command.make_parser(click.Context(command)).parse_args(words)
        except click.UsageError as error:
            return None if "requires an argument" in error.message else error.message
        if not isinstance(command, click.Group) or not rest or PLACEHOLDER.fullmatch(rest[0]):
            break
        name, *words = rest
        if name.rstrip(",:") not in command.commands:
            return f"{name} is no command"
        command = command.commands[name.rstrip(",:")]
    for parameter in command.params:
        value = given.get(parameter.name or "")
        choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else None
        if choices and isinstance(value, str) and value not in choices and not PLACEHOLDER.fullmatch(value):
            return f"{value} is none of {', '.join(map(str, choices))}"
    return f"{' '.join(rest)} is too much" if rest and not isinstance(command, click.Group) else None
