"""The compiler: the only package that knows Numba's internals. Imports numpy, numba and llvmlite only.

`jit` has the decorators for kernels, `struct_view` gives compiled code names for what lies at an address, `internals`
holds what Numba is made to do differently, and `cache` keeps compiled code on disk.
"""
