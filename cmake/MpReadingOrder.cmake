# mp_sources(<variable> <prefix>): the sources under <prefix>, in reading order.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
             "${CMAKE_CURRENT_SOURCE_DIR}/tools/reading_order.txt")
set(MP_READING_ORDER "${CMAKE_CURRENT_SOURCE_DIR}/tools/reading_order.txt")
function(mp_sources variable prefix)
    file(STRINGS "${MP_READING_ORDER}" lines REGEX "^${prefix}")
    list(TRANSFORM lines PREPEND "${PROJECT_SOURCE_DIR}/")
    set(${variable} ${lines} PARENT_SCOPE)
endfunction()

# Those of both libraries that have a failpoint.
mp_sources(sources "lib(mp|futures)/src/.*[.]cpp$")
set(MP_WITH_FAILPOINTS)
foreach(source ${sources})
    file(STRINGS ${source} line REGEX "MP_FAILPOINT[(]" LIMIT_COUNT 1)
    if(line)
        list(APPEND MP_WITH_FAILPOINTS ${source})
    endif()
endforeach()
