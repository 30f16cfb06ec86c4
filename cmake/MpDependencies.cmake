# Everything the libraries need from outside, in one place.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
# libmp itself needs no more than the headers: docs/decisions/002-openssl-on-demand.md.
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers serialization)
