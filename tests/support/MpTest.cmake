# mp_test(<name> [LIBS <target>...] [LABELS <label>...] [ALONE] [ROOM] [UNIT <n>] [APART] [FAILPOINTS]): a ctest entry
# for <name>.cpp in this folder, called by its path from tests/, and an executable for it, or for
# all files of the folder that are marked ROOM. With MP_COMBINED_TESTS one executable holds all
# files but those marked ALONE or ROOM. With MP_UNITY the files of a folder are one compilation. Those
# that use a name which another one of these uses are compiled with the others of their UNIT, or,
# marked APART, on their own.
# FAILPOINTS links the library's sources that have failpoints once more, compiled with them
# (support/failpoints.hpp).
# Labels slow and stress give an entry more time; stress is not run by default, no-asan and
# no-tsan keep an entry out of that sanitizer's run, the tags of that name a case.

# Cases that a sanitizer cannot follow: fork in a process with threads, mostly.
set(mp_test_filter)
if(MP_SANITIZE STREQUAL "thread")
    set(mp_test_filter "~[.]~[no-tsan]")
elseif(MP_SANITIZE STREQUAL "address")
    set(mp_test_filter "~[.]~[no-asan]")
endif()

function(mp_test_target target)
    add_executable(${target} ${ARGN})
    target_link_libraries(${target} PRIVATE test_support)
    # Tests look inside: private headers are within their reach.
    target_include_directories(${target} PRIVATE
        ${PROJECT_SOURCE_DIR}/libmp/src ${PROJECT_SOURCE_DIR}/libfutures/src)
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    if(MP_PCH)
        target_precompile_headers(${target} REUSE_FROM test_pch)
    endif()
endfunction()

# mp_test_name(<name> <variable>): what ctest calls the test <name> of this folder.
function(mp_test_name name variable)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR})
    set(${variable} ${folder}/${name} PARENT_SCOPE)
endfunction()

function(mp_test name)
    cmake_parse_arguments(arg "ALONE;ROOM;APART;FAILPOINTS" "UNIT" "LIBS;LABELS" ${ARGN})
    mp_test_name(${name} entry)
    if(arg_ROOM)
        mp_test_name(tests target)
        string(REPLACE "/" "_" target "${target}")
        if(NOT TARGET ${target})
            mp_test_target(${target})
        endif()
        target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cpp)
        if(NOT arg_APART)
            mp_unite(${target} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cpp UNIT ${arg_UNIT})
        endif()
        add_test(NAME ${entry}
            COMMAND ${target} --filenames-as-tags "[#${name}]~[.]${mp_test_filter}")
    elseif(MP_COMBINED_TESTS AND NOT arg_ALONE AND NOT arg_FAILPOINTS)
        set(target mp_tests)
        target_sources(mp_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cpp)
        if(NOT arg_APART)
            mp_unite(mp_tests ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cpp UNIT ${arg_UNIT})
        endif()
        # Catch2 gives each case its file's name as a tag; hidden cases stay hidden.
        add_test(NAME ${entry}
            COMMAND mp_tests --filenames-as-tags "[#${name}]~[.]${mp_test_filter}")
    else()
        string(REPLACE "/" "_" target "${entry}")
        mp_test_target(${target} ${name}.cpp)
        add_test(NAME ${entry} COMMAND ${target} ${mp_test_filter})
    endif()
    target_link_libraries(${target} PRIVATE ${arg_LIBS})
    if(arg_FAILPOINTS)
        target_link_libraries(${target} PRIVATE test_failpoints)
    endif()

    string(REGEX REPLACE "/.*" "" area "${entry}")
    # The watchdog ends a single case long before this; it is for a process that is gone mad.
    set(seconds 300)
    if(MP_SANITIZE OR "slow" IN_LIST arg_LABELS OR "stress" IN_LIST arg_LABELS)
        set(seconds 900)
    endif()
    set_tests_properties(${entry} PROPERTIES TIMEOUT ${seconds} LABELS "${area};${arg_LABELS}")
    if("slow" IN_LIST arg_LABELS)
        set_tests_properties(${entry} PROPERTIES COST 100)  # first, beside all others
    endif()
endfunction()

# mp_stress(<name> <filter> [SEEDS <n>]): the same program once more under the label stress, with
# these cases ("" for all) and so many seeds.
function(mp_stress name filter)
    cmake_parse_arguments(arg "" "SEEDS" "" ${ARGN})
    mp_test_name(${name} entry)
    string(REPLACE "/" "_" target "${entry}")
    if(NOT TARGET ${target})
        mp_test_name(tests target)
        string(REPLACE "/" "_" target "${target}")
        set(filter --filenames-as-tags "[#${name}]${filter}")
    endif()
    if(NOT TARGET ${target})
        return()  # in the combined program, without a name of its own
    endif()
    set(environment "MP_TEST_DEADLINE=3000")
    if(arg_SEEDS)
        list(APPEND environment "MP_TEST_SEEDS=${arg_SEEDS}")
    endif()
    string(REGEX REPLACE ".*/" "stress/" entry ${entry})
    add_test(NAME ${entry} COMMAND ${target} ${filter})
    set_tests_properties(${entry} PROPERTIES
        TIMEOUT 7200 LABELS stress ENVIRONMENT "${environment}")
endfunction()
