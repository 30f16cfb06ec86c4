# cpack -G DEB: libmp0.1, which a program needs to run, and libmp-dev, which a compiler needs.
# With MP_DEBIAN (preset debian) the packages have what Debian asks for besides; tools/package
# builds and tries them.
set(runtime_package libmp${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libmp)
set(CPACK_PACKAGE_VENDOR "libmp")
set(CPACK_PACKAGE_CONTACT "libmp maintainers <libmp@localhost>")
set(CPACK_COMPONENTS_ALL libmp-runtime libmp-dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_LIBMP-RUNTIME_PACKAGE_NAME ${runtime_package})
set(CPACK_DEBIAN_LIBMP-RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBMP-RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# CPack calls ldconfig only for libraries right in /usr/lib.
set(CPACK_DEBIAN_LIBMP-RUNTIME_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/tools/packaging/debian/triggers)
# The first line, which both have, is the project's description.
set(CPACK_COMPONENT_LIBMP-RUNTIME_DESCRIPTION
"Processes by fork, spawn or a fork server, with typed arguments, queues, locks
and shared memory between them that survive a kill of any user; thread pools,
and process pools whose workers may crash.")

set(CPACK_DEBIAN_LIBMP-DEV_PACKAGE_NAME libmp-dev)
set(CPACK_DEBIAN_LIBMP-DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_LIBMP-DEV_DESCRIPTION
"Headers, CMake package and pkg-config files of libmp and libfutures.")

if(MP_DEBIAN)
    if(NOT BUILD_SHARED_LIBS)
        message(FATAL_ERROR "MP_DEBIAN is for shared libraries: set BUILD_SHARED_LIBS, too")
    endif()
    # mp_package_of(<variable> <file>): the installed package that has this file. dpkg knows files
    # by the folder that they were installed in, which may be named through a link.
    function(mp_package_of variable file)
        get_filename_component(folder "${file}" DIRECTORY)
        get_filename_component(folder "${folder}" REALPATH)
        get_filename_component(name "${file}" NAME)
        execute_process(COMMAND dpkg-query --search "${folder}/${name}"
            OUTPUT_VARIABLE found COMMAND_ERROR_IS_FATAL ANY)
        string(REGEX REPLACE "[:,].*" "" found "${found}")
        set(${variable} "${found}" PARENT_SCOPE)
    endfunction()
    # Their code is in the headers that both our libraries and their users compile: the very
    # packages, and not what else has Boost.
    get_target_property(folder Boost::headers INTERFACE_INCLUDE_DIRECTORIES)
    mp_package_of(boost "${folder}/boost/version.hpp")
    get_target_property(configuration Boost::serialization IMPORTED_CONFIGURATIONS)
    get_target_property(library Boost::serialization IMPORTED_IMPLIB_${configuration})
    if(NOT library)
        get_target_property(library Boost::serialization IMPORTED_LOCATION_${configuration})
    endif()
    string(REGEX REPLACE "[.]so[.0-9]*$" ".so" library "${library}")
    mp_package_of(serialization "${library}")
    # It is loaded at the first handshake, so nothing links it.
    get_filename_component(library "${OPENSSL_CRYPTO_LIBRARY}" REALPATH)
    mp_package_of(crypto "${library}")
    set(CPACK_DEBIAN_LIBMP-RUNTIME_PACKAGE_RECOMMENDS ${crypto})
    string(CONCAT CPACK_DEBIAN_LIBMP-DEV_PACKAGE_DEPENDS
        "${runtime_package} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}), "
        "${boost}, ${serialization}, libspdlog-dev")

    set(changelog ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian.gz)
    file(ARCHIVE_CREATE OUTPUT ${changelog} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9
         PATHS ${PROJECT_SOURCE_DIR}/tools/packaging/debian/changelog)
    foreach(part IN ITEMS runtime dev)
        string(TOUPPER ${part} upper)
        set(folder ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_LIBMP-${upper}_PACKAGE_NAME})
        install(FILES ${PROJECT_SOURCE_DIR}/tools/packaging/debian/copyright ${changelog}
                DESTINATION ${folder} COMPONENT libmp-${part})
    endforeach()
endif()
include(CPack)
