"""The contact point `genesis`: who receives the alerts, by webhook, mail or Slack.

In: ``GRAFANA_ALERT_WEBHOOK``, ``GRAFANA_ALERT_EMAIL``, ``GRAFANA_ALERT_SLACK``, each of which adds a channel. Out: the integrations in
the form of Grafana's API, and in a form to show to people, without the secret parts of an address. Unless one of them is set, nobody is
notified. Rules name the contact point themselves: the organisation's notification policies, which any write would replace as a whole,
are never touched.
Source: https://grafana.com/docs/grafana/latest/developers/http_api/alerting_provisioning/#contact-points
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from genesis_otel._grafana.files import GrafanaError, digest

NAME = "genesis"
"""The contact point's name, which rules name as their receiver."""

RECEIVER: Mapping[str, Any] = {"receiver": NAME}
"""The ``notification_settings`` of a rule."""

_SECRET = ("slack",)
"""Types whose address Grafana keeps secret and does not return."""


def integrations(webhook: str = "", email: str = "", slack: str = "") -> list[dict[str, Any]]:
    """The integrations for the given addresses; several form one contact point, because they share its name.

    :raises GrafanaError: an address is invalid.
    """
    for name, url in (("GRAFANA_ALERT_WEBHOOK", webhook), ("GRAFANA_ALERT_SLACK", slack)):
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            raise GrafanaError(f"{name} is not an address; its form is https://host/path")
    addresses = [each.strip() for each in email.replace(";", ",").split(",") if each.strip()]
    if not all("@" in each for each in addresses):
        raise GrafanaError("GRAFANA_ALERT_EMAIL is neither a mail address nor several separated by commas")
    destinations: list[tuple[str, dict[str, Any]]] = []
    if webhook:
        destinations.append(("webhook", {"url": webhook}))
    if addresses:
        destinations.append(("email", {"addresses": ";".join(addresses)}))
    if slack:
        destinations.append(("slack", {"url": slack}))
    return [
        {"uid": f"{NAME}-{kind}", "name": NAME, "type": kind, "settings": settings} for kind, settings in destinations
    ]


def is_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether Grafana has this integration; for one with a secret address, only whether it exists."""
    settings = theirs.get("settings") or {}
    return bool(
        theirs.get("name") == NAME
        and theirs.get("type") == ours["type"]
        and (ours["type"] in _SECRET or all(settings.get(key) == value for key, value in ours["settings"].items()))
    )


def shown(receivers: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Integrations to show to people: a URL as its host, with sixteen hex digits that tell it from others."""
    return [{"type": str(each.get("type")), "to": _shown(each)} for each in receivers]


def _shown(receiver: Mapping[str, Any]) -> str:
    settings = receiver.get("settings") or {}
    if receiver.get("type") == "email":
        return str(settings.get("addresses", ""))
    if receiver.get("type") in _SECRET:
        return "(secret)"
    url = str(settings.get("url", ""))
    return f"{urlsplit(url).hostname}, address {digest(url)}"
