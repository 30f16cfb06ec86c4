# Install and export: package libmp with components mp, futures, concurrency, where Boost.Asio is, and
# mpi, where an MPI is; targets of these names and libmp::main; mp.pc, futures.pc, concurrency.pc and
# futures_mpi.pc for everything but CMake. tests/install uses it all as a stranger would. CMake's
# install component libmp-runtime is what a program needs to run, libmp-dev what a compiler needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(MpPkgConfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libmp)
set(MP_WORKER_FOLDER ${CMAKE_INSTALL_LIBEXECDIR})
if(MP_DEBIAN) # where libraries of several versions stand side by side
    string(APPEND MP_WORKER_FOLDER /libmp${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
install(TARGETS libmp_mp libmp_main libmp_futures libmp_worker EXPORT libmp_targets
        RUNTIME DESTINATION ${MP_WORKER_FOLDER} COMPONENT libmp-runtime
        LIBRARY COMPONENT libmp-runtime NAMELINK_COMPONENT libmp-dev
        ARCHIVE COMPONENT libmp-dev
        FILE_SET HEADERS COMPONENT libmp-dev)
install(EXPORT libmp_targets
        NAMESPACE libmp:: FILE libmpTargets.cmake DESTINATION ${package_dir}
        COMPONENT libmp-dev)

# A file of its own: who asks for mp and futures needs nothing that this library needs.
if(LIBMP_ASIO)
    install(TARGETS libmp_concurrency EXPORT libmp_concurrency_targets
            LIBRARY COMPONENT libmp-runtime NAMELINK_COMPONENT libmp-dev
            ARCHIVE COMPONENT libmp-dev
            FILE_SET HEADERS COMPONENT libmp-dev)
    install(EXPORT libmp_concurrency_targets
            NAMESPACE libmp:: FILE libmpConcurrencyTargets.cmake DESTINATION ${package_dir}
            COMPONENT libmp-dev)
endif()
# The same, because of the MPI.
if(LIBMP_MPI_FOUND)
    install(TARGETS libmp_mpi EXPORT libmp_mpi_targets
            LIBRARY COMPONENT libmp-runtime NAMELINK_COMPONENT libmp-dev
            ARCHIVE COMPONENT libmp-dev
            FILE_SET HEADERS COMPONENT libmp-dev)
    install(EXPORT libmp_mpi_targets
            NAMESPACE libmp:: FILE libmpMpiTargets.cmake DESTINATION ${package_dir}
            COMPONENT libmp-dev)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/libmpMpi.cmake.in
        ${CMAKE_CURRENT_BINARY_DIR}/libmpMpi.cmake @ONLY)
    install(FILES
        ${CMAKE_CURRENT_BINARY_DIR}/libmpMpi.cmake
        ${CMAKE_CURRENT_LIST_DIR}/libmp_mpi_name.cmake
        DESTINATION ${package_dir} COMPONENT libmp-dev)
endif()

configure_package_config_file(
    ${CMAKE_CURRENT_LIST_DIR}/libmpConfig.cmake.in
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfig.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfigVersion.cmake
    DESTINATION ${package_dir} COMPONENT libmp-dev)
mp_pkg_config(mp)
mp_pkg_config(futures)
if(LIBMP_ASIO)
    mp_pkg_config(concurrency)
endif()
if(LIBMP_MPI_FOUND)
    mp_pkg_config(futures_mpi)
endif()
if(NOT MP_DEBIAN)  # which has copyright files of its own form
    install(FILES ${PROJECT_SOURCE_DIR}/LICENSE
            DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libmp COMPONENT libmp-dev)
endif()
if(PROJECT_IS_TOP_LEVEL)
    include(MpDebian)
endif()
