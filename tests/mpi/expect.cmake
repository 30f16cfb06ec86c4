# cmake -DCOMMAND=<list> -DCODE=<regex> -DTEXT=<regex> -P expect.cmake: the command must end with such a
# code, and print what matches.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${COMMAND}
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 100)
if(NOT result MATCHES "^(${CODE})$")
    message(FATAL_ERROR "it ended with ${result}, not ${CODE}:\n${output}")
endif()
if(NOT output MATCHES "${TEXT}")
    message(FATAL_ERROR "it ended with ${result}, but nothing matches \"${TEXT}\":\n${output}")
endif()
