"""Joins the firmware's modules into one, with what a board never uses left out: a third less of its heap.

Every module costs a board a name space, every `from x import a` an entry in it, every constant an entry and a string.
So: names are resolved here instead of on the board, constants become the numbers and words they stand for, and what is
only for type checkers, for a host's Python or for nobody is dropped. A module that is imported only within functions
stays a module of its own, because it is meant to be loaded late or not at all.

The result is Python text, kept beside the byte code: the line numbers in a board's traceback are its.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WORD_LENGTH_MAX = 10  # longer texts are objects of their own in byte code, so they are not repeated
TYPE_CHECKING = "TYPE_CHECKING"
# What only a program for two Pythons asks, answered for the board's.
KNOWN = {"sys.implementation.name": "micropython"}


class BundleError(ValueError):
    """The modules cannot be joined; the text says what to change."""


@dataclass
class Module:
    """One source file. imports: what a name of its top level stands for in another module: (module, name or None)."""

    name: str
    body: list[ast.stmt]
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


class Bundle:
    """The modules below `folders`, as `joined` text under `name`, and as texts of those that stay on their own."""

    def __init__(self, name: str, paths: dict[str, Path]) -> None:
        self.name = name
        self._constants: dict[tuple[str, str], ast.Constant] = {}
        self._modules = {module: self._read(module, path) for module, path in paths.items()}
        self._late = self._imported_late()
        for module in self._in_order():
            self._take_constants(module)
        self._names = self._choose_names()
        texts = {module.name: self._rewrite(module) for module in self._in_order()}
        own = [statement for name, body in texts.items() if name not in self._late for statement in body]
        late = {name: body for name, body in texts.items() if name in self._late}
        wanted = {n for body in late.values() for n in _imported_from(body, self.name)} | {"main"}
        self.joined = _text(_once(_used(own, wanted)))
        self.late = {name: _text(_used(body, set(), keep_all=True)) for name, body in late.items()}

    # -- reading

    def _read(self, name: str, path: Path) -> Module:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        tree = _Known().visit(tree)
        module = Module(name, [s for s in tree.body if not _only_for_types(s)])
        for statement in module.body:
            module.defined.update(_binds(statement))
        return module

    def _imported_late(self) -> set[str]:
        early: set[str] = set()
        for module in self._modules.values():
            for statement in module.body:
                if isinstance(statement, ast.ImportFrom | ast.Import):
                    early.update(target for target, _ in self._targets(statement))
        # What nobody imports is where the program starts.
        anywhere = {
            target
            for module in self._modules.values()
            for statement in module.body
            for node in ast.walk(statement)
            if isinstance(node, ast.ImportFrom | ast.Import)
            for target, _ in self._targets(node)
        }
        return {name for name in anywhere if name in self._modules and name not in early and not self._is_package(name)}

    def _is_package(self, name: str) -> bool:
        return any(other.startswith(name + ".") for other in self._modules)

    def _targets(self, node: ast.ImportFrom | ast.Import) -> Iterator[tuple[str, str | None]]:
        """(module, name in it or None) of each thing imported."""
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
            return
        base = node.module or ""
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield (inner, None) if inner in self._modules else (base, alias.name)

    def _in_order(self) -> list[Module]:
        """Each after those whose names it needs while it is loaded."""
        order: list[Module] = []
        under_way: list[str] = []

        def place(module: Module) -> None:
            if module in order:
                return
            if module.name in under_way:
                raise BundleError(f"modules import each other in a circle: {' -> '.join(under_way)}")
            under_way.append(module.name)
            for statement in module.body:
                if isinstance(statement, ast.ImportFrom | ast.Import):
                    for (target, name), alias in zip(self._targets(statement), statement.names, strict=True):
                        module.imports[alias.asname or alias.name] = (target, name)
                        if target in self._modules:
                            place(self._modules[target])
            under_way.pop()
            order.append(module)

        for module in self._modules.values():
            place(module)
        return order

    # -- names and constants

    def _take_constants(self, module: Module) -> None:
        times = Counter(name for statement in module.body for name in _binds(statement))
        left = []
        for statement in module.body:
            value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
            name = next(iter(_binds(statement)), "")
            if value is not None and name.isupper() and times[name] == 1:
                found = self._fold(module, value)
                if found is not None:
                    self._constants[module.name, name] = found
                    continue
            left.append(statement)
        module.body = left

    def _fold(self, module: Module, value: ast.expr) -> ast.Constant | None:
        """A number or a word that this expression always is, or None."""
        if isinstance(value, ast.Constant):
            kind = type(value.value)
            short = kind in (str, bytes) and len(value.value) <= WORD_LENGTH_MAX
            return value if kind in (int, bool) or short else None
        if isinstance(value, ast.Name):
            return self._constants.get(module.imports.get(value.id, (module.name, value.id)))  # type: ignore[arg-type]
        if isinstance(value, ast.BinOp):
            left, right = self._fold(module, value.left), self._fold(module, value.right)
            if left is not None and right is not None and type(left.value) is type(right.value) is int:
                whole = ast.Expression(ast.BinOp(left, value.op, right))
                return ast.Constant(eval(compile(ast.fix_missing_locations(whole), "constant", "eval")))
        return None

    def _choose_names(self) -> dict[tuple[str, str], str]:
        """One name space for all: a name that two modules use, or that is also some function's variable, is made longer."""
        mine = [module for module in self._modules.values() if module.name not in self._late]
        times = Counter(name for module in mine for name in module.defined)
        local = {name for module in self._modules.values() for s in module.body for name in _local_anywhere(s)}
        local |= {name for module in self._modules.values() for name in module.imports if not self._ours(module, name)}
        names = {}
        for module in mine:
            for name in module.defined:
                clash = times[name] > 1 or name in local
                names[module.name, name] = f"{name}_{module.name.rsplit('.', 1)[-1]}" if clash else name
        for root in ("main",):
            names.update({key: root for key in names if key[1] == root})
        return names

    def _ours(self, module: Module, name: str) -> bool:
        return module.imports[name][0] in self._modules

    # -- writing

    def _rewrite(self, module: Module) -> list[ast.stmt]:
        body: list[ast.stmt] = []
        for statement in module.body:
            if isinstance(statement, ast.ImportFrom | ast.Import):
                body += self.import_left(statement, module.name in self._late)
            else:
                new = _Resolver(self, module).visit(statement)
                if isinstance(new, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    new.name = self._names.get((module.name, new.name), new.name)
                body.append(new)
        return body

    def import_left(self, node: ast.ImportFrom | ast.Import, late: bool) -> list[ast.stmt]:
        """What is left of an import: nothing, when all of it is in the bundle anyway."""
        left: list[ast.stmt] = []
        for (target, name), alias in zip(self._targets(node), node.names, strict=True):
            if target not in self._modules:
                only = [ast.alias(alias.name, alias.asname)]
                left.append(ast.ImportFrom(target, only, 0) if isinstance(node, ast.ImportFrom) else ast.Import(only))
            elif target in self._late:
                package, _, last = target.rpartition(".")
                left.append(ast.ImportFrom(target, [alias], 0) if name else ast.ImportFrom(package, [ast.alias(last, alias.asname)], 0))
            elif late and name and (target, name) in self._names and (target, name) not in self._constants:
                left.append(ast.ImportFrom(self.name, [ast.alias(self._names[target, name])], 0))
        return left

    def resolve(self, module: Module, name: str) -> ast.expr | None:
        """What a name of this module's top level is in the bundle; None: unchanged."""
        target = module.imports.get(name, (module.name, name))
        if target[1] is None:
            return None
        found = self._constants.get((target[0], target[1]))
        if found is not None:
            return ast.Constant(found.value)
        new = self._names.get((target[0], target[1]))
        return ast.Name(new, ast.Load()) if new else None

    def attribute(self, module: Module, name: str, attribute: str) -> ast.expr | None:
        """What module.attribute is in the bundle, when `name` is one of our modules there."""
        target, inner = module.imports.get(name, ("", ""))
        if inner is not None or target not in self._modules or target in self._late:
            return None
        found = self.resolve(self._modules[target], attribute)
        if found is None:
            raise BundleError(f"{module.name} uses {name}.{attribute}, which {target} does not define")
        return found


class _Known(ast.NodeTransformer):
    """Answers what is known of the board's Python, and drops the branches that are never taken and all annotations."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        known = KNOWN.get(ast.unparse(node))
        self.generic_visit(node)
        return node if known is None else ast.Constant(known)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        parts = [node.left, *node.comparators]
        if len(parts) == 2 and isinstance(node.ops[0], ast.Eq) and all(isinstance(p, ast.Constant) for p in parts):
            return ast.Constant(parts[0].value == parts[1].value)  # type: ignore[attr-defined]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value, lineno=node.lineno) if node.value is not None else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        self.generic_visit(node)
        node.body = _without_docstring(node.body)
        return node

    def _function(self, node: "ast.FunctionDef | ast.AsyncFunctionDef") -> ast.stmt:
        self.generic_visit(node)
        node.returns = None
        for argument in _arguments(node.args):
            argument.annotation = None
        node.body = _without_docstring(node.body)
        return node


class _Resolver(ast.NodeTransformer):
    """Puts the bundle's names where a module's own or imported ones were."""

    def __init__(self, bundle: Bundle, module: Module) -> None:
        self._bundle = bundle
        self._module = module
        self._scopes: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if any(node.id in scope for scope in self._scopes):
            return node
        new = self._bundle.resolve(self._module, node.id)
        if new is None:
            return node
        if isinstance(new, ast.Name):
            new.ctx = node.ctx
        return new

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and not any(node.value.id in scope for scope in self._scopes):
            found = self._bundle.attribute(self._module, node.value.id, node.attr)
            if found is not None:
                return found
        self.generic_visit(node)
        return node

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        named = [self._bundle.resolve(self._module, name) for name in node.names]
        node.names = [n.id if isinstance(n, ast.Name) else old for n, old in zip(named, node.names, strict=True)]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        return self._bundle.import_left(node, late=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        self._scopes.append({a.arg for a in _arguments(node.args)})
        node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        return self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        return self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self._comprehension(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        node.bases = [self.visit(base) for base in node.bases]
        attributes = {name for statement in node.body for name in _binds(statement)}
        body = []
        for statement in node.body:
            is_function = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
            self._scopes.append(set() if is_function else attributes)
            body += _as_list(self.visit(statement))
            self._scopes.pop()
        node.body = body
        return node

    def _function(self, node: "ast.FunctionDef | ast.AsyncFunctionDef") -> ast.stmt:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args = self.visit(node.args)
        self._scopes.append(_local(node))
        node.body = [new for statement in node.body for new in _as_list(self.visit(statement))] or [ast.Pass()]
        self._scopes.pop()
        return node

    def _comprehension(self, node: ast.expr) -> ast.expr:
        bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self._scopes.append(bound)
        self.generic_visit(node)
        self._scopes.pop()
        return node


def _binds(statement: ast.stmt) -> list[str]:
    """Names that a statement gives a meaning, imports aside."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.ImportFrom | ast.Import):
        return []
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _only_for_types(statement: ast.stmt) -> bool:
    """`if TYPE_CHECKING:`, its definition, its import, and the docstring."""
    if isinstance(statement, ast.ImportFrom):
        statement.names = [alias for alias in statement.names if alias.name != TYPE_CHECKING]
        return not statement.names
    if isinstance(statement, ast.If):
        return isinstance(statement.test, ast.Name) and statement.test.id == TYPE_CHECKING
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return _binds(statement) == [TYPE_CHECKING]


def _arguments(args: ast.arguments) -> list[ast.arg]:
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return every + [one for one in (args.vararg, args.kwarg) if one is not None]


def _local(function: "ast.FunctionDef | ast.AsyncFunctionDef") -> set[str]:
    """Names that are a function's own variables."""
    names = {argument.arg for argument in _arguments(function.args)}
    outer: set[str] = set()
    for statement in function.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                names.add(node.name)
            elif isinstance(node, ast.ImportFrom | ast.Import):
                names.update(alias.asname or alias.name for alias in node.names)
            elif isinstance(node, ast.Global):
                outer.update(node.names)
    return names - outer


def _local_anywhere(statement: ast.stmt) -> set[str]:
    functions = [n for n in ast.walk(statement) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {name for function in functions for name in _local(function)}


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    has = body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return (body[1:] if has else body) or [ast.Pass()]


def _as_list(found: object) -> list[ast.stmt]:
    if found is None:
        return []
    return found if isinstance(found, list) else [found]  # type: ignore[list-item]


def _imported_from(body: list[ast.stmt], module: str) -> set[str]:
    nodes = [n for s in body for n in ast.walk(s) if isinstance(n, ast.ImportFrom) and n.module == module]
    return {alias.name for node in nodes for alias in node.names}


def _used(body: list[ast.stmt], roots: set[str], keep_all: bool = False) -> list[ast.stmt]:
    """What is reached from the roots and from statements that do something when they are loaded."""
    reads = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} for s in body]
    binds = [set(_binds(s)) | _import_names(s) for s in body]
    kept = [not bound or (keep_all and not _import_names(s)) for s, bound in zip(body, binds, strict=True)]
    wanted = set(roots).union(*(read for read, keep in zip(reads, kept, strict=True) if keep))
    grown = True
    while grown:
        grown = False
        for at in range(len(body)):
            if not kept[at] and binds[at] & wanted:
                kept[at] = grown = True
                wanted |= reads[at]
    return [s for s, keep in zip(body, kept, strict=True) if keep]


def _import_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.ImportFrom | ast.Import):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    return set()


def _once(body: list[ast.stmt]) -> list[ast.stmt]:
    """Without imports that stand there twice."""
    seen: set[str] = set()
    left = []
    for statement in body:
        text = ast.unparse(statement) if isinstance(statement, ast.ImportFrom | ast.Import) else ""
        if text not in seen or not text:
            left.append(statement)
            seen.add(text)
    return left


def _text(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, []))) + "\n"
