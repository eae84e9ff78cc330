"""The dashboards as pictures, drawn with Grafana's published packages: `make dashboards-look`."""
