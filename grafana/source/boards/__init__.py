"""The dashboards, a module each: data, and the panels that show it."""
