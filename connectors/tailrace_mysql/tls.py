"""How a connection is encrypted: the url's ssl-mode and certificates as a context of Python's `ssl`."""

from __future__ import annotations

import ssl
from pathlib import Path

from tailrace.errors import ConfigError
from tailrace_mysql.address import Tls


def context(tls: Tls) -> ssl.SSLContext | None:
    """Return the context for a connection that must be encrypted, None where it need not (`DISABLED`, `PREFERRED`).

    Raises `ConfigError` for certificates that cannot be read.
    """
    if tls.mode in {"DISABLED", "PREFERRED"}:
        return None
    for path in filter(None, (tls.ca, tls.capath, tls.certificate, tls.key)):
        if not Path(path).exists():
            raise ConfigError(f"the url names a certificate that is not there: {path}")
    try:
        return _context(tls)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"the url names certificates that cannot be used: {error}") from error


def _context(tls: Tls) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=tls.ca or None, capath=tls.capath or None)
    made.check_hostname = tls.mode == "VERIFY_IDENTITY"
    if tls.mode == "REQUIRED":
        made.verify_mode = ssl.CERT_NONE
    # Certificates that MySQL makes for itself lack what newer Pythons insist on.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.certificate:
        made.load_cert_chain(tls.certificate, tls.key or None)
    return made
