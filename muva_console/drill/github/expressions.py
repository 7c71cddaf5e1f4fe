"""The expressions of workflows, ``${{ … }}``: as much of GitHub's language as its deployments use.

Source: docs.github.com, "Evaluate expressions in workflows and actions": literals, operators, object filters
(`.*`), the functions below; strings are compared without regard to case, and what is falsy is false, 0, ""
and null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

CONTEXTS = frozenset({"env", "github", "inputs", "job", "needs", "runner", "secrets", "steps", "vars"})
"""The names that an expression may begin with."""
STATUS = frozenset({"always", "cancelled", "failure", "success"})
"""The functions that ask how things went; without any of them a condition means `success() && …`."""

_TOKEN = re.compile(
    r"""\s*(?: (?P<number>-?\d+(?:\.\d+)?) | '(?P<text>(?:[^']|'')*)' | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],.*]) )""",
    re.VERBOSE,
)
_TEMPLATE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)

Values = Mapping[str, Any]
"""What the contexts hold, and under `()` the functions of `STATUS` as plain booleans."""

_Compiled = Callable[[Values], Any]


class Invalid(Exception):
    """An expression that GitHub would not take, or that is beyond this stand-in."""


def compiled(text: str) -> _Compiled:
    """The expression, without its ``${{ }}``, as a function of values. Raises Invalid."""
    return _Parser(text).whole()


def check(text: str) -> None:
    """See that every expression within a text is one. Raises Invalid."""
    for found in _TEMPLATE.finditer(text):
        compiled(found[1])
    if "${{" in _TEMPLATE.sub("", text):
        raise Invalid(f"an expression is not closed: {text}")


def fill(text: str, values: Values) -> str:
    """A text with its expressions put in as strings. Raises Invalid."""
    return _TEMPLATE.sub(lambda found: string(compiled(found[1])(values)), text)


def condition(text: str) -> str:
    """The expression of an `if`, which may stand with or without its ``${{ }}``. Raises Invalid."""
    bare = text.strip()
    found = _TEMPLATE.fullmatch(bare)
    expression = found[1].strip() if found else bare
    compiled(expression)
    return expression


def holds(expression: str, values: Values) -> bool:
    """Whether a condition holds; "" is `success()`. Raises Invalid."""
    asks = {found["name"] for found in _TOKEN.finditer(expression) if found["name"]} & STATUS
    if not asks and not values["()"]["success"]:
        return False
    return not expression or truth(compiled(expression)(values))


def truth(value: Any) -> bool:
    """Whether GitHub holds a value for true."""
    return value not in (None, False, 0, "")


def string(value: Any) -> str:
    """A value as it stands in a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Mapping):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return str(value)


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    if type(one) is type(other):
        return bool(one == other)
    return _number(one) == _number(other)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_equal(one, what) for one in where)
    return string(what).casefold() in string(where).casefold()


def _format(template: Any, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: string(values[int(found[1])]), string(template))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startsWith": lambda where, what: string(where).casefold().startswith(string(what).casefold()),
    "endsWith": lambda where, what: string(where).casefold().endswith(string(what).casefold()),
    "format": _format,
    "join": lambda values, between=",": string(between).join(map(string, values)),
    "toJSON": lambda value: json.dumps(value, indent=2),
}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda one, other: not _equal(one, other),
    "<": lambda one, other: _number(one) < _number(other),
    "<=": lambda one, other: _number(one) <= _number(other),
    ">": lambda one, other: _number(one) > _number(other),
    ">=": lambda one, other: _number(one) >= _number(other),
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class _Parser:
    """By recursive descent: or, and, comparison, not, a value with its properties."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None or found.end() == at:
                raise Invalid(f"Unexpected symbol: '{self._text[at:].split()[0]}' in '{self._text}'")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind]))
            at = found.end()
            while at < len(self._text) and self._text[at].isspace():
                at += 1
        self._at = 0

    def whole(self) -> _Compiled:
        made = self._or()
        if self._at < len(self._tokens):
            raise Invalid(f"Unexpected symbol: '{self._tokens[self._at][1]}' in '{self._text}'")
        return made

    def _sign(self, *signs: str) -> str:
        """The next token, taken, where it is one of these; else ""."""
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind == "sign" and text in signs:
                self._at += 1
                return text
        return ""

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            raise Invalid(f"'{sign}' is missing in '{self._text}'")

    def _or(self) -> _Compiled:
        left = self._and()
        while self._sign("||"):
            left = _either(left, self._and(), stop=True)
        return left

    def _and(self) -> _Compiled:
        left = self._comparison()
        while self._sign("&&"):
            left = _either(left, self._comparison(), stop=False)
        return left

    def _comparison(self) -> _Compiled:
        left = self._not()
        while sign := self._sign(*_COMPARED):
            left = _compare(_COMPARED[sign], left, self._not())
        return left

    def _not(self) -> _Compiled:
        if self._sign("!"):
            inner = self._not()
            return lambda values: not truth(inner(values))
        return self._value()

    def _value(self) -> _Compiled:
        if self._sign("("):
            made = self._or()
            self._need(")")
            return self._properties(made)
        if self._at >= len(self._tokens):
            raise Invalid(f"Unexpected end of expression: '{self._text}'")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return _constant(float(text))
        if kind == "text":
            return _constant(text.replace("''", "'"))
        if kind != "name":
            raise Invalid(f"Unexpected symbol: '{text}' in '{self._text}'")
        if self._sign("("):
            return self._properties(self._call(text))
        if text in _CONSTANTS:
            return _constant(_CONSTANTS[text])
        if text not in CONTEXTS:
            raise Invalid(f"Unrecognized named-value: '{text}' in '{self._text}'")
        return self._properties(lambda values: values.get(text, {}))

    def _call(self, name: str) -> _Compiled:
        arguments: list[_Compiled] = []
        if not self._sign(")"):
            arguments.append(self._or())
            while self._sign(","):
                arguments.append(self._or())
            self._need(")")
        if name in STATUS:
            return lambda values: values["()"][name]
        function = _FUNCTIONS.get(name)
        if function is None:
            raise Invalid(f"Unrecognized function: '{name}' in '{self._text}'")
        return lambda values: function(*(one(values) for one in arguments))

    def _properties(self, of: _Compiled) -> _Compiled:
        while sign := self._sign(".", "["):
            if sign == "[":
                index = self._or()
                self._need("]")
                of = _property(of, index)
            elif self._sign("*"):
                of = _filtered(of)
            else:
                if self._at >= len(self._tokens) or self._tokens[self._at][0] != "name":
                    raise Invalid(f"a property's name is missing in '{self._text}'")
                of = _property(of, _constant(self._tokens[self._at][1]))
                self._at += 1
        return of


class _Each(list[Any]):
    """What `.*` chose: properties are those of every one."""


def _constant(value: Any) -> _Compiled:
    return lambda values: value


def _either(left: _Compiled, right: _Compiled, *, stop: bool) -> _Compiled:
    def made(values: Values) -> Any:
        value = left(values)
        return value if truth(value) is stop else right(values)

    return made


def _compare(how: Callable[[Any, Any], bool], left: _Compiled, right: _Compiled) -> _Compiled:
    return lambda values: how(left(values), right(values))


def _filtered(of: _Compiled) -> _Compiled:
    def made(values: Values) -> Any:
        value = of(values)
        return _Each(value.values() if isinstance(value, Mapping) else value or ())

    return made


def _property(of: _Compiled, name: _Compiled) -> _Compiled:
    def one(value: Any, key: Any) -> Any:
        if isinstance(value, Mapping):
            return value.get(string(key))
        if isinstance(value, list) and isinstance(key, float) and 0 <= key < len(value):
            return value[int(key)]
        return None

    def made(values: Values) -> Any:
        value, key = of(values), name(values)
        return _Each(one(each, key) for each in value) if isinstance(value, _Each) else one(value, key)

    return made
