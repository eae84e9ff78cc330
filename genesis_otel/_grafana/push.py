"""Pushes dashboards, data source, contact point and alert rules to an existing Grafana, and pulls edits made in the browser back into files.

In: a `Grafana`, a folder of files, where ClickHouse is. Out: a plan, which is what a push would do; the push; files. Promise: a
push that changes nothing writes nothing; what somebody saved in the browser is never lost without ``overwrite``; a push writes
everything or, if something stands in its way, nothing. On failure: `GrafanaError`.

How edits are recognised: for a dashboard, by its history. A push records in the version's message that it was a push, and of which
content, so a newest version with another message was saved by somebody else. The content alone would not do, because Grafana migrates
it to its own schema. Rules have no history: an annotation that notifications leave out holds the digests of the rule that was pushed, and of
its group, which are its interval and the uids of its rules.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from genesis_otel import __version__
from genesis_otel._grafana import contact
from genesis_otel._grafana.api import Grafana
from genesis_otel._grafana.files import (
    DATASOURCE,
    MARK,
    PLUGIN,
    Dashboard,
    GrafanaError,
    RuleGroup,
    as_json,
    digest,
    in_order_of,
    plain_dashboard,
    plain_rule,
    replaced,
    to_file,
)
from genesis_otel._store.errors import split_url

DATA_SOURCE = "data source"
_PUSHED = re.compile(r"genesis-otel \S+, content ([0-9a-f]{16})")

Write = Callable[[], None]


class State(str, Enum):
    """How a push finds an item."""

    NEW = "new"
    SAME = "unchanged"
    CHANGED = "changed"
    EDITED = "edited in Grafana"
    PROVISIONED = "provisioned from a file"


class Item(NamedTuple):
    """One thing to push: its present and its future state."""

    kind: str
    name: str
    state: State
    theirs: str
    ours: str
    write: Write | None
    """None: there is nothing to write, or it is not ours to write."""


class Wanted(NamedTuple):
    """What should be in Grafana."""

    folder: str
    datasource: str
    clickhouse: str | None
    """The URL for which the data source is created; None: it exists and is used as it is."""
    settings: Mapping[str, Any]
    """Further settings of the data source."""
    dashboards: Sequence[Dashboard]
    rules: Sequence[RuleGroup]
    contact: Sequence[Mapping[str, Any]] = ()
    """The integrations of the contact point; if empty, it is left as it is."""


def plan(grafana: Grafana, wanted: Wanted, *, overwrite: bool = False) -> list[Item]:
    """What a push would do, in that order. Only reads."""
    there = grafana.folder(wanted.folder) is not None
    title = wanted.folder[:1].upper() + wanted.folder[1:]
    made = as_json({"uid": wanted.folder, "title": title})
    items = [
        Item(
            "folder",
            wanted.folder,
            State.SAME if there else State.NEW,
            made if there else "",
            made,
            None if there else partial(grafana.make_folder, wanted.folder, title),
        )
    ]
    items.append(_datasource(grafana, wanted, overwrite))
    items += [_dashboard(grafana, wanted, each, overwrite) for each in wanted.dashboards]
    stored = grafana.contact_point(contact.NAME)
    if wanted.contact:
        items.append(_contact(grafana, wanted.contact, stored, overwrite))
    # Grafana refuses a rule whose receiver does not exist. Once the receiver exists, a push without its settings keeps it.
    receiver = contact.RECEIVER if wanted.contact or stored else None
    items += [_rules(grafana, wanted, each, there, receiver) for each in wanted.rules]
    return items


def refuse_edited(items: Sequence[Item]) -> None:
    """Stop before overwriting something that is not ours.

    :raises GrafanaError: something was edited in the browser.
    """
    edited = [f"{each.kind} {each.name}" for each in items if each.state is State.EDITED]
    if edited:
        as_it_is = [each.name for each in items if each.state is State.EDITED and each.kind == DATA_SOURCE]
        raise GrafanaError(
            f"edited in Grafana, not by a push, so nothing was written: {', '.join(edited)}. See the edits with genesis-otel "
            "grafana diff, keep them with genesis-otel grafana pull --to FOLDER, or discard them with push --overwrite"
            + "".join(f"; --datasource-uid {uid} uses the data source unchanged" for uid in as_it_is)
        )


def push(items: Sequence[Item], *, overwrite: bool = False) -> Iterator[Item]:
    """Write what is new or changed, and yield each item when it is done.

    :raises GrafanaError: something was edited in the browser, and ``overwrite`` is not set; then nothing is written.
    """
    if not overwrite:
        refuse_edited(items)
    for each in items:
        if each.write:
            each.write()
            yield each


def differences(items: Sequence[Item]) -> Iterator[str]:
    """What a push would change, as a unified diff from what is in Grafana to the files."""
    for each in items:
        if each.theirs == each.ours or each.state in (State.SAME, State.PROVISIONED):
            continue
        name = f"{each.kind}/{each.name}"
        yield from difflib.unified_diff(
            each.theirs.splitlines(keepends=True),
            each.ours.splitlines(keepends=True),
            f"grafana/{name}" + (f"\t({each.state.value})" if each.state is State.EDITED else ""),
            f"files/{name}",
        )


# --- each kind --------------------------------------------------------------------------------------------------------


def datasource_of(url: str, uid: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The data source for a ClickHouse, in the API's form; ``settings`` is the rest of its ``jsonData``.

    :raises StoreError: the URL is not a server's.
    """
    parts = split_url(url)
    secure = parts.scheme == "https"
    database = parts.path.strip("/") or "default"
    return {
        "uid": uid,
        "name": "ClickHouse" if uid == DATASOURCE else uid,
        "type": PLUGIN,
        "access": "proxy",
        "jsonData": {
            **settings,
            "host": parts.hostname,
            "port": parts.port or (8443 if secure else 8123),
            "protocol": "http",
            "secure": secure,
            "username": parts.username or "default",
            "defaultDatabase": database,
            **{
                kind: {**settings[kind], "defaultDatabase": database}
                for kind in ("traces", "logs")
                if isinstance(settings.get(kind), Mapping)
            },
        },
        "secureJsonData": {"password": parts.password or ""},
    }


def _datasource(grafana: Grafana, wanted: Wanted, overwrite: bool) -> Item:
    item = partial(Item, DATA_SOURCE, wanted.datasource)
    there = grafana.datasource(wanted.datasource)
    if wanted.clickhouse is None:
        if there is None:
            raise GrafanaError(
                f"there is no data source {wanted.datasource!r}: its uid is in the address of its page in Grafana"
            )
        if there.get("type") != PLUGIN:
            raise GrafanaError(f"the data source {wanted.datasource!r} is not a {PLUGIN} but a {there.get('type')}")
        return item(State.SAME, "", "", None)
    ours = datasource_of(wanted.clickhouse, wanted.datasource, wanted.settings)
    visible = {key: value for key, value in ours.items() if key != "secureJsonData"}
    if there is None:
        # Names are unique, and a ClickHouse of another kind of data may well have this one.
        if grafana.has_datasource_named(ours["name"]):
            ours["name"] = visible["name"] = wanted.datasource
        return item(State.NEW, "", as_json(visible), partial(grafana.make_datasource, ours))
    # Only our own settings are compared and changed; whatever else was set in the browser stays.
    settings = there.get("jsonData") or {}
    ours["name"] = visible["name"] = there["name"]
    kept = {key: settings[key] for key in ours["jsonData"] if key in settings}
    theirs = in_order_of({**{key: there.get(key) for key in visible}, "jsonData": kept}, visible)
    text = as_json(theirs)
    ours["jsonData"] = {**settings, **ours["jsonData"]}
    write = partial(grafana.change_datasource, {**ours, "isDefault": bool(there.get("isDefault"))})
    if there.get("readOnly"):
        return item(State.PROVISIONED, text, as_json(visible), None)
    if theirs == visible:
        # An existing password cannot be read, so it is sent again only when overwriting is asked for.
        return item(State.SAME, text, text, write if overwrite else None)
    return item(State.EDITED, text, as_json(visible), write)


def _dashboard(grafana: Grafana, wanted: Wanted, file: Dashboard, overwrite: bool) -> Item:
    item = partial(Item, "dashboard", file.uid)
    ours = plain_dashboard(replaced(file.model, DATASOURCE, wanted.datasource))
    content = digest(ours)
    message = f"genesis-otel {__version__}, content {content}"
    there = grafana.dashboard(file.uid)
    if there is None:
        save = partial(grafana.save_dashboard, {**ours, "id": None}, wanted.folder, message, overwrite=False)
        return item(State.NEW, "", as_json(ours), save)
    theirs = in_order_of(plain_dashboard(there["dashboard"]), ours)
    texts = as_json(theirs), as_json(ours)
    meta = there.get("meta") or {}
    if theirs == ours:
        return item(State.SAME, *texts, None)
    if meta.get("provisioned"):
        return item(State.PROVISIONED, *texts, None)
    pushed = _PUSHED.fullmatch(grafana.last_message(file.uid))
    if pushed and pushed[1] == content:  # any difference is Grafana's own doing
        return item(State.SAME, *texts, None)
    version = there["dashboard"].get("version", meta.get("version"))
    # It stays in whatever folder it was moved to, and is saved only on top of the version that was compared.
    save = partial(
        grafana.save_dashboard,
        {**ours, "id": None, "version": version},
        str(meta.get("folderUid") or ""),
        message,
        overwrite=overwrite,
    )
    return item(State.CHANGED if pushed else State.EDITED, *texts, save)


def _contact(
    grafana: Grafana, ours: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]], overwrite: bool
) -> Item:
    item = partial(Item, "contact point", contact.NAME)
    known = {str(each.get("uid")): each for each in there}
    differ = [each for each in ours if not (each["uid"] in known and contact.is_same(each, known[each["uid"]]))]
    theirs = [known[each["uid"]] for each in ours if each["uid"] in known]
    texts = as_json(contact.shown(theirs)) if theirs else "", as_json(contact.shown(ours))

    def save() -> None:
        # An existing secret cannot be read, so, like a password, it is sent again only when overwriting is asked for.
        for each in ours if overwrite else differ:
            grafana.save_integration(each, there=each["uid"] in known)

    if any(each.get("provenance") == "file" for each in theirs):
        return item(State.PROVISIONED, *texts, None)
    if not differ:
        return item(State.SAME, texts[1], texts[1], save if overwrite else None)
    if not theirs:
        return item(State.NEW, *texts, save)
    edited = any(not each.get("provenance") for each in theirs)
    return item(State.EDITED if edited else State.CHANGED, *texts, save)


def _rules(
    grafana: Grafana, wanted: Wanted, file: RuleGroup, folder_is_there: bool, receiver: Mapping[str, Any] | None
) -> Item:
    item = partial(Item, "alert rules", file.name)
    there = grafana.rule_group(wanted.folder, file.name) if folder_is_there else None
    current = {str(rule["uid"]): rule for rule in (there or {}).get("rules") or []}
    plain = {
        str(rule["uid"]): plain_rule(replaced(rule, DATASOURCE, wanted.datasource))
        for rule in map(_with_range, file.rules)
    }
    if receiver:
        plain = {uid: {**rule, "notification_settings": dict(receiver)} for uid, rule in plain.items()}
    before = {uid: in_order_of(plain_rule(rule), plain.get(uid)) for uid, rule in current.items() if uid in plain}
    ours = {"interval": file.interval, "rules": list(plain.values())}
    theirs = {"interval": (there or {}).get("interval"), "rules": [before[uid] for uid in plain if uid in before]}
    texts = as_json(theirs) if there else "", as_json(ours)
    provenances = {str(rule.get("provenance") or "") for rule in current.values()}
    if there and theirs == ours:
        return item(State.SAME, *texts, None)
    if provenances - {"", "api"}:
        return item(State.PROVISIONED, *texts, None)
    marked = [
        {
            **rule,
            "orgID": 1,
            "folderUID": wanted.folder,
            "ruleGroup": file.name,
            "annotations": {**rule["annotations"], MARK: f"{digest(rule)} {_of_group(file.interval, plain)}"},
        }
        for rule in plain.values()
    ]
    # The call replaces the whole group, so rules that somebody else added to it are sent along.
    others = [rule for uid, rule in current.items() if uid not in plain]
    group = {
        "title": file.name,
        "folderUid": wanted.folder,
        "interval": file.interval,
        "rules": [*marked, *others],
    }
    save = partial(grafana.save_rule_group, wanted.folder, group, editable="api" not in provenances)
    if not before:
        return item(State.NEW, *texts, save)
    marks = {uid: str((rule.get("annotations") or {}).get(MARK) or "").split() for uid, rule in current.items()}
    # The marks of an earlier version have no word about the group.
    groups = {mark[1] for mark in marks.values() if len(mark) > 1}
    edited = any(before[uid] != plain[uid] and marks[uid][:1] != [digest(before[uid])] for uid in before) or not (
        groups <= {_of_group((there or {}).get("interval"), [uid for uid, mark in marks.items() if mark])}
    )
    return item(State.EDITED if edited else State.CHANGED, *texts, save)


def _of_group(interval: Any, uids: Iterable[str]) -> str:
    return digest([interval, sorted(uids)])


def _with_range(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {**rule, "data": [{"relativeTimeRange": {"from": 0, "to": 0}, **query} for query in rule["data"]]}


# --- back into files --------------------------------------------------------------------------------------------------


def pull(grafana: Grafana, wanted: Wanted, to: Path) -> Iterator[tuple[Path, bool]]:
    """Write what is in Grafana to files under ``to``, and yield each file with whether its text has changed.

    A dashboard or rules file with the same content as ours keeps our file's text to the letter.
    """
    for file in wanted.dashboards:
        there = grafana.dashboard(file.uid)
        if there is not None:
            ours = plain_dashboard(file.model)
            theirs = in_order_of(plain_dashboard(replaced(there["dashboard"], wanted.datasource, DATASOURCE)), ours)
            pushed = _PUSHED.fullmatch(grafana.last_message(file.uid)) if theirs != ours else None
            untouched = pushed and pushed[1] == digest(
                plain_dashboard(replaced(file.model, DATASOURCE, wanted.datasource))
            )
            same = theirs == ours or bool(untouched)
            text = file.path.read_text(encoding="utf-8") if same else as_json(theirs)
            yield _written(to / "dashboards" / file.path.name, text)
    for path in dict.fromkeys(group.path for group in wanted.rules):
        groups = [group for group in wanted.rules if group.path == path]
        found = [(group, grafana.rule_group(wanted.folder, group.name)) for group in groups]
        if any(there for _, there in found):
            yield _written(to / "provisioning" / "alerting" / path.name, _rules_file(path, found, wanted.datasource))


def _rules_file(path: Path, found: Sequence[tuple[RuleGroup, dict[str, Any] | None]], datasource: str) -> str:
    """The text of a provisioning file with the rules as they are in Grafana: thresholds, pauses, texts."""
    import yaml

    text = path.read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    changed = False
    for group, there in found:
        if there is None:
            continue
        (written,) = (each for each in document["groups"] if each["name"] == group.name)
        current = {
            str(rule["uid"]): _without_receiver(replaced(rule, datasource, DATASOURCE)) for rule in there["rules"]
        }
        ours = {str(rule["uid"]): plain_rule(_with_range(rule)) for rule in group.rules}
        if there.get("interval") != group.interval:
            written["interval"], changed = f"{there['interval']}s", True
        kept = [rule for rule in written["rules"] if str(rule["uid"]) in current]
        changed |= kept != written["rules"]
        written["rules"] = kept
        for position, rule in enumerate(kept):
            uid = str(rule["uid"])
            if plain_rule(current[uid]) != ours[uid]:
                kept[position], changed = in_order_of(to_file(current[uid]), rule), True
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120) if changed else text


def _without_receiver(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without the receiver that a push adds: the file is also for Grafanas without it."""
    ours = plain_rule(rule).get("notification_settings") == contact.RECEIVER
    return {key: value for key, value in rule.items() if not (ours and key == "notification_settings")}


def _written(path: Path, text: str) -> tuple[Path, bool]:
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if text != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path, text != before
