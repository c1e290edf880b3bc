"""Acquirers as data: each dialect is one value of `dialects.base.Dialect`, found by its name."""
