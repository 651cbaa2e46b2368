"""A module table per app, so that apps with equal module names run in one process.

In Azure an app has a process of its own and imports `function_app`, `helpers`, `shared` as it
likes. Here the modules found in an app's folder are that app's alone: its import statements, also
those inside functions, go through the app's own table. What is installed, and what the host itself
runs on, is shared. A packaged service of this platform carries its own copy of `shared`; it runs on
the host's, because what the host offers it (errors, ports) must be the same classes.
"""

import builtins
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_LOCK: Final = threading.RLock()
_HOST_PACKAGE: Final = "shared"
_HOST_MARK: Final = Path(_HOST_PACKAGE, "composition", "embedded.py")


class ModuleTable(MetaPathFinder):
    """The modules of one app's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}
        self._owned: dict[str, bool] = {}
        self._is_platform = (folder / _HOST_MARK).exists()

    def load(self, module: str) -> ModuleType:
        """Import *module* of the folder anew and return it; raises what the import raises."""
        with self._in_place():
            return importlib.import_module(module)

    def owns(self, name: str) -> bool:
        """Return whether the module *name* is this app's own rather than installed."""
        top = name.partition(".")[0]
        if (known := self._owned.get(top)) is None:
            known = self._owned[top] = self._holds(top)
        return known

    def _holds(self, top: str) -> bool:
        if top in sys.stdlib_module_names or (self._is_platform and top == _HOST_PACKAGE):
            return False
        package = self._folder / top
        return (self._folder / f"{top}.py").exists() or next(package.glob("*.py"), None) is not None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if not self.owns(name):
            return None
        spec = PathFinder.find_spec(name, path if path is not None else [str(self._folder)])
        if spec is not None and spec.loader is not None:
            spec.loader = _WithOwnImports(spec.loader, self)
        return spec

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Put this app's modules where the import system looks, and take them out again."""
        with _LOCK:
            others = {name: sys.modules.pop(name) for name in list(sys.modules) if self.owns(name)}
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self)
            sys.path.insert(0, str(self._folder))
            importlib.invalidate_caches()
            try:
                yield
            finally:
                sys.path.remove(str(self._folder))
                sys.meta_path.remove(self)
                self._modules = {name: m for name, m in sys.modules.items() if self.owns(name)}
                # What looks a module up by name (pickle, lazy type hints) finds the first app's.
                sys.modules.update(others)

    def import_for_app(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  the signature of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what `__import__` does, with this app's modules."""
        package = (globals or {}).get("__package__") or ""
        full = importlib.util.resolve_name("." * level + name, package) if level else name
        if not self.owns(full):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self._modules.get(full)
        if module is not None and sys.meta_path[0] is not self:
            if not fromlist:
                return self._modules[full.partition(".")[0]]
            if all(hasattr(module, wanted) for wanted in fromlist):
                return module
        if sys.meta_path[0] is self:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        with self._in_place():
            return builtins.__import__(name, globals, locals, fromlist or (), level)


class _WithOwnImports(Loader):
    """Loads as *loader* does, but the module's import statements ask *table* first."""

    def __init__(self, loader: Any, table: ModuleTable) -> None:
        self._loader = loader
        self._table = table

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        own = {**vars(builtins), "__import__": self._table.import_for_app}
        module.__dict__["__builtins__"] = own
        self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        """Give resource readers and tracebacks the rest of the real loader."""
        return getattr(self._loader, name)
