# cmake -DPROGRAM=<main.cpp, built> -DSCRIPT=<main.py> [-DPYTHON=<program>] [-DNEEDS=<module>]
#       [-DLAUNCHER=<word>;...] -P compare.cmake
# With a launcher both are MPI jobs, and the module runs the script.
cmake_minimum_required(VERSION 3.25)
find_program(python NAMES ${PYTHON} python3)
if(NOT python)
    message(STATUS "skipped: no python3")
    return()
endif()
set(run_script ${python} ${SCRIPT})
if(NEEDS)
    set(look "import ${NEEDS}")
    if(LAUNCHER)
        # It may be there, and made for another MPI: then each rank is a job of its own.
        list(GET LAUNCHER -1 ranks)
        set(look "import mpi4py.MPI, ${NEEDS}, sys\nsys.exit(mpi4py.MPI.COMM_WORLD.size != ${ranks})")
        set(run_script ${python} -m ${NEEDS} ${SCRIPT})
    endif()
    execute_process(COMMAND ${LAUNCHER} ${python} -c ${look}
        RESULT_VARIABLE missing OUTPUT_QUIET ERROR_QUIET TIMEOUT 60)
    if(missing)
        message(STATUS "skipped: no ${NEEDS} for ${python}")
        return()
    endif()
endif()
execute_process(COMMAND ${LAUNCHER} ${PROGRAM}
    OUTPUT_VARIABLE ours RESULT_VARIABLE our_status TIMEOUT 100)
execute_process(COMMAND ${LAUNCHER} ${run_script}
    OUTPUT_VARIABLE theirs RESULT_VARIABLE their_status TIMEOUT 100)
if(NOT ours STREQUAL theirs OR NOT our_status STREQUAL their_status)
    message(FATAL_ERROR "they differ.\nC++ (status ${our_status}):\n${ours}\nPython (status ${their_status}):\n${theirs}")
endif()
message(STATUS "both printed:\n${ours}")
