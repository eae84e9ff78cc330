"""A Grafana for tests, on loopback: answers as its HTTP API documents, and remembers what it is told.

In: requests of the folder, data source, dashboard, version, plugin and alert provisioning calls. Out: the documented statuses and
bodies, the permission errors of Grafana's access control (pkg/services/accesscontrol/middleware.go) among them. It adds what a
Grafana adds: numbers, versions, a model's defaults, empty fields of a rule. It renders nothing.
Sources: docs/sources/developers/http_api/{dashboard,dashboard_versions,folder,data_source,alerting_provisioning}.md.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.in_thread import Silent, in_thread

TOKEN = "glsa_w4YgDHlHrYTQWzpkVdpkOrzgLhHpIUzH_13b61dd2"
PLUGIN = "grafana-clickhouse-datasource"

Answer = tuple[int, Any]


@dataclass
class StandIn:
    """What a Grafana holds, and what its token lacks."""

    prefix: str = ""
    version: str = "12.4.0"
    plugins: set[str] = field(default_factory=lambda: {PLUGIN})
    lacks: set[str] = field(default_factory=set)
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasources: dict[str, dict[str, Any]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    contact_points: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Integrations by uid; those of one name are one contact point."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    unhealthy: str = ""
    url: str = ""
    between: Any = None
    """Called once before a dashboard is saved: somebody who is quicker."""

    @property
    def written(self) -> list[tuple[str, str]]:
        """The calls that changed something, or tried to."""
        return [call for call in self.asked if call[0] != "GET"]

    def edit(self, uid: str, **fields: Any) -> None:
        """Save a dashboard as its editor in the browser does, with no word about it."""
        model = {**copy.deepcopy(self.dashboards[uid]["dashboard"]), **fields}
        self._save(uid, model, self.dashboards[uid]["meta"]["folderUid"], "")

    def rule(self, uid: str) -> dict[str, Any]:
        """A rule, to be changed in place as the browser does."""
        return next(rule for group in self.groups.values() for rule in group["rules"] if rule["uid"] == uid)

    def _save(self, uid: str, model: dict[str, Any], folder: str, message: str) -> int:
        history = self.messages.setdefault(uid, [])
        history.append(message)
        stored = {**model, "id": 7, "uid": uid, "version": len(history)}
        for panel in stored.get("panels", []):
            panel["pluginVersion"] = self.version
        meta = {"folderUid": folder, "version": len(history), "provisioned": False, "slug": uid, "canSave": True}
        self.dashboards[uid] = {"dashboard": stored, "meta": meta}
        return len(history)

    # --- calls --------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: Any, token: str, headers: dict[str, str]) -> Answer:
        """Status and body for a request."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["health"]:
            return 200, {"database": "ok", "version": self.version, "commit": "abc"}
        if token != TOKEN:
            return 401, {
                "extra": None,
                "message": "Invalid API key",
                "messageId": "api-key.invalid",
                "statusCode": 401,
                "traceID": "",
            }
        if parts[:1] == ["plugins"]:
            known = parts[1] in self.plugins
            return (
                (200, {"id": parts[1], "enabled": True})
                if known
                else (404, {"message": "Plugin not found, no installed plugin with that id"})
            )
        for prefix, call in (
            (["folders"], self._folders),
            (["datasources"], self._datasources),
            (["dashboards"], self._dashboards),
            (["v1", "provisioning", "folder"], self._groups),
            (["v1", "provisioning", "contact-points"], self._contact_points),
        ):
            if parts[: len(prefix)] == prefix:
                return call(method, parts[len(prefix) :], body, headers)
        return 404, {"message": "Not found"}

    def _denied(self, *actions: str) -> Answer | None:
        lacking = [action for action in actions if action in self.lacks]
        if not lacking:
            return None
        needed = lacking[0] if len(actions) == 1 else f"any of {', '.join(actions)}"
        return 403, {
            "accessErrorId": "ACE6316938649",
            "message": f"You'll need additional permissions to perform this action. Permissions needed: {needed}",
            "title": "Access denied",
        }

    def _folders(self, method: str, parts: list[str], body: Any, headers: dict[str, str]) -> Answer:
        if method == "GET":
            found = self.folders.get(parts[0])
            return self._denied("folders:read") or (
                (200, found) if found else (404, {"message": "folder not found", "status": "not-found"})
            )
        denied = self._denied("folders:create")
        if denied:
            return denied
        if body["uid"] in self.folders:
            return 409, {"message": "a folder with the same uid already exists"}
        self.folders[body["uid"]] = {"id": 3, **body, "version": 1}
        return 200, self.folders[body["uid"]]

    def _datasources(self, method: str, parts: list[str], body: Any, headers: dict[str, str]) -> Answer:
        if parts[2:] == ["health"]:
            if self.unhealthy:
                return 400, {"message": self.unhealthy, "status": "ERROR"}
            return 200, {"message": "Data source is working", "status": "OK"}
        if method == "GET":
            field = "name" if parts[0] == "name" else "uid"
            found = next((each for each in self.datasources.values() if each[field] == parts[1]), None)
            return self._denied("datasources:read") or (
                (200, found) if found else (404, {"message": "Data source not found"})
            )
        denied = self._denied("datasources:create" if method == "POST" else "datasources:write")
        if denied:
            return denied
        if method == "POST" and any(each["name"] == body["name"] for each in self.datasources.values()):
            return 409, {"message": "data source with the same name already exists"}
        uid = body["uid"]
        if method == "PUT" and self.datasources[uid]["readOnly"]:
            return 403, {"message": "Cannot update read-only data source"}
        secrets = body.pop("secureJsonData", {})
        self.passwords[uid] = secrets.get("password", self.passwords.get(uid, ""))
        kept = {"id": 1, "orgId": 1, "url": "", "readOnly": False, "secureJsonFields": dict.fromkeys(secrets, True)}
        self.datasources[uid] = {**kept, "isDefault": False, **body}
        return 200, {"id": 1, "message": "Datasource added", "name": body["name"], "datasource": self.datasources[uid]}

    def _dashboards(self, method: str, parts: list[str], body: Any, headers: dict[str, str]) -> Answer:
        if parts[0] == "uid" and method == "GET":
            denied = self._denied("dashboards:read")
            uid = parts[1]
            if denied:
                return denied
            if uid not in self.dashboards:
                return 404, {"message": "Dashboard not found"}
            if parts[2:] == ["versions"]:
                denied = self._denied("dashboards:write")
                versions = [
                    {"id": number, "uid": uid, "version": number, "createdBy": "admin", "message": message}
                    for number, message in enumerate(self.messages.get(uid, []), 1)
                ]
                shown: Any = versions[::-1][:1]
                old = int(self.version.split(".")[0]) < 12
                return denied or (200, shown if old else {"continueToken": "", "versions": shown})
            return 200, self.dashboards[uid]
        denied = self._denied("dashboards:create", "dashboards:write")
        if denied:
            return denied
        if self.between:
            quicker, self.between = self.between, None
            quicker()
        model, uid = body["dashboard"], body["dashboard"]["uid"]
        if body["folderUid"] and body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found", "status": "not-found"}
        there = self.dashboards.get(uid)
        if there and there["meta"]["provisioned"]:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if there and not body["overwrite"] and model.get("version") != there["dashboard"]["version"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        number = self._save(uid, model, body["folderUid"], body.get("message", ""))
        return 200, {"id": 7, "uid": uid, "url": f"/d/{uid}/x", "status": "success", "version": number, "slug": "x"}

    def _contact_points(self, method: str, parts: list[str], body: Any, headers: dict[str, str]) -> Answer:
        if method == "GET":
            redacted = [
                {**each, "settings": {**each["settings"], "url": "[REDACTED]"}} if each["type"] == "slack" else each
                for each in self.contact_points.values()
            ]
            return self._denied("alert.provisioning:read") or (200, redacted)
        denied = self._denied("alert.provisioning:write")
        if denied:
            return denied
        uid = parts[0] if parts else body["uid"]
        if method == "PUT" and uid not in self.contact_points:
            return 404, {"message": "contact point not found"}
        if not any(body["settings"].get(key) for key in ("url", "addresses")):
            return 400, {"message": "could not find url or addresses property in settings"}
        self.contact_points[uid] = {"provenance": "api", "disableResolveMessage": False, **copy.deepcopy(body)}
        return 202, self.contact_points[uid]

    def _groups(self, method: str, parts: list[str], body: Any, headers: dict[str, str]) -> Answer:
        folder, _, name = parts
        there = self.groups.get((folder, name))
        if method == "GET":
            return self._denied("alert.provisioning:read") or (
                (200, there) if there else (404, {"message": "rule group not found"})
            )
        denied = self._denied("alert.provisioning:write")
        if denied:
            return denied
        provenance = "" if "x-disable-provenance" in headers else "api"
        before = {rule["uid"]: rule for rule in (there or {}).get("rules", [])}
        for rule in body["rules"]:
            if not {"uid", "title", "condition", "data", "noDataState", "execErrState", "for", "folderUID"} <= set(
                rule
            ):
                return 400, {"message": "invalid alert rule: a required field is missing"}
            receiver = (rule.get("notification_settings") or {}).get("receiver")
            if receiver and receiver not in {each["name"] for each in self.contact_points.values()}:
                return 400, {"message": f"invalid alert rule: receiver {receiver} does not exist"}
            stored = before.get(rule["uid"], {}).get("provenance", provenance)
            if stored != provenance:
                return 409, {"message": f"cannot change provenance from '{stored}' to '{provenance}'"}
            for query in rule["data"]:
                query.setdefault("queryType", "")
                query["model"] = {"intervalMs": 1000, "maxDataPoints": 43200, **query["model"]}
            rule.update(id=1, orgID=1, updated="2026-11-23T12:00:00Z", provenance=provenance, keep_firing_for="0s")
            if receiver:
                rule["notification_settings"] = {"group_by": None, "mute_time_intervals": None, "receiver": receiver}
            rule.update(record=None, isPaused=bool(rule.get("isPaused")))
            rule.setdefault("notification_settings", None)
            rule["for"] = {"60s": "1m", "300s": "5m"}.get(rule["for"], rule["for"])
        self.groups[folder, name] = body
        return 200, body


@contextmanager
def serving(grafana: StandIn) -> Iterator[StandIn]:
    """``grafana`` on a port of its own, until the end of the block."""

    class Handler(Silent):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            begin = f"{grafana.prefix}/api"
            if not path.startswith(begin + "/"):
                return self._send(200, b"<!doctype html><title>Another site</title>", "text/html; charset=UTF-8")
            grafana.asked.append((self.command, path.removeprefix(begin)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = grafana.answer(self.command, path.removeprefix(begin), body, token, headers)
            return self._send(status, json.dumps(told).encode(), "application/json; charset=UTF-8")

        do_POST = do_PUT = do_GET

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}{grafana.prefix}"
    with in_thread(server):
        yield grafana
