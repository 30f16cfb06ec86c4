include(libmp_main)

# What goes into a shared library must be position-independent, and a static one may end there.
# Conan's fPIC=False and a host's own choice come by this variable.
set(MP_POSITION_INDEPENDENT_CODE ON)
if(DEFINED CMAKE_POSITION_INDEPENDENT_CODE)
    set(MP_POSITION_INDEPENDENT_CODE ${CMAKE_POSITION_INDEPENDENT_CODE})
endif()

# mp_library(<target> <name>): what our libraries have in common. The file is lib<name>, and
# libmp::<name> the target in the exported package.
function(mp_library target name)
    # A minor version may change the ABI, so it is part of the soname.
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${name} EXPORT_NAME ${name}
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
        # The same objects for static and shared: ccache compiles them once.
        DEFINE_SYMBOL ""
        POSITION_INDEPENDENT_CODE ${MP_POSITION_INDEPENDENT_CODE}
        CXX_EXTENSIONS OFF VERIFY_INTERFACE_HEADER_SETS ON)
    # Nobody replaces our functions at load time, so they may be inlined where they are.
    target_compile_options(${target} PRIVATE
        $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
    mp_precompile(${target})
    get_target_property(sources ${target} SOURCES)
    mp_unite(${target} ${sources})
endfunction()
