"""What a panel cannot draw is explained by pytest, although it is found outside of a test's module."""

import pytest

pytest.register_assert_rewrite("tests.support.panel_shapes")
