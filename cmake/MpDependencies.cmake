# Everything the libraries need from outside, in one place.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
# Either kind will do; a package may have only one of them.
set(LIBMP_SPDLOG spdlog::spdlog)
if(NOT TARGET spdlog::spdlog AND TARGET spdlog::spdlog_header_only)
    set(LIBMP_SPDLOG spdlog::spdlog_header_only)
endif()
# libmp itself needs no more than the headers: docs/decisions/002-openssl-on-demand.md.
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers serialization)
