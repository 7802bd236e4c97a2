"""What `tailrace check` finds out about a cluster: version, grants, blocks, and what is in the way of our names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from tailrace.errors import TailraceError
from tailrace.source import Finding
from tailrace_search.catalog import Product
from tailrace_search.client import Client
from tailrace_search.ledger import Entry, Ledger
from tailrace_search.settings import ClusterConfig

OLDEST = {"opensearch": (1, 0), "elasticsearch": (7, 10)}
_PROBE = "tailrace-check"


def inspect(client: Client, config: ClusterConfig) -> Sequence[Finding]:
    """Return all findings; where the cluster cannot be reached there is one."""
    try:
        product = Product.of(client.request("GET", "/"))
    except TailraceError as error:
        return [Finding(ok=False, what=error.message, mend=error.hint)]
    findings = list(_product(product, config))
    for look in (_grants, _blocks, _templates):
        try:
            findings += look(client, config)
        except TailraceError as error:
            findings.append(Finding(ok=False, what=error.message, mend=error.hint))
    return findings


def _product(product: Product, config: ClusterConfig) -> Iterator[Finding]:
    told = f"{product.name} {'.'.join(map(str, product.version))}"
    oldest = OLDEST[product.name]
    if product.version < oldest:
        wanted = ".".join(map(str, oldest))
        yield Finding(ok=False, what=f"cluster is {told}", mend=f"upgrade it to {wanted} or later")
    elif product.name != config.type:
        yield Finding(ok=True, what=f"cluster is {told}, not {config.type} as the config says; both are served alike")
    else:
        yield Finding(ok=True, what=f"cluster is {told}")
    if config.json_as == "flat" and not product.flat:
        mend = "set json_as: object or text, or upgrade the cluster"
        yield Finding(ok=False, what="cluster has no flattened fields: JSON would be kept, and not be found", mend=mend)


def _grants(client: Client, config: ClusterConfig) -> Iterator[Finding]:
    """Write to the ledger, under a name of our own: the only way to know that works with every security plug-in."""
    ledger = Ledger(client, config.index_prefix)
    ledger.save(Entry(_PROBE, seen=ledger.load(_PROBE).seen))
    ledger.forget(_PROBE)
    yield Finding(ok=True, what="user can create indexes and write to them")


def _blocks(client: Client, config: ClusterConfig) -> Iterator[Finding]:
    path = f"/{config.index_prefix}*/_settings/index.blocks.*?flat_settings=true&expand_wildcards=open"
    answer = client.request("GET", path)
    for index, told in (answer.json if answer.status == 200 else {}).items():
        blocks = [name for name, value in told["settings"].items() if value == "true"]
        if blocks:
            mend = "free disk space on its nodes, then set it to null; the cluster sets it when a disk is nearly full"
            yield Finding(ok=False, what=f"index {index} is blocked: {', '.join(blocks)}", mend=mend)


def _templates(client: Client, config: ClusterConfig) -> Iterator[Finding]:
    answer = client.request("GET", "/_index_template")
    if answer.status != 200:
        yield Finding(ok=False, what=f"list templates: {answer.status} {answer.reason}", mend="grant it to the user")
        return
    for found in answer.json["index_templates"]:
        name, told = found["name"], found["index_template"]
        mine = name.startswith("tailrace-")
        if mine or told.get("priority", 0) < 200:
            continue
        patterns = told["index_patterns"]
        if any(_overlap(pattern, topic) for pattern in patterns for topic in config.topics):
            mend = "give it a priority below 200, or set index_prefix"
            yield Finding(ok=False, what=f"template {name} is for the same indexes: {', '.join(patterns)}", mend=mend)


def _overlap(pattern: str, topic: str) -> bool:
    """Say whether a template's pattern and a glob of topics may have a name in common; exact where one has no star."""
    topic = topic.lower()
    of_ours, of_its = topic.replace("*", "x") + "-000001", pattern.replace("*", "x")
    return fnmatchcase(of_ours, pattern) or fnmatchcase(of_its, topic + "*")
