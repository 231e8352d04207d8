"""kgbuild: phenotypes written four ways, one graph out."""

__version__ = "0.1.0"
__all__ = ["__version__"]
