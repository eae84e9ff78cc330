"""Dashboards and alert rules: ``source/`` writes what ``dashboards/`` and ``provisioning/`` hold."""
