# cmake -DPROGRAM=<program> -DARGUMENTS=<list> -DPRINTED=<file> -P printed.cmake
# Fails unless the program ends well and prints what the file says.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} OUTPUT_VARIABLE printed RESULT_VARIABLE status TIMEOUT 100)
file(READ ${PRINTED} expected)
if(NOT status STREQUAL "0" OR NOT printed STREQUAL expected)
    message(FATAL_ERROR "ended with ${status}, and printed:\n${printed}\nnot:\n${expected}")
endif()
