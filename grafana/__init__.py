"""Grafana: dashboards and alert rules as code. `python -m grafana` writes the files that are provisioned and pushed."""
