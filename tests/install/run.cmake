# Uses the project as strangers do: installs this build under a prefix of its own, builds a consumer
# with find_package, another with add_subdirectory, and runs both.
# cmake -DSOURCE=... -DBUILD=... -DWORK=... -DCOMPILER=... -P run.cmake
cmake_minimum_required(VERSION 3.25)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result STREQUAL "0")
        message(FATAL_ERROR "${ARGN}: ${result}\n${output}")
    endif()
endfunction()

set(prefix ${WORK}/prefix)
file(REMOVE_RECURSE ${prefix})
set(common -G Ninja -DCMAKE_CXX_COMPILER=${COMPILER}
    -DCMAKE_BUILD_TYPE=)

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install/package -B ${WORK}/package ${common} -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${WORK}/package)
run(${WORK}/package/consumer)
message(STATUS "find_package: ok")

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install/subdirectory -B ${WORK}/subdirectory ${common} -DLIBMP_SOURCE_DIR=${SOURCE} -DMP_CCACHE=ON)
run(${CMAKE_COMMAND} --build ${WORK}/subdirectory)
run(${WORK}/subdirectory/consumer)
message(STATUS "add_subdirectory: ok")
