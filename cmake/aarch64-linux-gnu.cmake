# For 64-bit ARM, by Debian's cross compiler (g++-aarch64-linux-gnu). Boost, spdlog and OpenSSL for
# arm64 are those of the system (multiarch), or lie in the folder that the environment variable
# MP_AARCH64_ROOT names, where tools/aarch64 unpacks them.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
if(DEFINED ENV{MP_AARCH64_ROOT})
    list(APPEND CMAKE_FIND_ROOT_PATH $ENV{MP_AARCH64_ROOT})
    set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
    set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
    set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
    # What those headers and libraries need themselves.
    string(APPEND CMAKE_CXX_FLAGS_INIT
        " -isystem $ENV{MP_AARCH64_ROOT}/usr/include/aarch64-linux-gnu")
    string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT
        " -Wl,-rpath-link,$ENV{MP_AARCH64_ROOT}/usr/lib/aarch64-linux-gnu")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
