# libmp_mpi_name(<variable> <target>): which MPI a program gets by that target, as "Open MPI 4.1.4";
# empty where its header does not say. Our build includes this, and so does the package: what was
# compiled with one MPI cannot be linked with another, whose constants and types are not the same.
function(libmp_mpi_name variable target)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    set(asked "${CMAKE_CXX_COMPILER};${folders}")
    if(NOT "${LIBMP_MPI_NAME_ASKED}" STREQUAL "${asked}")
        # In a file that is compiled and not run, so that this works for other machines, too.
        set(folder ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/libmp_mpi_name)
        file(WRITE ${folder}/name.cpp [[
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#if defined(OMPI_MAJOR_VERSION)
#define NAME "Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION) "." TEXT(OMPI_RELEASE_VERSION)
#elif defined(I_MPI_VERSION)
#define NAME "Intel MPI " I_MPI_VERSION
#elif defined(MVAPICH2_VERSION)
#define NAME "MVAPICH2 " MVAPICH2_VERSION
#elif defined(MPICH_VERSION)
#define NAME "MPICH " MPICH_VERSION
#else
#define NAME ""
#endif
extern const char libmp_mpi_name[];
const char libmp_mpi_name[] = "libmp was built with [" NAME "]";
]])
        set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
        try_compile(compiled ${folder} SOURCES ${folder}/name.cpp COMPILE_DEFINITIONS -fno-lto
            LINK_LIBRARIES ${target} COPY_FILE ${folder}/name COPY_FILE_ERROR ignored)
        set(name "")
        if(compiled)
            file(STRINGS ${folder}/name found REGEX "libmp was built with \\[.*\\]" LIMIT_COUNT 1)
            string(REGEX REPLACE ".*libmp was built with \\[(.*)\\].*" "\\1" name "${found}")
        endif()
        unset(compiled CACHE)
        set(LIBMP_MPI_NAME_ASKED "${asked}" CACHE INTERNAL "of what LIBMP_MPI_NAME is the name")
        set(LIBMP_MPI_NAME "${name}" CACHE INTERNAL "the MPI that was found")
    endif()
    set(${variable} "${LIBMP_MPI_NAME}" PARENT_SCOPE)
endfunction()
