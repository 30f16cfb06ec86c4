# The tutorial as its reader has it: an empty folder, two of its files, the installed libraries.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
install_to(${BUILD} ${WORK}/prefix)
set(folder ${WORK}/tutorial)
file(REMOVE_RECURSE ${folder})
set(page ${SOURCE}/docs/tutorial)
file(COPY ${page}/CMakeLists.txt ${page}/01_process.cpp DESTINATION ${folder})
run(${CMAKE_COMMAND} -S ${folder} -B ${folder}/build ${common} -DCMAKE_PREFIX_PATH=${WORK}/prefix)
# A file that is saved later is found by the next build.
file(COPY ${page}/10_together.cpp DESTINATION ${folder})
run(${CMAKE_COMMAND} --build ${folder}/build)
foreach(step IN ITEMS 01_process 10_together)
    run(${CMAKE_COMMAND} -DPROGRAM=${folder}/build/${step} -DPRINTED=${page}/${step}.txt
        -P ${SOURCE}/docs/printed.cmake)
endforeach()
