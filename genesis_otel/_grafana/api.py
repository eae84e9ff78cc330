"""Grafana's HTTP API, with errors that say what to do.

In: ``GRAFANA_URL`` and ``GRAFANA_TOKEN``. Out: a `Grafana`, whose methods are the API calls. On failure: `GrafanaError`: no token,
nothing listening, not a Grafana, TLS, 401, 403 with the permission that the token lacks, 412. No message contains the token or a
password. All calls use uids: Grafana 13 has the calls by numeric id switched off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from genesis_otel import _fields
from genesis_otel._fields import Secret
from genesis_otel._grafana.files import PLUGIN, GrafanaError
from genesis_otel._log import first_line

OLDEST = (11, 6)
"""The oldest Grafana for which dashboards and rules are made: an older one saves them, and leaves out what it does not know, such as who is notified."""
_OLDEST = ".".join(map(str, OLDEST))

TIMEOUT = 30.0
"""Seconds to wait for an answer; a busy Grafana takes more than the client's default of five to save a large dashboard."""


@dataclass(frozen=True, kw_only=True)
class GrafanaSettings:
    """Where Grafana is and who asks. Read from the environment and ``.env``, never from arguments, which other users can see."""

    grafana_url: str | None = None
    """``GRAFANA_URL``: ``https://host[:port][/path]``."""
    grafana_token: Secret | None = None
    """``GRAFANA_TOKEN``: a service account's token."""
    grafana_clickhouse_url: Secret | None = None
    """``GRAFANA_CLICKHOUSE_URL``: the ClickHouse URL for Grafana to use, of a read-only user; by default ``CLICKHOUSE_URL``."""
    grafana_alert_webhook: Secret | None = None
    """``GRAFANA_ALERT_WEBHOOK``: where Grafana posts alerts."""
    grafana_alert_email: str | None = None
    """``GRAFANA_ALERT_EMAIL``: a mail address, or several separated by commas."""
    grafana_alert_slack: Secret | None = None
    """``GRAFANA_ALERT_SLACK``: the URL of a Slack incoming webhook."""


def load_grafana_settings() -> GrafanaSettings:
    """The settings of this process."""
    return GrafanaSettings(**_fields.read(GrafanaSettings, "", {}, _fields.surroundings()))


class Grafana:
    """The API calls that are needed; each returns None for something that does not exist."""

    def __init__(self, url: str, token: str) -> None:
        """Does not connect yet.

        :raises GrafanaError: the URL is invalid.
        """
        from grafana_client.api import GrafanaApi

        parts = _split(url)
        path = parts.path.strip("/")
        host = parts.hostname or ""
        self.where = f"{parts.scheme}://{parts.netloc}{'/' + path if path else ''}"
        api = GrafanaApi(
            auth=token,
            host=f"[{host}]" if ":" in host else host,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=TIMEOUT,
        )
        api.client.s.max_redirects = 0  # a redirected POST becomes a GET
        self._api = api

    def close(self) -> None:
        """Close the connections."""
        self._api.client.s.close()

    def check(self) -> str:
        """Grafana's version; empty if it does not tell.

        :raises GrafanaError: there is no Grafana, or one that is too old, the token is rejected, or the data source's plugin is missing.
        """
        health = self._ask(lambda: self._api.client.GET("/health"), "GET /api/health", "")
        if not isinstance(health, dict) or "database" not in health:
            raise GrafanaError(f"the server at {self.where} is not Grafana: check GRAFANA_URL, including its path")
        version = str(health.get("version", ""))
        told = re.match(r"v?(\d+)\.(\d+)\.", version)
        if told and (int(told[1]), int(told[2])) < OLDEST:
            raise GrafanaError(f"Grafana at {self.where} is {version}: {_OLDEST} or newer is required")
        path = f"/plugins/{PLUGIN}/settings"
        if self._ask(lambda: self._api.client.GET(path), "read plugins", "", optional=True) is None:
            raise GrafanaError(
                f"the plugin {PLUGIN} is not installed at {self.where}: grafana cli plugins install {PLUGIN}, "
                f"or GF_PLUGINS_PREINSTALL={PLUGIN}, and restart Grafana"
            )
        return version

    def folder(self, uid: str) -> dict[str, Any] | None:
        """Read a folder."""
        return self._found(lambda: self._api.folder.get_folder(_name(uid)), f"read the folder {uid}", "folders:read")

    def make_folder(self, uid: str, title: str) -> None:
        """Create a folder."""
        self._ask(lambda: self._api.folder.create_folder(title, uid), f"create the folder {uid}", "folders:create")

    def datasource(self, uid: str) -> dict[str, Any] | None:
        """Read a data source, without its secrets, which Grafana never returns."""
        return self._found(
            lambda: self._api.datasource.get_datasource_by_uid(_name(uid)),
            f"read the data source {uid}",
            "datasources:read",
        )

    def has_datasource_named(self, name: str) -> bool:
        """Whether a data source has this name, as far as the token may read it."""
        path = f"/datasources/name/{_name(name)}"
        return bool(self._ask(lambda: self._api.client.GET(path), f"read the data source {name}", "", optional=True))

    def make_datasource(self, model: Mapping[str, Any]) -> None:
        """Create a data source."""
        self._ask(
            lambda: self._api.datasource.create_datasource(dict(model)), "create the data source", "datasources:create"
        )

    def change_datasource(self, model: Mapping[str, Any]) -> None:
        """Change a data source."""
        uid = str(model["uid"])
        self._ask(
            lambda: self._api.datasource.update_datasource_by_uid(_name(uid), dict(model)),
            f"change the data source {uid}",
            "datasources:write",
        )

    def datasource_fault(self, uid: str) -> str:
        """Grafana's own text on why a data source cannot reach its server; empty if it can, or if Grafana cannot tell."""
        from grafana_client.client import GrafanaBadInputError, GrafanaException

        try:
            health = self._api.datasource.health(_name(uid))
        except GrafanaBadInputError as error:
            health = error.response
        except (GrafanaException, OSError, ValueError):
            return ""
        fine = not isinstance(health, dict) or str(health.get("status", "OK")).upper() == "OK"
        return "" if fine else first_line(ValueError(str(health.get("message", "it does not answer"))))

    def dashboard(self, uid: str) -> dict[str, Any] | None:
        """Read a dashboard: ``dashboard`` and ``meta``."""
        return self._found(
            lambda: self._api.dashboard.get_dashboard(_name(uid)), f"read the dashboard {uid}", "dashboards:read"
        )

    def last_message(self, uid: str) -> str:
        """The message of a dashboard's newest version; empty if it has none, or the token may not read it."""
        path = f"/dashboards/uid/{_name(uid)}/versions"
        answer = self._ask(
            lambda: self._api.client.GET(path, params={"limit": "1"}), f"read versions of {uid}", "", optional=True
        )
        # A list up to Grafana 11, and an object around the list since then.
        versions = answer.get("versions") if isinstance(answer, dict) else answer
        newest = max(versions or [{}], key=lambda each: int(each.get("version") or 0))
        return str(newest.get("message") or "")

    def save_dashboard(self, model: Mapping[str, Any], folder: str, message: str, *, overwrite: bool) -> None:
        """Create a dashboard, or save a new version of it; without ``overwrite`` only on top of the version that ``model`` names."""
        asked = {"dashboard": dict(model), "folderUid": folder, "message": message, "overwrite": overwrite}
        self._ask(
            lambda: self._api.dashboard.update_dashboard(asked),
            f"save the dashboard {model['uid']}",
            "dashboards:create, dashboards:write",
        )

    def contact_point(self, name: str) -> list[dict[str, Any]]:
        """The integrations of a contact point; empty if it does not exist."""
        answer = self._ask(
            lambda: self._api.alertingprovisioning.get_contactpoints(name),
            f"read the contact point {name}",
            "alert.provisioning:read",
        )
        return [each for each in answer or [] if each.get("name") == name]

    def save_integration(self, integration: Mapping[str, Any], *, there: bool) -> None:
        """Create or change one integration of a contact point."""
        uid, call = str(integration["uid"]), self._api.alertingprovisioning
        self._ask(
            lambda: (
                call.update_contactpoint(_name(uid), dict(integration))
                if there
                else call.create_contactpoint(dict(integration))
            ),
            f"save the contact point {integration['name']}",
            "alert.provisioning:write",
        )

    def rule_group(self, folder: str, name: str) -> dict[str, Any] | None:
        """Read a group of alert rules."""
        return self._found(
            lambda: self._api.alertingprovisioning.get_rule_group(_name(folder), _name(name)),
            f"read the alert rules {name}",
            "alert.provisioning:read",
        )

    def save_rule_group(self, folder: str, group: Mapping[str, Any], *, editable: bool) -> None:
        """Replace the group of alert rules of that name; with ``editable`` it can also be edited in the browser."""
        name = str(group["title"])
        self._ask(
            lambda: self._api.alertingprovisioning.update_rule_group(
                _name(folder), _name(name), dict(group), disable_provenance=editable
            ),
            f"save the alert rules {name}",
            "alert.provisioning:write",
        )

    def _found(self, call: Callable[[], Any], doing: str, permission: str) -> dict[str, Any] | None:
        answer = self._ask(call, doing, permission, optional=True)
        if answer is not None and not isinstance(answer, dict):
            raise GrafanaError(f"the server at {self.where} is not Grafana: check GRAFANA_URL, including its path")
        return answer

    def _ask(self, call: Callable[[], Any], doing: str, permission: str, *, optional: bool = False) -> Any:
        """What ``call`` returns; with ``optional``, None for what does not exist, and, if no permission is given, ``{}`` for
        what may not be read."""
        from grafana_client.client import GrafanaException

        try:
            return call()
        except GrafanaException as error:
            if optional and error.status_code == 404:
                return None
            if optional and error.status_code == 403 and not permission:
                return {}
            raise GrafanaError(self._explained(error, doing, permission)) from error
        except (OSError, ValueError) as error:
            raise GrafanaError(self._unreachable(error)) from error

    def _explained(self, error: Any, doing: str, permission: str) -> str:
        status, body = error.status_code, error.response
        answer = body if isinstance(body, dict) else {}
        message = first_line(ValueError(str(answer["message"]))) if answer.get("message") else ""
        if not status:
            return self._unreachable(error)
        if status == 400 and not answer and self.where.startswith("http://"):
            # Go's answer, as text, on a port that expects TLS.
            return f"{self.where} does not speak http: set GRAFANA_URL to its https:// address"
        if status == 401:
            return (
                f"{self.where} rejects the token in GRAFANA_TOKEN ({message}): it may have expired or belong to another "
                "Grafana. Create one: Administration, Users and access, Service accounts, Add token"
            )
        if status == 403:
            needed = re.search(r"Permissions needed: (.+)", message)
            lacks = needed[1] if needed else permission
            role = "Admin" if "datasources:" in lacks else "Editor"
            text = f"the token of GRAFANA_TOKEN may not {doing}"
            if lacks:
                return f"{text}: it lacks {lacks}. Give its service account that permission, or the role {role}"
            return f"{text}: {message}"
        if status == 412 and answer.get("status") == "version-mismatch":
            return f"cannot {doing}: somebody saved it in the meantime. Compare with genesis-otel grafana diff, then push again"
        if status == 412:
            return f"cannot {doing}: {message} ({answer.get('status', 'precondition failed')})"
        if status == 404:
            return f"{self.where} has no such call ({doing}): check GRAFANA_URL, including its path; Grafana {_OLDEST} or newer is required"
        return f"cannot {doing} at {self.where}: {status} {message or 'without a message'}"

    def _unreachable(self, error: Exception) -> str:
        text = str(error)
        name = type(error).__name__
        if "Redirect" in name:
            return f"{self.where} redirects (http to https, or to a login page): set GRAFANA_URL to the address in the browser, without /login"
        if re.search("CERTIFICATE|SSL|TLS|wrong version", f"{name} {text}", re.IGNORECASE):
            return (
                f"TLS with {self.where} failed: check https:// against http://; for a certificate from a private CA "
                f"set REQUESTS_CA_BUNDLE to its file ({first_line(error)})"
            )
        if re.search("resolve|Name or service|nodename|getaddrinfo", text):
            return f"the host name of {self.where} cannot be resolved: check it in GRAFANA_URL"
        if "refused" in text:
            return (
                f"Connection refused at {self.where}: check host and port of GRAFANA_URL, and that Grafana is running"
            )
        if re.search("reset|closed connection|aborted", text, re.IGNORECASE):
            return f"{self.where} closes the connection: check https:// against http://, and the port in GRAFANA_URL"
        if re.search("timed? ?out", f"{name} {text}", re.IGNORECASE):
            return f"{self.where} did not answer within {TIMEOUT:.0f} seconds: check host, port and firewall"
        if isinstance(error, ValueError):
            return f"the server at {self.where} is not Grafana: check GRAFANA_URL, including its path"
        return f"Grafana at {self.where}: {first_line(error)}"


def opened(settings: GrafanaSettings) -> Grafana:
    """The Grafana that the settings name.

    :raises GrafanaError: they name none.
    """
    if not settings.grafana_url:
        raise GrafanaError("GRAFANA_URL is not set: export GRAFANA_URL=https://grafana.example.org")
    if settings.grafana_token is None:
        raise GrafanaError(
            "GRAFANA_TOKEN is not set: create a service account with the role Editor (Admin, to create the data source) under "
            "Administration, Users and access, Service accounts, and export one of its tokens as GRAFANA_TOKEN"
        )
    token = settings.grafana_token.get_secret_value()
    if not token.isprintable() or not token.isascii() or " " in token:
        raise GrafanaError("GRAFANA_TOKEN contains characters that are not allowed in a token: copy it again")
    return Grafana(settings.grafana_url, token)


def _split(url: str) -> Any:
    form = "its form is https://host[:port][/path]"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise GrafanaError(f"GRAFANA_URL cannot be parsed; {form}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GrafanaError(f"GRAFANA_URL is not the URL of a Grafana; {form}")
    if "@" in parts.netloc:
        raise GrafanaError(
            f"GRAFANA_URL has a user name: use a service account's token in GRAFANA_TOKEN instead; {form}"
        )
    if parts.query or parts.fragment:
        raise GrafanaError(f"GRAFANA_URL ends in a query; {form}")
    return parts


def _name(text: str) -> str:
    return quote(text, safe="")
