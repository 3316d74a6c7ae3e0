"""A GraphQL request as the guard reads it: strictly, so that the webserver cannot read it otherwise. Pure.

What is sent on is written anew from what was understood here (``Request.body``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TypeNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    parse_type,
    print_ast,
    value_from_ast_untyped,
    visit,
)

from ops_platform.guard.refusal import Refusal

MOST_TOKENS = 20_000
"""Of a document; the longest of Dagster's UI has about 3,000."""
DEEPEST = 64
"""Braces within braces; the parser and the printer call themselves for each."""
_KEYS = frozenset({"query", "variables", "operationName", "extensions"})


@dataclass(frozen=True)
class Request:
    """One request: its document, and the one mutation in it, if it is one."""

    text: str | None
    """The document as it came; None when it was changed since."""
    document: DocumentNode
    variables: Mapping[str, Any]
    operation_name: str | None
    kind: OperationType
    """Of the document as a whole: MUTATION with a single operation, SUBSCRIPTION only when all are."""
    fields: tuple[FieldNode, ...]
    """The root fields of all operations, also through fragments."""

    @property
    def change(self) -> str | None:
        """The name of the mutation; None for a query."""
        return self.fields[0].name.value if self.kind is OperationType.MUTATION else None

    @property
    def answer_key(self) -> str:
        """Key of the first root field in the answer's ``data``."""
        field = self.fields[0]
        return (field.alias or field.name).value

    def argument(self, name: str) -> Any:
        """Return the value of an argument of the mutation, in JSON; None where it is not given."""
        node = next((one for one in self.fields[0].arguments if one.name.value == name), None)
        return None if node is None else value_from_ast_untyped(node.value, self._values())

    def with_argument(self, name: str, value: Any, kind: str) -> Request:
        """Return the request with an argument's value replaced by a variable of the GraphQL type ``kind``."""
        field = self.fields[0]
        variable = "guard_" + name
        argument = ArgumentNode(name=NameNode(value=name), value=_variable(variable))
        others = [one for one in field.arguments if one.name.value != name]
        changed_field = _copy(field, arguments=(*others, argument))
        document = visit(self.document, _Replacing(field, changed_field))
        operation = next(_operations(document))
        used = _used_variables(document)
        type_node: TypeNode = parse_type(kind, no_location=True)
        definitions = [one for one in operation.variable_definitions if one.variable.name.value in used]
        definition = VariableDefinitionNode(variable=_variable(variable), type=type_node, directives=())
        changed = _copy(operation, variable_definitions=(*definitions, definition))
        document = visit(document, _Replacing(operation, changed))
        variables = {key: one for key, one in self.variables.items() if key in used}
        return replace(
            self,
            text=None,
            document=document,
            variables={**variables, variable: value},
            fields=tuple(_roots(document, changed.selection_set)),
        )

    def with_typename(self) -> Request:
        """Return the request with the answer's type asked for, by which its success is judged."""
        field = self.fields[0]
        if field.selection_set is None:
            return self
        asked = (*field.selection_set.selections, FieldNode(name=NameNode(value="__typename")))
        changed = _copy(field, selection_set=SelectionSetNode(selections=asked))
        return replace(
            self, text=None, document=visit(self.document, _Replacing(field, changed)), fields=(changed,)
        )

    def body(self) -> bytes:
        """Write the request for the webserver."""
        return json.dumps(self.payload()).encode()

    def payload(self) -> dict[str, Any]:
        """Make the values of ``body``."""
        return {
            "query": print_ast(self.document) if self.text is None else self.text,
            "variables": dict(self.variables),
            "operationName": self.operation_name,
        }

    def _values(self) -> dict[str, Any]:
        """Compute all variables, those with a default included."""
        values = dict(self.variables)
        for definition in next(_operations(self.document)).variable_definitions:
            name = definition.variable.name.value
            if name not in values and definition.default_value is not None:
                values[name] = value_from_ast_untyped(definition.default_value)
        return values


def read_body(content_type: str | None, body: bytes) -> Request:
    """Read the body of a POST. Raises Refusal for whatever is not exactly one GraphQL request in JSON."""
    media, _, parameter = (content_type or "").partition(";")
    plain = parameter.strip().lower().replace('"', "").replace(" ", "")
    if media.strip().lower() != "application/json" or plain not in ("", "charset=utf-8"):
        raise Refusal(415, "content-type", "GraphQL is taken as application/json only: set Content-Type.")
    return read_payload(read_json(body))


def read_json(body: bytes) -> Any:
    """Read JSON in UTF-8 without a key twice. Raises Refusal."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refusal(
            400, "malformed", "The body is not JSON in UTF-8 in which each key stands once: correct it."
        ) from None


def read_payload(payload: Any) -> Request:
    """Read the values of a GraphQL request. Raises Refusal."""
    if isinstance(payload, list):
        raise Refusal(400, "malformed", "One GraphQL request at a time: send an object, not an array.")
    if not isinstance(payload, dict) or not payload.keys() <= _KEYS:
        raise Refusal(400, "malformed", f"A GraphQL request has these keys only: {', '.join(sorted(_KEYS))}.")
    query, name = payload.get("query"), payload.get("operationName")
    variables = payload.get("variables")
    if payload.get("extensions") or not isinstance(query, str):
        raise Refusal(400, "malformed", "Send the GraphQL document itself as 'query': its id is not enough.")
    if not isinstance(name, str | None) or not isinstance(variables, dict | None):
        raise Refusal(400, "malformed", "operationName must be text, variables an object: correct them.")
    document = _parsed(query)
    operations = list(_operations(document))
    names = [operation.name.value if operation.name else None for operation in operations]
    known = set(names) if len(operations) > 1 else {None, *names}
    if (name or None) not in known or len(set(names)) != len(names):
        raise Refusal(
            400, "malformed", "operationName must name one of the document's operations: correct it."
        )
    kinds = {operation.operation for operation in operations}
    if OperationType.MUTATION in kinds and len(operations) > 1:
        raise Refusal(
            400, "several-changes", "A document with a mutation has no other operation: send them one by one."
        )
    kind = next(iter(kinds)) if len(kinds) == 1 else OperationType.QUERY
    fields = tuple(field for operation in operations for field in _roots(document, operation.selection_set))
    if not fields:
        raise Refusal(400, "malformed", "The document asks for nothing: correct it.")
    if kind is OperationType.MUTATION and len(fields) > 1:
        raise Refusal(400, "several-changes", "One change at a time: send the mutations one by one.")
    return Request(query, document, variables or {}, name or None, kind, fields)


def _parsed(query: str) -> DocumentNode:
    if _depth(query) > DEEPEST:
        raise Refusal(400, "malformed", f"A document may be at most {DEEPEST} levels deep: simplify it.")
    try:
        document = parse(query, no_location=True, max_tokens=MOST_TOKENS)
    except (GraphQLError, RecursionError):
        raise Refusal(400, "malformed", "The document is not GraphQL, or too long: correct it.") from None
    if not next(_operations(document), None) or any(
        not isinstance(one, OperationDefinitionNode | FragmentDefinitionNode) for one in document.definitions
    ):
        raise Refusal(400, "malformed", "A document holds operations and fragments, and nothing else.")
    fragments = [one.name.value for one in document.definitions if isinstance(one, FragmentDefinitionNode)]
    if len(set(fragments)) != len(fragments):
        raise Refusal(400, "malformed", "Two fragments of the document have one name: rename one.")
    return document


def _depth(query: str) -> int:
    """Count how deep brackets go, those in strings and comments included: it can only be too strict."""
    depth = deepest = 0
    for character in query:
        if character in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}])":
            depth -= 1
    return deepest


def _operations(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    return (one for one in document.definitions if isinstance(one, OperationDefinitionNode))


def _roots(
    document: DocumentNode, selection: SelectionSetNode, within: frozenset[str] = frozenset()
) -> Iterator[FieldNode]:
    """Find the fields at the root, also those in fragments and those that a directive may leave out."""
    for node in selection.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _roots(document, node.selection_set, within)
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            fragment = next(
                (
                    one
                    for one in document.definitions
                    if isinstance(one, FragmentDefinitionNode) and one.name.value == name
                ),
                None,
            )
            if fragment is None or name in within:
                raise Refusal(
                    400, "malformed", "A fragment is missing, or holds itself: correct the document."
                )
            yield from _roots(document, fragment.selection_set, within | {name})


class _Replacing(Visitor):
    def __init__(self, old: object, new: object) -> None:
        super().__init__()
        self._old, self._new = old, new

    def enter(self, node: object, *_: object) -> object:
        """Put the new node in the place of the old one, which is that object and no equal one."""
        return self._new if node is self._old else None


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, _key: object, parent: object, *_: object) -> None:
        """Note a variable that is used, not one that is declared."""
        if not isinstance(parent, VariableDefinitionNode):
            self.names.add(node.name.value)


def _used_variables(document: DocumentNode) -> set[str]:
    seen = _Variables()
    visit(document, seen)
    return seen.names


def _variable(name: str) -> VariableNode:
    return VariableNode(name=NameNode(value=name))


def _copy(node: Any, **changes: Any) -> Any:
    return type(node)(**{**{key: getattr(node, key, None) for key in node.keys}, **changes})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(text)
