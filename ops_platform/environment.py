"""Environment variables read as text, numbers, lists, secrets and groups of settings; no setting by name.

Every ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from ops_platform.errors import ConfigurationError


class Group(BaseModel):
    """Settings that belong together; a field's validation alias is the variable that it is read from."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)


AnyGroup = TypeVar("AnyGroup", bound=Group)


def read_environment_file(path: Path) -> dict[str, str]:
    """Read the ``NAME=value`` lines of an environment file; skip blank lines and ``#`` comments."""
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            values[name] = value
    return values


class Environment:
    """The variables that are set. All methods raise ConfigurationError, which names the variable."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.values = environ

    def text(self, name: str) -> str | None:
        """Return the value, or the content of the file that ``NAME_FILE`` names; None when neither is set."""
        value = self.values.get(name) or None
        path = self.values.get(f"{name}_FILE")
        if path is None:
            return value
        if value is not None:
            raise ConfigurationError(f"{name} and {name}_FILE are both set: keep one")
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{name}_FILE: cannot read {path}: {error.strerror}") from None

    def secret(self, name: str) -> SecretStr | None:
        """Return the value as a secret; None when it is not set, or when this user may not read its file.

        Such a file is not an error until somebody needs the secret.
        """
        try:
            value = self.text(name)
        except ConfigurationError:
            if not Path(self.values[f"{name}_FILE"]).exists() or self.values.get(name):
                raise
            return None
        return None if value is None else SecretStr(value)

    def number(self, name: str) -> float | None:
        """Return the value as a number; None when it is not set."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            raise ConfigurationError(f"{name} must be a number, not {value!r}") from None

    def names(self, name: str) -> tuple[str, ...] | None:
        """Split the value at its commas; None when there is no entry."""
        entries = (entry.strip() for entry in (self.text(name) or "").split(","))
        return tuple(entry for entry in entries if entry) or None

    def group(self, kind: type[AnyGroup], **given: Any) -> AnyGroup:
        """Read a group's fields and the groups within it; fields in ``given`` are taken as they are."""
        values = dict(given)
        for name, field in kind.model_fields.items():
            if name in given:
                continue
            if isinstance(field.default, Group):
                values[name] = self.group(type(field.default))
            elif isinstance(variable := field.validation_alias, str):
                is_list = get_origin(field.annotation) is tuple
                read = Environment.names if is_list else _READERS.get(field.annotation, Environment.text)
                if (value := read(self, variable)) is not None:
                    values[variable] = value
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_refusal(error)) from None


_READERS: dict[Any, Callable[[Environment, str], Any]] = {
    SecretStr | None: Environment.secret,
    int: Environment.number,
    float: Environment.number,
    float | None: Environment.number,
}
"""The reader for each type of field but tuples. Other types are read as text and converted by validation."""


def _refusal(error: ValidationError) -> str:
    problem = error.errors()[0]
    value, kind = problem["input"], problem["type"]
    # Other text may be a URL with a password in it.
    shown = f", not {value!r}" if isinstance(value, float) or kind == "literal_error" else ""
    return f"{problem['loc'][0]}: {problem['msg'].lower()}{shown}"
