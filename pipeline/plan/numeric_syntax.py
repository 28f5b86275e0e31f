"""The syntax tree of a module without what cannot change a number, and the same tree as nested tuples.

What goes: comments, docstrings, type annotations, imports that only annotations use, the texts of exceptions and of
assertions. Every version of Python makes the same tuples of the same module.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

SPECIAL_FIELDS = {"ClassVar", "InitVar", "KW_ONLY"}  # annotations that change what a dataclass is


def stripped(source: str) -> ast.Module:
    """The tree of a module's text without what cannot change a number. Errors: `SyntaxError`."""
    stripper = _Stripper()
    module: ast.Module = stripper.visit(ast.parse(source))
    needless = stripper.annotated - {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    module.body = [kept for statement in module.body for kept in _without_imports(statement, needless)]
    return module


def plain(node: Any) -> Any:
    """A syntax tree as nested tuples. What is empty is left out: newer versions of Python have more such fields."""
    if isinstance(node, ast.Constant):
        return ("Constant", repr(node.value))
    if isinstance(node, ast.JoinedStr):  # Python 3.12 has empty texts among its parts
        parts = [part for part in node.values if getattr(part, "value", None) != ""]
        return ("JoinedStr", *([("values", plain(parts))] if parts else []))
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name != "type_comment")
        return (type(node).__name__, *((name, plain(value)) for name, value in fields if value not in (None, [])))
    if isinstance(node, list):
        return [plain(entry) for entry in node]
    return node


def _without_imports(statement: ast.stmt, needless: set[str]) -> Iterator[ast.stmt]:
    """The statement; an import without the `needless` names, or nothing where none is left."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = [alias for alias in statement.names if (alias.asname or alias.name.split(".")[0]) not in needless]
        if not names:
            return
        statement.names = names
    yield statement


class _Stripper(ast.NodeTransformer):
    """Removes docstrings, annotations and the texts of exceptions. `annotated`: the names that annotations used."""

    def __init__(self) -> None:
        self.fields: set[int] = set()  # annotated names in the body of a class, by identity
        self.annotated: set[str] = set()

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = _without_docstrings(node.body)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstrings(node.body) or [ast.Pass()]
        self.fields |= {id(entry) for entry in node.body if isinstance(entry, ast.AnnAssign)}
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = _without_docstrings(node.body) or [ast.Pass()]
        self.annotated |= _names(node.returns)
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        self.annotated |= _names(node.annotation)
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        names = _names(node.annotation)
        if id(node) in self.fields:  # perhaps a field of a dataclass: the name stays, its type goes
            special = sorted(names & SPECIAL_FIELDS)
            self.annotated |= names - SPECIAL_FIELDS
            node.annotation = ast.Name(id="_".join(["field", *special]), ctx=ast.Load())
            return self.generic_visit(node)
        self.annotated |= names
        if node.value is None:
            return None
        return self.generic_visit(ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node))

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args = [_Wordless().visit(argument) for argument in node.exc.args]
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)


class _Wordless(ast.NodeTransformer):
    """Empties every text."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant(value="")

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(value="") if isinstance(node.value, str) else node


def _without_docstrings(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without texts that stand alone: docstrings, those of attributes too."""

    def is_text(statement: ast.stmt) -> bool:
        alone = statement.value if isinstance(statement, ast.Expr) else None
        return isinstance(alone, ast.Constant) and isinstance(alone.value, str)

    return [statement for statement in body if not is_text(statement)]


def _names(annotation: ast.expr | None) -> set[str]:
    """The names in an annotation, those in quotes too."""
    if annotation is None:
        return set()
    nodes = list(ast.walk(annotation))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)} & SPECIAL_FIELDS
    return names | attributes | {name for text in texts for name in re.findall(r"\w+", text)}
