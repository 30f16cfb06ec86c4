# What the scripts of this folder share.
# cmake -DSOURCE=... -DBUILD=... -DWORK=... -DCOMPILER=... [-DMPI_COMPILER=... -DLAUNCHER=...] -P consumer.cmake
cmake_minimum_required(VERSION 3.25)

# run(<command>...): must succeed. Its output is in ${output}.
function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result STREQUAL "0")
        message(FATAL_ERROR "${ARGN}: ${result}\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

set(common -G Ninja -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=)
if(MPI_COMPILER)
    list(APPEND common -DMPI_CXX_COMPILER=${MPI_COMPILER})
endif()

# install_to(<build> <prefix>): installs elsewhere and moves it there, so that a path that was
# written down is found out.
function(install_to build prefix)
    file(REMOVE_RECURSE ${prefix} ${prefix}.before)
    run(${CMAKE_COMMAND} --install ${build} --prefix ${prefix}.before)
    file(RENAME ${prefix}.before ${prefix})
endfunction()

# consume(<prefix> <folder>): builds the consumer against it, with find_package, and runs it.
function(consume prefix folder)
    file(REMOVE_RECURSE ${folder})
    run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install/package -B ${folder} ${common}
        -DCMAKE_PREFIX_PATH=${prefix})
    run(${CMAKE_COMMAND} --build ${folder})
    run(${folder}/consumer)
    if(EXISTS ${folder}/concurrency_consumer)
        run(${folder}/concurrency_consumer)
    endif()
    if(LAUNCHER)
        run(${LAUNCHER} ${folder}/mpi_consumer)
    endif()
endfunction()
