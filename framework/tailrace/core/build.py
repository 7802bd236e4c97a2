"""Builds the compiled core, as pyproject.toml has it told. Never imported at run time: setuptools is not there then."""

from __future__ import annotations

import os

from Cython.Build.Dependencies import cythonize
from Cython.Distutils.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, LinkError, PlatformError

DIRECTIVES = {"language_level": 3, "cdivision": True, "wraparound": False}
"""What the .pyx files are written for."""


class BuildCore(build_ext):
    """Says what is missing where there is no compiler: the compiler's own errors end in a page of commands."""

    def initialize_options(self) -> None:
        """Let as many compilers run at once as there are processors."""
        super().initialize_options()
        self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        """Build all extensions: to C one after the other, Cython having no threads; and then all of it at once."""
        translated = cythonize(
            self.extensions, include_path=["framework"], build_dir=self.build_temp, compiler_directives=DIRECTIVES,
            force=self.force, quiet=self.verbose == 0,
        )  # fmt: skip
        for ext, made in zip(self.extensions, translated, strict=True):
            ext.sources = made.sources
            # Without debugging symbols, which take longer than the rest.
            ext.extra_compile_args = ["-g0", *(ext.extra_compile_args or [])]
        super().build_extensions()

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
