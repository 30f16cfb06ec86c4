# mp_sources(<variable> <prefix>): the sources under <prefix>, in reading order.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
             "${CMAKE_CURRENT_SOURCE_DIR}/tools/reading_order.txt")
set(MP_READING_ORDER "${CMAKE_CURRENT_SOURCE_DIR}/tools/reading_order.txt")
function(mp_sources variable prefix)
    file(STRINGS "${MP_READING_ORDER}" lines REGEX "^${prefix}")
    list(TRANSFORM lines PREPEND "${PROJECT_SOURCE_DIR}/")
    set(${variable} ${lines} PARENT_SCOPE)
endfunction()
