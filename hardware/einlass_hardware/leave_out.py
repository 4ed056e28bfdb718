"""What a board's modules have for tests and screens only: how values print and compare, classes without content.

A board asks of what class a value is and reads its fields. The names in `__slots__`, which MicroPython does not heed,
and a base class that only gave values these methods cost it some 3 kB of its heap.
"""

import ast
from collections.abc import Mapping

Imports = Mapping[str, Mapping[str, tuple[str, str | None]]]

HOST_METHODS = ("__eq__", "__hash__", "__repr__")
HOST_ATTRIBUTES = ("__slots__",)


def leave_out(modules: Mapping[str, list[ast.stmt]], imports: Imports) -> None:
    """Change these modules in place; all there are. imports: what a module's names mean in others (bundle.Module)."""
    for body in modules.values():
        for node in _classes(body):
            node.body = [statement for statement in node.body if not _is_for_hosts(statement)]
    nodes = [node for body in modules.values() for statement in body for node in ast.walk(statement)]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for body in modules.values():
        for node in _classes(body):
            node.body = [s for s in node.body if not _is_unused(s, used)] or [ast.Pass()]
    _drop_empty_bases(modules, imports)


def _drop_empty_bases(modules: Mapping[str, list[ast.stmt]], imports: Imports) -> None:
    """Classes without content and without a base that has any, which nothing names but the classes that extend them."""
    bases = {id(base) for body in modules.values() for node in _classes(body) for base in node.bases}
    named = {
        imports[module].get(node.id, (module, node.id))
        for module, body in modules.items()
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and id(node) not in bases
    }
    grown = True
    gone: set[tuple[str, str | None]] = set()
    while grown:
        grown = False
        for module, body in modules.items():
            for node in _classes(body):
                node.bases = [base for base in node.bases if _meaning(base, module, imports) not in gone]
                name = (module, node.name)
                if name not in gone and name not in named and not node.bases and _is_empty(node):
                    gone.add(name)
                    grown = True
    for module, body in modules.items():
        body[:] = [s for s in body if not (isinstance(s, ast.ClassDef) and (module, s.name) in gone)]


def _meaning(base: ast.expr, module: str, imports: Imports) -> tuple[str, str | None] | None:
    return imports[module].get(base.id, (module, base.id)) if isinstance(base, ast.Name) else None


def _classes(body: list[ast.stmt]) -> list[ast.ClassDef]:
    return [statement for statement in body if isinstance(statement, ast.ClassDef)]


def _is_empty(node: ast.ClassDef) -> bool:
    return all(isinstance(statement, ast.Pass) for statement in node.body)


def _is_for_hosts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef):
        return statement.name in HOST_METHODS
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id in HOST_ATTRIBUTES for target in statement.targets)
    return False


def _is_unused(statement: ast.stmt, used: set[str]) -> bool:
    is_function = isinstance(statement, ast.FunctionDef)
    return is_function and _private(statement.name) and statement.name not in used  # type: ignore[attr-defined]


def _private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")
