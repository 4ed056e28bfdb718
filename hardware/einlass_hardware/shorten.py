"""Short names for what only one function or one class ever sees: its variables and its private attributes.

A board keeps every name as a string of its own, some 25 bytes each; these few names serve all functions and classes.
Functions and methods keep theirs, so that a traceback stays readable.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def shorten(
    modules: Mapping[str, list[ast.stmt]], bases: Mapping[str, Iterable[str]], *, used_outside: bool = False
) -> None:
    """Change these modules in place; all there are, so that nobody outside can use the old names.

    bases: for each module the others whose classes its own classes extend. used_outside: public functions are called
    from elsewhere too, and may be given their parameters by name.
    """
    nodes = {name: [node for statement in body for node in ast.walk(statement)] for name, body in modules.items()}
    everything = [node for each in nodes.values() for node in each]
    by_keyword = {k.arg for node in everything if isinstance(node, ast.Call) for k in node.keywords}
    methods = {node.name for node in everything if isinstance(node, FunctionNode)}
    methods |= {name for node in everything if isinstance(node, ast.ClassDef) for name in _class_names(node)}
    taken: dict[str, set[str]] = {}
    for name in modules:
        reserved = set().union(*(taken.get(base, set()) for base in bases.get(name, ())))
        names = _names(reserved)
        short = {}
        for node in nodes[name]:
            attribute = node.attr if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) else ""
            if _is_private(attribute) and attribute not in methods and attribute not in short:
                short[attribute] = next(names)
        for node in nodes[name]:
            if isinstance(node, ast.Attribute):
                node.attr = short.get(node.attr, node.attr)
        taken[name] = reserved | set(short.values())
        variables = _Variables({keyword for keyword in by_keyword if keyword is not None}, used_outside)
        for statement in modules[name]:
            variables.visit(statement)


def _names(reserved: Iterable[str]) -> Iterator[str]:
    number = -1
    while True:
        number += 1
        if f"_{number}" not in reserved:
            yield f"_{number}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _class_names(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def _variables(body: Iterable[ast.stmt]) -> set[str]:
    nodes = [node for statement in body for node in ast.walk(statement)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored.difference(*(node.names for node in nodes if isinstance(node, ast.Global | ast.Nonlocal)))


class _Variables(ast.NodeVisitor):
    """Renames a function's variables, parameters that are given by name in some call excepted."""

    def __init__(self, keep: set[str], used_outside: bool) -> None:
        self._keep = keep | {"self", "cls"}
        self._used_outside = used_outside
        self._scopes: list[dict[str, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """A scope of its own."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """A scope of its own."""
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A scope of its own."""
        self.visit(node.args)
        self._scopes.append(self._enter(node.args, set(), False))
        self.visit(node.body)
        self._scopes.pop()

    def visit_Name(self, node: ast.Name) -> None:
        """The innermost function that has such a variable decides what it is."""
        for scope in reversed(self._scopes):
            if node.id in scope:
                node.id = scope[node.id]
                return

    def _function(self, node: FunctionNode) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self.visit(node.args)
        keep_all = self._used_outside and not _is_private(node.name)
        self._scopes.append(self._enter(node.args, _variables(node.body), keep_all))
        for statement in node.body:
            self.visit(statement)
        self._scopes.pop()

    def _enter(self, args: ast.arguments, variables: set[str], keep_all: bool) -> dict[str, str]:
        scope = {}
        names = _names([new for outer in self._scopes for new in outer.values()])
        for argument in (*args.args, *args.kwonlyargs, args.vararg, args.kwarg):
            if argument is not None:
                new = argument.arg if keep_all or argument.arg in self._keep else next(names)
                scope[argument.arg] = new
                argument.arg = new
        for name in sorted(variables - set(scope)):
            scope[name] = next(names)
        return scope
