"""Builds the engine; everything else about the package is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["workloads/engine/build.py:ffibuilder"])
