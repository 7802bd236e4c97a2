"""Builds the compiled core, as pyproject.toml has it told. Never imported at run time: setuptools is not there then."""

from __future__ import annotations

from Cython.Distutils.build_ext import build_ext
from setuptools import Extension
from setuptools.errors import CCompilerError, CompileError, ExecError, LinkError, PlatformError


class BuildCore(build_ext):
    """Says what is missing where there is no compiler: the compiler's own errors end in a page of commands."""

    def initialize_options(self) -> None:
        """Set what the .pyx files are written for."""
        super().initialize_options()
        self.cython_include_path = ["framework"]
        self.cython_directives = {"language_level": 3, "cdivision": True, "wraparound": False}
        self.cython_c_in_temp = True

    def build_extension(self, ext: Extension) -> None:
        """Build one extension; without debugging symbols, which take longer than the rest."""
        ext.extra_compile_args = ["-g0", *(ext.extra_compile_args or [])]
        super().build_extension(ext)

    def run(self) -> None:
        """Build all extensions."""
        try:
            super().run()
        except (CCompilerError, CompileError, ExecError, LinkError, PlatformError) as error:
            message = (
                f"cannot build tailrace's compiled core: {error}\n"
                "it needs a C compiler and Python's headers; Debian, Ubuntu: apt install gcc python3-dev; "
                "Fedora: dnf install gcc python3-devel; Alpine: apk add gcc musl-dev python3-dev; "
                "macOS: xcode-select --install"
            )
            raise SystemExit(message) from error
