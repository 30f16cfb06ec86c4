# mp_pkg_config(<name>): installs <name>.pc. Folders are named from where the file lies, so that an
# installed prefix can be moved; only what lies outside it has a full path.

# mp_pc_folder(<variable> <folder>): the folder as the file names it.
function(mp_pc_folder variable folder)
    if(IS_ABSOLUTE "${folder}")
        set(${variable} "${folder}" PARENT_SCOPE)
    else()
        set(${variable} "\${prefix}/${folder}" PARENT_SCOPE)
    endif()
endfunction()

function(mp_pkg_config name)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
        set(MP_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
    else()
        file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
        string(REGEX REPLACE "/$" "" up "${up}")
        set(MP_PC_PREFIX "\${pcfiledir}/${up}")
    endif()
    mp_pc_folder(MP_PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
    mp_pc_folder(MP_PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
    mp_pc_folder(MP_PC_WORKER_FOLDER "${MP_WORKER_FOLDER}")

    # Boost has no .pc files. Our headers use its archives, so programs need the library, too.
    set(MP_PC_LIBS "-lboost_serialization")
    set(MP_PC_CFLAGS "-pthread")
    if(NOT Boost_INCLUDE_DIRS IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
        string(APPEND MP_PC_CFLAGS " -I${Boost_INCLUDE_DIRS}")
    endif()
    if(Boost_LIBRARY_DIRS)
        get_filename_component(folder "${Boost_LIBRARY_DIRS}" REALPATH)
        set(implicit ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
        list(TRANSFORM implicit REPLACE "^/lib" "/usr/lib")
        if(NOT folder IN_LIST implicit AND NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
            string(PREPEND MP_PC_LIBS "-L${Boost_LIBRARY_DIRS} ")
        endif()
    endif()
    # What a static libmp itself needs, a program that links it needs as well.
    set(own "-pthread -l${CMAKE_DL_LIBS}")
    if(LIBMP_LINK_OPENSSL)
        string(APPEND own " -lcrypto")
    endif()
    # And a static libfutures.
    set(MP_PC_FUTURES_LIBS "")
    if(LIBMP_BACKTRACE AND NOT BUILD_SHARED_LIBS)
        set(MP_PC_FUTURES_LIBS " -lbacktrace")
    endif()
    if(BUILD_SHARED_LIBS)
        set(MP_PC_LIBS_PRIVATE "${own}")
    else()
        string(APPEND MP_PC_LIBS " ${own}")
        set(MP_PC_LIBS_PRIVATE "")
    endif()

    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in
        ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libmp-dev)
endfunction()
