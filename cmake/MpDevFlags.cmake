# libmp_dev_flags: what we compile our own code with; never exported.
add_library(libmp_dev_flags INTERFACE)
target_compile_options(libmp_dev_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
    -Wold-style-cast -Woverloaded-virtual -Wimplicit-fallthrough
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
    # Sources that are compiled together see each other's names; locals are their own.
    $<$<BOOL:${MP_UNITY}>:-Wno-shadow>
    $<$<AND:$<BOOL:${MP_UNITY}>,$<CXX_COMPILER_ID:GNU>>:-Wshadow=local>
    $<$<AND:$<BOOL:${MP_UNITY}>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>
    # These see shadowing where a lambda captures a structured binding under its own name.
    $<$<AND:$<CXX_COMPILER_ID:Clang>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,17>>:-Wno-shadow>
    # GCC 12 sees overlapping copies in "text" + std::string when it optimises (105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
    $<$<BOOL:${MP_WERROR}>:-Werror>)
if(MP_SANITIZE STREQUAL "address")
    target_compile_options(libmp_dev_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
        # It looks at objects through a pipe; a process that has no descriptor left for one is
        # told that they are none.
        -fno-sanitize=vptr
        # GCC sees ghosts in instrumented code, in its own <regex> for one.
        $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(libmp_dev_flags INTERFACE -fsanitize=address,undefined)
elseif(MP_SANITIZE STREQUAL "thread")
    # GCC's TSan does not follow atomic_thread_fence and says so for each; no data of ours
    # is ordered by a fence alone.
    target_compile_options(libmp_dev_flags INTERFACE
        -fsanitize=thread -fno-omit-frame-pointer
        $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan -Wno-maybe-uninitialized>)
    target_link_options(libmp_dev_flags INTERFACE -fsanitize=thread)
elseif(MP_SANITIZE)
    message(FATAL_ERROR "MP_SANITIZE is address, thread or empty, not \"${MP_SANITIZE}\"")
endif()

# Hundreds of test programs are linked; lld takes a quarter of the time that GNU ld takes. Not for
# the libraries, which others get; and lld does not link what GCC's link-time optimisation compiled.
if(MP_LLD AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION AND NOT CMAKE_CXX_FLAGS MATCHES "-flto")
    include(CheckLinkerFlag)
    check_linker_flag(CXX -fuse-ld=lld MP_LLD_WORKS) # a cross compiler does not find it
    if(MP_LLD_WORKS)
        target_link_options(libmp_dev_flags INTERFACE
            $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-fuse-ld=lld>)
    endif()
endif()
# A sanitizer's tables hold millions of addresses. In a position-independent program each
# start adjusts them all, and the tests start thousands.
if(MP_SANITIZE)
    target_link_options(libmp_dev_flags INTERFACE
        $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-no-pie>)
endif()

# ccache, set up so that precompiled headers and a second build tree hit, too.
if(MP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(MP_CCACHE_PROGRAM ccache)
    if(MP_CCACHE_PROGRAM)
        set(CMAKE_CXX_COMPILER_LAUNCHER
            ${CMAKE_COMMAND} -E env
            CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
            CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
            ${MP_CCACHE_PROGRAM})
    endif()
endif()

# mp_precompile(<target>): the standard headers that most of our sources include, compiled once.
# For debug builds only: GCC 12 warns of <string> when that comes precompiled and it optimises.
if(MP_PCH)
    # So that ccache can tell what a precompiled header was made of.
    target_compile_options(libmp_dev_flags INTERFACE
        $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
        $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
endif()
function(mp_precompile target)
    if(MP_PCH AND CMAKE_BUILD_TYPE STREQUAL "Debug")
        target_precompile_headers(${target} PRIVATE
            <algorithm> <array> <atomic> <chrono> <condition_variable> <functional> <map> <memory>
            <mutex> <optional> <span> <stdexcept> <string> <system_error> <thread> <vector>)
    endif()
endfunction()

# mp_unite(<target> <source>... [UNIT <n>]): with MP_UNITY, those of its sources that lie in one folder
# and have the same n, or none, are one compilation, and what they include is read and instantiated
# once. That each source stands alone is for the other builds to tell.
function(mp_unite target)
    if(NOT MP_UNITY)
        return()
    endif()
    cmake_parse_arguments(arg "" "UNIT" "" ${ARGN})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    foreach(source ${arg_UNPARSED_ARGUMENTS})
        # Tests link some once more, instead of the library's own.
        if(NOT source IN_LIST MP_WITH_FAILPOINTS)
            cmake_path(GET source PARENT_PATH folder)
            cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
            string(MAKE_C_IDENTIFIER "${folder}" folder)
            set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES
                UNITY_GROUP ${folder}${arg_UNIT})
        endif()
    endforeach()
endfunction()
