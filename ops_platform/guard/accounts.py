"""People and programs that may come in, as a YAML file of the operator names them; hashes, never secrets.

::

    people:
      alice: {role: operator, password: "scrypt$..."}
      "@admins": {role: admin}             # a group of the login provider or the proxy
    programs:
      console: {role: operator, token: "sha256$...", reason: "asked for at the command line"}
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError

Role = Literal["viewer", "operator", "admin"]
RANKS: Mapping[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}
COST, BLOCK, LANES = 1 << 15, 8, 3
"""scrypt's N, r and p, as OWASP advises: 32 MiB for each guess."""
_MEMORY = 64 << 20
_NAME = Annotated[str, Field(pattern=r"^@?[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(_Strict):
    """Somebody with a role; without a password they sign in at the login provider only."""

    role: Role
    password: str | None = Field(None, repr=False)


class Program(_Strict):
    """A program with a token; ``reason`` stands for each of its changes that gives no other."""

    role: Role
    token: str = Field(repr=False)
    reason: str | None = None


class AccountsFile(_Strict):
    """The whole file; names that begin with ``@`` are groups."""

    people: dict[_NAME, Person] = {}
    programs: dict[_NAME, Program] = {}


@dataclass(frozen=True)
class Identity:
    """Who asks. ``actor`` is the name in the ledger: ``person:alice`` or ``program:console``."""

    actor: str
    role: Role
    standing_reason: str | None = None
    groups: tuple[str, ...] | None = None
    """Those that the login provider or a proxy said; None for whom the accounts file knows by a password."""

    def may(self, role: Role) -> bool:
        """Tell whether this identity has at least ``role``."""
        return RANKS[self.role] >= RANKS[role]


class Accounts:
    """The accounts of a file, which is read again when it has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._known = AccountsFile()
        self._tokens: Mapping[bytes, Identity] = {}
        # Before anybody asks: who is unknown must not take longer than others, not even the first time.
        _hash_of_nobody()
        self.known()

    def known(self) -> AccountsFile:
        """Return the accounts as the file is now. Raises ConfigurationError, with file and line."""
        try:
            status = self._file.stat()
        except OSError as error:
            raise ConfigurationError(
                f"{self._file}: cannot be read ({error.strerror}): correct OPS_GUARD_ACCOUNTS"
            ) from None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._known = load(self._file)
            self._tokens = {
                _digest(program.token, name): Identity(f"program:{name}", program.role, program.reason)
                for name, program in self._known.programs.items()
            }
            self._stamp = stamp
        return self._known

    def program(self, token: str) -> Identity | None:
        """Find the program whose token this is. Only digests are compared: no guess is timed."""
        self.known()
        return self._tokens.get(hashlib.sha256(token.encode()).digest())

    def current(self, identity: Identity) -> Identity | None:
        """Return an identity with the role that it has now; None when the file names it no longer."""
        name = identity.actor.removeprefix("person:")
        if identity.groups is not None:
            return self.of_provider(name, identity.groups)
        person = self.known().people.get(name)
        return None if person is None else replace(identity, role=person.role)

    def of_provider(self, name: str, groups: tuple[str, ...]) -> Identity | None:
        """Find the role of somebody whom the login provider or a proxy names: the highest of name and groups.

        None when the file names neither.
        """
        people = self.known().people
        keys = [name, *(f"@{group}" for group in groups)]
        roles = [people[key].role for key in keys if key in people and (key != name or name[:1] != "@")]
        if not roles:
            return None
        return Identity(f"person:{name[:100]}", max(roles, key=RANKS.__getitem__), None, groups)

    def person(self, name: str, password: str) -> Identity | None:
        """Check a password: about 0.2 s of CPU time and 32 MiB, also for a name that is unknown."""
        person = self.known().people.get(name)
        stored = person.password if person is not None else None
        is_right = fits(password, stored or _hash_of_nobody())
        if person is None or stored is None or not is_right or name.startswith("@"):
            return None
        return Identity(f"person:{name}", person.role)


def load(file: Path) -> AccountsFile:
    """Read an accounts file. Raises ConfigurationError, with file and line."""
    source = lined_yaml.load_one(file)
    try:
        found = AccountsFile.model_validate(source.value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{source.at(first['loc'])}: {place}: {lined_yaml.complaint(first)}"
        ) from None
    for name, program in found.programs.items():
        _digest(program.token, name)
    for name, person in found.people.items():
        if person.password is not None:
            _parts(person.password, name)
    return found


def hash_password(password: str) -> str:
    """Compute ``scrypt$N$r$p$salt$hash`` of a password, with a fresh salt."""
    salt = secrets.token_bytes(16)
    words = (
        str(COST),
        str(BLOCK),
        str(LANES),
        _text(salt),
        _text(_scrypt(password, salt, COST, BLOCK, LANES)),
    )
    return "$".join(("scrypt", *words))


@functools.cache
def _hash_of_nobody() -> str:
    """Make the hash of a password that nobody has, once."""
    return hash_password(secrets.token_hex())


def hash_token(token: str) -> str:
    """Compute ``sha256$hex`` of a token, which must be random: at least 32 bytes."""
    return f"sha256${hashlib.sha256(token.encode()).hexdigest()}"


def fits(password: str, stored: str) -> bool:
    """Tell whether a password is the one that was hashed. Raises ConfigurationError for another form."""
    cost, block, lanes, salt, expected = _parts(stored, "")
    return hmac.compare_digest(_scrypt(password, salt, cost, block, lanes), expected)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY, dklen=32)


def _parts(stored: str, name: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, cost, block, lanes, salt, digest = stored.split("$")
        if kind != "scrypt" or int(cost) < 1 << 14 or 128 * int(cost) * int(block) > _MEMORY:
            raise ValueError(kind)
        return int(cost), int(block), int(lanes), base64.b64decode(salt), base64.b64decode(digest)
    except ValueError:
        raise ConfigurationError(
            f"the password of {name or 'a person'} is no hash: make one with 'ops-platform guard password'"
        ) from None


def _digest(stored: str, name: str) -> bytes:
    kind, _, digest = stored.partition("$")
    try:
        found = bytes.fromhex(digest) if kind == "sha256" else b""
    except ValueError:
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise ConfigurationError(
            f"the token of {name} must be 'sha256$' and the SHA-256 of the token in hex: correct it"
        )
    return found


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
