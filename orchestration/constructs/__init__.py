"""CDKTF constructs, one module for each concern. They deploy what `orchestration.specification` describes."""
