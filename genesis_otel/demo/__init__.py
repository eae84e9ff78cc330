"""The demo: a real search of OpenEvolve that needs no key and no network; see :mod:`genesis_otel.demo.search`."""
