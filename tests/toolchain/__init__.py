"""Tests of the toolchain, with a fake `go` in place of a compiler."""
