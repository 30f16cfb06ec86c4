# The libraries as shared ones: built, installed, moved and used.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(with_mpi OFF)
if(LAUNCHER)
    set(with_mpi ON)
endif()
# Not every compiler asks for a build-id, by which the processes of a program know each other.
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/libraries ${common} -DBUILD_SHARED_LIBS=ON
    -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--build-id=none
    -DLIBMP_MPI=${with_mpi}
    -DMP_BUILD_TESTS=OFF -DMP_BUILD_TOOLS=OFF -DMP_BUILD_EXAMPLES=OFF -DMP_CCACHE=ON -DMP_UNITY=ON)
run(${CMAKE_COMMAND} --build ${WORK}/libraries)
set(prefix ${WORK}/prefix)
install_to(${WORK}/libraries ${prefix})
consume(${prefix} ${WORK}/build)

# Programs ask for a library by its soname, which a version with another ABI does not have.
foreach(name IN ITEMS mp futures concurrency futures_mpi)
    set(user consumer)
    if(NOT name MATCHES "^(mp|futures)$")
        string(REPLACE "futures_" "" user ${name}_consumer)
        if(NOT EXISTS ${WORK}/build/${user})
            continue() # no Boost.Asio here, or no MPI
        endif()
    endif()
    file(GLOB library ${prefix}/lib*/lib${name}.so.[0-9]*.[0-9]*.[0-9]* ${prefix}/lib*/*/lib${name}.so.[0-9]*.[0-9]*.[0-9]*)
    run(objdump -p ${library})
    string(REGEX MATCH "SONAME +([^\n]*)" soname "${output}")
    set(soname "${CMAKE_MATCH_1}") # the next expression sets CMAKE_MATCH_1 anew
    string(REGEX REPLACE "[.][0-9]+$" "" expected "${library}")
    get_filename_component(expected "${expected}" NAME)
    if(NOT soname STREQUAL expected)
        message(FATAL_ERROR "${library} has the soname \"${soname}\", not ${expected}")
    endif()
    run(objdump -p ${WORK}/build/${user})
    if(NOT output MATCHES "NEEDED +${expected}\n")
        message(FATAL_ERROR "${user} does not ask for ${expected}:\n${output}")
    endif()
endforeach()
