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
# For the lines of a crash's frames; without it they have names only. GCC brings it in a folder of
# its own, from which other compilers link, too: docs/decisions/008-libbacktrace.md.
set(LIBMP_BACKTRACE)
if(LIBMP_SOURCE_LINES)
    find_package(libbacktrace CONFIG QUIET)
endif()
if(NOT LIBMP_SOURCE_LINES)
    # Names only.
elseif(TARGET libbacktrace::libbacktrace)
    set(LIBMP_BACKTRACE libbacktrace::libbacktrace)
else()
    set(folders ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
    find_library(LIBMP_BACKTRACE_LIBRARY backtrace PATHS ${folders})
    list(TRANSFORM folders APPEND /include)
    find_path(LIBMP_BACKTRACE_INCLUDE_DIR backtrace.h PATHS ${folders})
    mark_as_advanced(LIBMP_BACKTRACE_LIBRARY LIBMP_BACKTRACE_INCLUDE_DIR)
    if(LIBMP_BACKTRACE_LIBRARY AND LIBMP_BACKTRACE_INCLUDE_DIR)
        get_filename_component(folder "${LIBMP_BACKTRACE_LIBRARY}" DIRECTORY)
        # By its name where the compiler finds it: another one's folder may have another path.
        set(LIBMP_BACKTRACE "${LIBMP_BACKTRACE_LIBRARY}")
        if(folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
            set(LIBMP_BACKTRACE backtrace)
        endif()
    endif()
endif()
