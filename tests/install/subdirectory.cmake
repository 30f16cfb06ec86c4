# A consumer with add_subdirectory, whose own targets have the names that ours do not take.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install/subdirectory -B ${WORK}/build ${common}
    -DLIBMP_SOURCE_DIR=${SOURCE} -DMP_CCACHE=ON)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
file(REMOVE_RECURSE ${WORK}/prefix)
run(${CMAKE_COMMAND} --install ${WORK}/build --prefix ${WORK}/prefix)
file(GLOB_RECURSE installed ${WORK}/prefix/*)
if(installed)
    message(FATAL_ERROR "a fetched libmp installs itself: ${installed}")
endif()
