"""A small language for conditions on columns: ``year >= 1990 and 'Comedy' in genres``.

It is parsed into polars expressions, never evaluated as Python::

    or_test  = and_test ("or" and_test)*
    and_test = not_test ("and" not_test)*
    not_test = "not" not_test | "(" or_test ")" | test
    test     = operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand | ["not"] "in" operand)
    operand  = column | number | 'text' | [operand, ...]
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.errors import ConfigError, closest

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|==|!=|<|>|\(|\)|\[|\]|,))"""
)
_COMPARE: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_DEEPEST = 50


@dataclass(frozen=True)
class _Operand:
    kind: str  # "column", "value" or "list"
    value: object


@dataclass(frozen=True)
class Expression:
    """A condition that is True or False for each row of a table.

    A test of a missing value is neither true nor false, so the row fails, also under ``not``.

    Attributes:
        text: the condition as written.

    Raises:
        ConfigError: the text cannot be read.
    """

    text: str

    def __post_init__(self) -> None:
        given: object = self.text
        if not isinstance(given, str):
            msg = f"a condition is a text such as 'year >= 1990'; got {given!r}"
            raise ConfigError(msg)
        _ = self._parsed

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns it needs."""
        return self._parsed[1]

    def mask(self, table: pl.DataFrame) -> NDArray[np.bool_]:
        """Test every row.

        Args:
            table: must have the columns that the expression names.

        Returns:
            (rows,) bool.

        Raises:
            ConfigError: a column is not there, or holds values of another kind than asked for.
        """
        for name in sorted(self.columns):
            if name not in table.columns:
                msg = f"{self.text!r} names column {name!r}, which is not there; columns are {table.columns}.{closest(name, table.columns)}"
                raise ConfigError(msg)
        for name, instead in self._parsed[2]:
            if isinstance(table.schema[name], pl.List | pl.Array):
                msg = f"{self.text!r} compares {name!r}, which holds several values in each row; write {instead}"
                raise ConfigError(msg)
        try:
            # NaN says as little as null, but polars holds it to be above every number
            floats = [c for c in self.columns if table.schema[c].is_float()]
            given = table.with_columns(pl.col(floats).fill_nan(None))
            answer = given.with_columns(self._parsed[0].fill_null(value=False).alias("ok"))[
                "ok"
            ]
        except pl.exceptions.PolarsError as error:
            kinds = {name: str(table.schema[name]) for name in sorted(self.columns)}
            reason = str(error).split("\n", 1)[0]
            msg = f"{self.text!r} compares things of different kinds: {kinds} ({reason}). Write numbers bare and text in quotes"
            raise ConfigError(msg) from None
        return answer.to_numpy().astype(bool)

    @cached_property
    def _parsed(self) -> tuple[pl.Expr, frozenset[str], tuple[tuple[str, str], ...]]:
        parser = _Parser(self.text)
        whole = parser.whole()
        return whole, frozenset(parser.columns), tuple(parser.singles)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: set[str] = set()
        self.singles: list[tuple[str, str]] = []  # must hold one value a row; else write this
        self.tokens: list[tuple[str, str]] = []
        self.position = 0
        self.depth = 0
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                self._fail(f"cannot read {text[at:].strip()[:20]!r}")
            self.tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            at = match.end()

    def whole(self) -> pl.Expr:
        expression = self._or()
        if self.position < len(self.tokens):
            self._fail(f"did not expect {self.tokens[self.position][1]!r}")
        return expression

    def _fail(self, what: str) -> NoReturn:
        msg = (
            f"{what} in {self.text!r}. Write conditions as: year >= 1990 and 'Comedy' in genres"
        )
        raise ConfigError(msg)

    def _peek(self, token: str) -> bool:
        return self.position < len(self.tokens) and self.tokens[self.position] in {
            ("word", token),
            ("sign", token),
        }

    def _take(self, token: str) -> bool:
        found = self._peek(token)
        self.position += found
        return found

    def _or(self) -> pl.Expr:
        left = self._and()
        while self._take("or"):
            left = left | self._and()
        return left

    def _and(self) -> pl.Expr:
        left = self._not()
        while self._take("and"):
            left = left & self._not()
        return left

    def _not(self) -> pl.Expr:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} levels")
        if self._take("not"):
            answer = ~self._not()
        elif self._take("("):
            answer = self._or()
            if not self._take(")"):
                self._fail("a ')' is missing")
        else:
            answer = self._test()
        self.depth -= 1
        return answer

    def _test(self) -> pl.Expr:
        left = self._operand()
        for sign, compare in _COMPARE.items():
            if self._take(sign):
                right = self._operand()
                if "list" in {left.kind, right.kind}:
                    self._fail("a list can only stand after 'in'")
                self._expect_single(left, right, sign)
                return compare(self._expr(left), self._expr(right))
        negated = self._take("not")
        if not self._take("in"):
            self._fail("expected a comparison or 'in'")
        inside = self._in(left, self._operand())
        return ~inside if negated else inside

    def _expect_single(self, left: _Operand, right: _Operand, sign: str) -> None:
        inside = "not in" if sign == "!=" else "in"
        for column, other in ((left, right), (right, left)):
            if column.kind == "column":
                value = other.value if other.kind == "column" else repr(other.value)
                self.singles.append((str(column.value), f"{value} {inside} {column.value}"))

    def _in(self, left: _Operand, right: _Operand) -> pl.Expr:
        if right.kind == "list":
            values: list[object] = right.value  # type: ignore[assignment]
            if left.kind == "column":
                instead = " or ".join(f"{value!r} in {left.value}" for value in values)
                self.singles.append((str(left.value), instead))
            same = [self._expr(left) == pl.lit(value) for value in values]  # 1 equals 1.0
            nowhere = self._expr(left) != self._expr(left)  # never true; null where left is
            return pl.any_horizontal(same) if same else nowhere
        if right.kind != "column":
            self._fail("after 'in' comes a column of lists, or a list in brackets")
        return self._expr(right).list.contains(self._expr(left))

    def _operand(self) -> _Operand:
        if self._take("["):
            return self._list()
        if self.position >= len(self.tokens):
            self._fail("something is missing at the end")
        kind, token = self.tokens[self.position]
        self.position += 1
        if kind == "number":
            return _Operand("value", float(token) if "." in token else int(token))
        if kind == "text":
            return _Operand("value", re.sub(r"\\(.)", r"\1", token[1:-1]))
        if kind == "word" and token not in {"and", "or", "not", "in"}:
            if token in {"True", "true", "False", "false"}:
                return _Operand("value", token.lower() == "true")
            self.columns.add(token)
            return _Operand("column", token)
        self._fail(f"did not expect {token!r}")

    def _list(self) -> _Operand:
        values: list[object] = []
        while not self._take("]"):
            item = self._operand()
            if item.kind != "value":
                self._fail("a list holds numbers or texts")
            values.append(item.value)
            if not self._peek("]") and not self._take(","):
                self._fail("a ']' is missing")
        return _Operand("list", values)

    @staticmethod
    def _expr(operand: _Operand) -> pl.Expr:
        return pl.col(str(operand.value)) if operand.kind == "column" else pl.lit(operand.value)
