"""The runtime: devices, memory, builds and launches; the only importer of pyopencl."""
