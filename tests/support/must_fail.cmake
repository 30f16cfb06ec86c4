# cmake -DCOMMAND=<list> -DTEXT=<regex> -P must_fail.cmake: the command must fail, and print
# a line that says why. (ctest's WILL_FAIL would be content with any failure.)
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${COMMAND}
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 100)
if(result STREQUAL "0")
    message(FATAL_ERROR "it passed, though it must fail:\n${output}")
endif()
if(NOT output MATCHES "${TEXT}")
    message(FATAL_ERROR "it failed (${result}), but no line matches \"${TEXT}\":\n${output}")
endif()
message(STATUS "failed as it must (${result})")
