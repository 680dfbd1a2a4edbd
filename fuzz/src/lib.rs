//! Fuzz targets, corpora and a smoke run on the stable toolchain.
