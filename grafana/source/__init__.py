"""Grafana: dashboards and alert rules as code. `python -m grafana.source` writes the files that are provisioned and pushed."""
