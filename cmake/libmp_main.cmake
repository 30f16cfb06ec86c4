# Every executable that uses libmp gets libmp::main, unless its target property MP_NO_MAIN is set.
# Our build includes this for the rule itself. Conan's generated targets know no conditions, so
# the Conan package has this file, too, which gives the rule to them.
set(LIBMP_MAIN_UNLESS_REFUSED
    "$<$<AND:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>,$<NOT:$<BOOL:$<TARGET_PROPERTY:MP_NO_MAIN>>>>:libmp::main>")

foreach(libmp_target IN ITEMS libmp::mp libmp::libmp)
    if(TARGET ${libmp_target})
        get_target_property(libmp_libraries ${libmp_target} INTERFACE_LINK_LIBRARIES)
        # May be included twice: the rule must not stand there twice.
        list(REMOVE_ITEM libmp_libraries
            libmp_libraries-NOTFOUND libmp::main "${LIBMP_MAIN_UNLESS_REFUSED}")
        set_property(TARGET ${libmp_target} PROPERTY INTERFACE_LINK_LIBRARIES
            ${libmp_libraries} "${LIBMP_MAIN_UNLESS_REFUSED}")
    endif()
endforeach()
unset(libmp_target)
unset(libmp_libraries)

# In the package: the program for children of plug-ins, which stands in libmpTargets.cmake elsewhere.
set(libmp_worker "${CMAKE_CURRENT_LIST_DIR}/../libexec/libmp-worker")
if(NOT TARGET libmp::worker AND EXISTS "${libmp_worker}")
    add_executable(libmp::worker IMPORTED)
    set_property(TARGET libmp::worker PROPERTY IMPORTED_LOCATION "${libmp_worker}")
endif()
unset(libmp_worker)
