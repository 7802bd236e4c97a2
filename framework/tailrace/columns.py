"""Settings: which columns of the captured tables are told, and which of them in disguise.

Columns are named by globs of `schema.table.column`, in which `*` stands for anything, dots included. What is done with
a column, `tailrace.codec.projection` knows.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MASK_CHARACTER = "*"

_Mask = Annotated[int, Field(ge=0, le=65_536)]
_Length = Annotated[int, Field(ge=1, le=2**31 - 1)]


class HashRule(BaseModel):
    """How a text becomes its hash: hexadecimal digits of `algorithm` over the salt and the text, both in UTF-8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512"] = "sha256"
    salt: SecretStr = Field(min_length=1)


class ColumnRules(BaseModel):
    """`columns:` of a connector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include: list[str] = Field(
        [], description="globs of the columns to tell, schema.table.column; all if not set. Keys are always told"
    )
    exclude: list[str] = Field([], description="globs of columns to leave out")
    mask: dict[str, _Mask] = Field(
        {}, description="by glob, the number of asterisks to write in place of a text: `{public.users.email: 12}`"
    )
    hash: dict[str, HashRule] = Field(
        {},
        description="by glob, how a text is hashed: `{algorithm: sha256, salt: …}`; algorithms are md5, sha1, sha224, "
        "sha256, sha384, sha512, sha3_256, sha3_512",
    )
    truncate: dict[str, _Length] = Field({}, description="by glob, the most characters of a text to write")

    def patterns(self) -> list[tuple[str, str]]:
        """Return all globs, each behind the name of its setting."""
        settings = {"include": self.include, "exclude": self.exclude} | {
            "mask": list(self.mask), "hash": list(self.hash), "truncate": list(self.truncate)
        }  # fmt: skip
        return [(setting, pattern) for setting, patterns in settings.items() for pattern in patterns]
