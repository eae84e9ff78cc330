"""The demo: a real OpenEvolve search that needs no key and no network; see :mod:`genesis_otel.demo.search`."""
