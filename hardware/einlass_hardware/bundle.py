"""Joins the firmware's modules into a few, with what a board never uses left out, so that they fit into its heap.

Every module costs a board a name space, every `from x import a` an entry in it, every constant an entry and a string.
So: names are resolved here instead of on the board, constants become the numbers and words they stand for, and what is
only for type checkers, for a host's Python or for nobody is dropped. A module that is imported only within functions
stays a module of its own, because it is meant to be loaded late or not at all.

The result is Python text, kept beside the byte code. A board's traceback names the functions in it, which keep their
names (or get their module's behind it, where two modules use the same).
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from einlass_hardware.leave_out import leave_out
from einlass_hardware.shorten import shorten

WORD_LENGTH_MAX = 10  # longer texts are objects of their own in byte code, so they are not repeated
TYPE_CHECKING = "TYPE_CHECKING"
# The names that it binds would be taken for unused ones.
LOOPS = (ast.For, ast.While)
# What only a program for two Pythons asks, answered for the board's.
KNOWN = {"sys.implementation.name": "micropython"}


class BundleError(ValueError):
    """The modules cannot be joined; the text says what to change."""


def plain(path: Path) -> ast.Module:
    """A source file without annotations and docstrings, and with what is known of the board's Python answered."""
    tree: ast.Module = _Known().visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return tree


@dataclass
class Module:
    """One source file. imports: what a name of its top level stands for in another module: (module, name or None)."""

    name: str
    body: list[ast.stmt]
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


class Bundle:
    """`texts`: a text for each module that the program imports, and for each that is loaded late within a function.

    A text holds its module with everything that this needs and that is in no earlier one. paths: the source file of
    every module there is; those that nothing leads to are left out.
    """

    def __init__(self, program: Path, paths: dict[str, Path]) -> None:
        self._paths = paths
        self._modules: dict[str, Module] = {}
        self._constants: dict[tuple[str, str], ast.Constant] = {}
        self._home: dict[str, str] = {}  # in which text a module's content is
        self._needed: dict[str, dict[str, str]] = {}  # for each text: names from others, and from which
        self._groups = self._gather(program)
        bodies = {name: module.body for name, module in self._modules.items()}
        leave_out(bodies, {name: module.imports for name, module in self._modules.items()})
        for module in self._modules.values():
            module.defined = {name for statement in module.body for name in _binds(statement)}
        shorten(bodies, self._bases())
        for group in self._groups.values():
            for module in group:
                self._take_constants(module)
        self._names = self._choose_names()
        texts = {home: _joined_words(self._rewrite(home, group)) for home, group in self._groups.items()}
        self.texts: dict[str, ast.Module] = {}
        for home in reversed(texts):  # The last first: what it needs of the others is wanted there.
            public = {self._names[home, name] for name in self._modules[home].defined if not name.startswith("_")}
            public = {name for key, name in self._names.items() if name in public and key not in self._constants}
            used = _used(texts[home], public.union(*(_imported_from(other, home) for other in texts.values())))
            texts[home] = _with_imports_joined(used)
            self.texts[home] = ast.Module(texts[home], [])

    # -- reading

    def _gather(self, program: Path) -> dict[str, list[Module]]:
        """The modules of each text, in the order in which they are loaded."""
        groups: dict[str, list[Module]] = {}
        nodes = ast.walk(ast.parse(program.read_text(encoding="utf-8"), str(program)))
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        heads = [target for node in imports for target, _ in self._targets(node) if target in self._paths]
        while heads:
            head = heads.pop(0)
            if head in self._home:
                continue
            groups[head] = []
            self._load(head, head, groups[head], [])
            for module in groups[head]:
                heads += [name for name in self._imported_late(module) if name not in self._home]
        return groups

    def _load(self, name: str, home: str, group: list[Module], under_way: list[str]) -> None:
        if name in under_way:
            raise BundleError(f"modules import each other in a circle: {' -> '.join([*under_way, name])}")
        if name in self._home:
            return
        module = self._read(name)
        for statement in module.body:
            if isinstance(statement, ast.ImportFrom | ast.Import):
                for (target, inner), alias in zip(self._targets(statement), statement.names, strict=True):
                    module.imports[alias.asname or alias.name] = (target, inner)
                    if target in self._paths:
                        self._load(target, home, group, [*under_way, name])
        self._home[name] = home
        self._modules[name] = module
        group.append(module)

    def _read(self, name: str) -> Module:
        tree = plain(self._paths[name])
        module = Module(name, [s for s in tree.body if not _only_for_types(s)])
        for statement in module.body:
            if isinstance(statement, LOOPS):
                raise BundleError(f"{name}, line {statement.lineno}: a loop outside of a function; put it into one")
            module.defined.update(_binds(statement))
        return module

    def _imported_late(self, module: Module) -> Iterator[str]:
        for statement in module.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.ImportFrom) and node is not statement:
                    yield from (target for target, _ in self._targets(node) if target in self._paths)

    def _targets(self, node: ast.ImportFrom | ast.Import) -> Iterator[tuple[str, str | None]]:
        """(module, name in it or None) of each thing imported."""
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
            return
        base = node.module or ""
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield (inner, None) if inner in self._paths else (base, alias.name)

    def _bases(self) -> dict[str, set[str]]:
        """For each module the others whose classes its own ones extend."""
        found: dict[str, set[str]] = {}
        for module in self._modules.values():
            bases = [base for s in module.body if isinstance(s, ast.ClassDef) for base in s.bases]
            names = [base.id for base in bases if isinstance(base, ast.Name)]
            found[module.name] = {module.imports[name][0] for name in names if name in module.imports}
        return found

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
            what = value.value
            short = isinstance(what, str | bytes) and len(what) <= WORD_LENGTH_MAX
            return value if isinstance(what, int) or short else None
        if isinstance(value, ast.Name):
            return self._constants.get(module.imports.get(value.id, (module.name, value.id)))  # type: ignore[arg-type]
        if isinstance(value, ast.BinOp):
            left, right = self._fold(module, value.left), self._fold(module, value.right)
            if left is not None and right is not None and type(left.value) is type(right.value) is int:
                whole = ast.Expression(ast.BinOp(left, value.op, right))
                return ast.Constant(eval(compile(ast.fix_missing_locations(whole), "constant", "eval")))
        return None

    def _choose_names(self) -> dict[tuple[str, str], str]:
        """One name space a text: a name that two modules use, or some function's variable too, is made longer."""
        names = {}
        local = {name for module in self._modules.values() for s in module.body for name in _local_anywhere(s)}
        local |= {
            name for m in self._modules.values() for name, (target, _) in m.imports.items() if target not in self._paths
        }
        times = Counter(name for module in self._modules.values() for name in module.defined)
        for module in self._modules.values():
            for name in module.defined:
                clash = (times[name] > 1 or name in local) and module.name not in self._groups
                names[module.name, name] = f"{name}_{module.name.rpartition('.')[2]}" if clash else name
        return names

    # -- writing

    def _rewrite(self, home: str, group: list[Module]) -> list[ast.stmt]:
        body: list[ast.stmt] = []
        for module in group:
            for statement in module.body:
                if isinstance(statement, ast.ImportFrom | ast.Import):
                    body += self.import_left(statement, home)
                    continue
                new = _Resolver(self, module).visit(statement)
                if isinstance(new, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    new.name = self._names[module.name, new.name]
                body.append(new)
        needed = self._needed.get(home, {})
        return [ast.ImportFrom(needed[name], [ast.alias(name)], 0) for name in sorted(needed)] + body

    def import_left(self, node: ast.ImportFrom | ast.Import, home: str) -> list[ast.stmt]:
        """What must still be imported as it stands: what is not ours, and what is loaded late."""
        left: list[ast.stmt] = []
        for (target, name), alias in zip(self._targets(node), node.names, strict=True):
            if target not in self._paths:
                only = [ast.alias(alias.name, alias.asname)]
                left.append(ast.ImportFrom(target, only, 0) if isinstance(node, ast.ImportFrom) else ast.Import(only))
            elif name is None and target in self._groups and self._groups_order(target) > self._groups_order(home):
                package, _, last = target.rpartition(".")
                left.append(ast.ImportFrom(package, [ast.alias(last, alias.asname)], 0))
            elif name is not None and self._groups_order(self._home[target]) > self._groups_order(home):
                left.append(ast.ImportFrom(self._home[target], [ast.alias(self._names[target, name])], 0))
        return left

    def _groups_order(self, home: str) -> int:
        return list(self._groups).index(home)

    def resolve(self, module: Module, name: str) -> ast.expr | None:
        """What a name of this module's top level is in the text; None: unchanged."""
        target, inner = module.imports.get(name, (module.name, name))
        if inner is None:
            return None
        return self._found(module, target, inner)

    def attribute(self, module: Module, name: str, attribute: str) -> ast.expr | None:
        """What module.attribute is in the text, when `name` is one of our modules and loaded by then."""
        target, inner = module.imports.get(name, ("", ""))
        if inner is not None or target not in self._paths:
            return None
        found = self._found(module, target, attribute)
        if found is None:
            raise BundleError(f"{module.name} uses {name}.{attribute}, which {target} does not define")
        return found

    def _found(self, module: Module, target: str, name: str) -> ast.expr | None:
        constant = self._constants.get((target, name))
        if constant is not None:
            return ast.Constant(constant.value)
        new = self._names.get((target, name))
        if new is None:
            return None
        home, other = self._home[module.name], self._home[target]
        if home != other:
            self._needed.setdefault(home, {})[new] = other
        return ast.Name(new, ast.Load())

    def home(self, module: Module) -> str:
        """The text that a module's content is in."""
        return self._home[module.name]


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
        return self._bundle.import_left(node, self._bundle.home(self._module))

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


def _used(body: list[ast.stmt], roots: set[str]) -> list[ast.stmt]:
    """What is reached from the roots and from statements that do something when they are loaded."""
    reads = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} for s in body]
    binds = [set(_binds(s)) | _import_names(s) for s in body]
    kept = [not bound for bound in binds]
    wanted = set(roots).union(*(read for read, keep in zip(reads, kept, strict=True) if keep))
    grown = True
    while grown:
        grown = False
        for at in range(len(body)):
            if not kept[at] and binds[at] & wanted:
                kept[at] = grown = True
                wanted |= reads[at]
    return [s for s, keep in zip(body, kept, strict=True) if keep]


def _joined_words(body: list[ast.stmt]) -> list[ast.stmt]:
    """Sums of texts, one of them by name, as the one text that they are: a board would keep the parts, too."""
    texts = {}
    times = Counter(name for statement in body for name in _binds(statement))
    for statement in body:
        value = statement.value if isinstance(statement, ast.Assign) else None
        name = next(iter(_binds(statement)), "")
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and name.isupper() and times[name] == 1:
            texts[name] = value.value
    joiner = _Joiner(texts)
    return [joiner.visit(statement) for statement in body]


class _Joiner(ast.NodeTransformer):
    """texts: of names that always mean the same."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add):
            left, right = self._text(node.left), self._text(node.right)
            if left is not None and right is not None:
                return ast.Constant(left + right)
        return node

    def _text(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return self._texts.get(node.id)
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _import_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.ImportFrom | ast.Import):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    return set()


def _with_imports_joined(body: list[ast.stmt]) -> list[ast.stmt]:
    """Imports first, one statement a module, each name once."""
    modules: dict[str, None] = {}
    names: dict[str, dict[str, ast.alias]] = {}
    left: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Import):
            modules.update(dict.fromkeys(ast.unparse(alias) for alias in statement.names))
        elif isinstance(statement, ast.ImportFrom):
            wanted = names.setdefault(statement.module or "", {})
            wanted.update({ast.unparse(alias): alias for alias in statement.names})
        else:
            left.append(statement)
    imports: list[ast.stmt] = [s for module in modules for s in ast.parse(f"import {module}").body]
    imports += [ast.ImportFrom(module, list(aliases.values()), 0) for module, aliases in names.items()]
    return imports + left
